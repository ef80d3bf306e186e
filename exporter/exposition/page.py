"""The page as `/metrics` serves it, remade only where a poll touched it.

Families are sorted by name, each with its head once and then the bodies of its owners, in the order in which the
owners first came. What is big is deflated by itself, once. Neighbours that are small are deflated together, so that a
thousand families of one line, or a thousand owners with one line each, still compress well. Which neighbours stand
together depends on their names and numbers alone, so a change remakes the blocks of its neighbours and no others.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain, count

from msgspec import Struct

from exporter.exposition.block import Block, OpenMember
from exporter.exposition.lines import SMALL_BYTES, Body, Format, head
from exporter.model.samples import Family

_OWNERS_TOGETHER = 16
_FAMILIES_TOGETHER = 64  # on average: a hash of the name says where the next ones begin
_TOGETHER_BYTES = 32768

_END = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}
_Blocks = Mapping[Format, tuple[Block, ...]]


class Page(Struct, frozen=True):
    """All polled series at one moment, without the exporter's own metrics and without the end mark."""

    sections: tuple[_Blocks, ...] = ()

    def blocks(self, in_format: Format) -> Iterator[Block]:
        """The whole page in that format."""
        return chain.from_iterable(section[in_format] for section in self.sections)

    def raw(self, in_format: Format) -> Iterator[bytes]:
        """The same as pieces of whole lines."""
        return chain.from_iterable(block.raw for block in self.blocks(in_format))


class Board:
    """Collects what the owners have to say. Cheap to write to; `page` does the work for what has changed since."""

    def __init__(self) -> None:
        self._serials = count()
        self._owners: dict[Hashable, _Owner] = {}
        self._families: dict[str, _FamilyPart] = {}
        self._names: list[str] = []
        self._small: dict[tuple[_Small, ...], _Blocks] = {}
        self._changed = False
        self._page = Page()

    def put(self, owner: Hashable, family: Family, body: Body | None) -> None:
        """From now on the owner has exactly these lines in the family; without lines it is gone from it."""
        if body is None or not body.length:
            self._take_away(owner, family.name)
            return
        known = self._owners.get(owner)
        if known is None:
            known = self._owners[owner] = _Owner(next(self._serials))
        known.families[family.name] = None
        part = self._families.get(family.name)
        if part is None:
            part = self._families[family.name] = _FamilyPart(family)
            self._names.clear()
        part.put(family, known.serial, body)
        self._changed = True

    def remove(self, owner: Hashable) -> None:
        """The owner's lines are gone from all families. An unknown owner has none."""
        known = self._owners.get(owner)
        for name in tuple(known.families) if known else ():
            self._take_away(owner, name)

    def page(self) -> Page:
        """The page with everything that was put so far; the same object as before if that is nothing new."""
        if self._changed:
            self._changed = False
            self._page = Page(tuple(self._sections()))
        return self._page

    def _take_away(self, owner: Hashable, name: str) -> None:
        known = self._owners.get(owner)
        if known is None or name not in known.families:
            return
        del known.families[name]
        if not known.families:
            del self._owners[owner]
        part = self._families[name]
        part.remove(known.serial)
        if not part.length:
            del self._families[name]
            self._names.clear()
        self._changed = True

    def _sections(self) -> list[_Blocks]:
        """The blocks of the families in order, where neighbours that are small share one."""
        if not self._names:
            self._names = sorted(self._families)
        sections: list[_Blocks] = []
        run: list[_Small] = []
        small: dict[tuple[_Small, ...], _Blocks] = {}

        def end_run() -> None:
            if key := tuple(run):
                small[key] = blocks = self._small.get(key) or _blocks_of_small(key)
                sections.append(blocks)
                run.clear()

        length = 0
        for name in self._names:
            section = self._families[name].section()
            if not isinstance(section, _Small) or length > _TOGETHER_BYTES or _begins_run(name):
                end_run()
                length = 0
            if isinstance(section, _Small):
                run.append(section)
                length += section.length
            else:
                sections.append(section)
        end_run()
        self._small = small
        return sections


class Joiner:
    """Joins a page with the exporter's own metrics, and keeps what it joined until one of the two is another."""

    def __init__(self) -> None:
        self._page = Page()
        self._members: dict[Format, OpenMember] = {}
        self._own: dict[Format, _Own] = {}
        self._answers: dict[tuple[Format, bool], bytes] = {}

    def join(self, page: Page, own: bytes | tuple[bytes, ...], in_format: Format, gzip: bool) -> bytes:
        """The whole answer to a scrape. `own` is whole families in the same format, in one piece or in several, with or
        without its end mark. A piece that was there before is not deflated again.

        The same objects give the same object, so that a server can keep what it derives from it.
        """
        if page is not self._page:
            self._page = page
            self._members.clear()
            self._answers.clear()
        known = self._own.get(in_format)
        if known is None or known.text is not own:
            known = self._own[in_format] = _Own(own, _END[in_format], {} if known is None else known.deflated)
            self._answers.pop((in_format, False), None)
            self._answers.pop((in_format, True), None)
        answer = self._answers.get((in_format, gzip))
        if answer is None:
            answer = self._gzip(in_format, known.blocks) if gzip else b"".join((*page.raw(in_format), *known.pieces))
            self._answers[in_format, gzip] = answer
        return answer

    def _gzip(self, in_format: Format, own: Sequence[Block]) -> bytes:
        member = self._members.get(in_format)
        if member is None:
            member = self._members[in_format] = OpenMember().with_blocks(self._page.blocks(in_format))
        return member.with_blocks(own).close()


class _Own:
    """The exporter's own metrics with the end mark. They are deflated once, when somebody asks for gzip: small pieces
    together, and each big one by itself, if it is not one of those that were `deflated` before."""

    def __init__(self, text: bytes | tuple[bytes, ...], end: bytes, deflated: Mapping[bytes, Block]) -> None:
        self.text = text
        first = (text,) if isinstance(text, bytes) else text
        self.pieces = (*first[:-1], first[-1].removesuffix(end) + end)
        self.deflated = deflated

    @cached_property
    def blocks(self) -> Sequence[Block]:
        deflated: dict[bytes, Block] = {}
        blocks: list[Block] = []
        small: list[bytes] = []
        for piece in self.pieces:
            if len(piece) < _TOGETHER_BYTES:
                small.append(piece)
                continue
            if small:
                blocks.append(Block.of([b"".join(small)]))
                small.clear()
            block = deflated[piece] = self.deflated.get(piece) or Block.of([piece])
            blocks.append(block)
        if small:
            blocks.append(Block.of([b"".join(small)]))
        self.deflated = deflated
        return blocks


class _Owner(Struct):
    serial: int
    families: dict[str, None] = {}


class _Small(Struct, frozen=True, eq=False):
    """A whole family in few bytes; the same object until the family changes."""

    text: bytes
    openmetrics: bytes
    length: int

    def raw(self, in_format: Format) -> bytes:
        return self.text if in_format is Format.TEXT else self.openmetrics


class _FamilyPart:
    """One family on the board: the bodies of its owners, by their serial numbers."""

    def __init__(self, family: Family) -> None:
        self.length = 0
        self._family = family
        self._groups: dict[int, dict[int, Body]] = {}
        self._blocks: dict[int, _Blocks] = {}
        self._section: _Small | _Blocks | None = None

    def put(self, family: Family, serial: int, body: Body) -> None:
        group = self._groups.setdefault(serial // _OWNERS_TOGETHER, {})
        old = group.get(serial)
        group[serial] = body
        self._family = family
        self._note_change(serial, body.length - (0 if old is None else old.length))

    def remove(self, serial: int) -> None:
        group = self._groups[serial // _OWNERS_TOGETHER]
        old = group.pop(serial)
        if not group:
            del self._groups[serial // _OWNERS_TOGETHER]
        self._note_change(serial, -old.length)

    def section(self) -> _Small | _Blocks:
        """What the page has of it; made when something has changed."""
        if self._section is None:
            self._section = self._small_section() if self.length < SMALL_BYTES else self._big_section()
        return self._section

    def _note_change(self, serial: int, more_bytes: int) -> None:
        self.length += more_bytes
        self._blocks.pop(serial // _OWNERS_TOGETHER, None)
        self._section = None

    def _small_section(self) -> _Small:
        self._blocks.clear()
        bodies = [group[serial] for _, group in sorted(self._groups.items()) for serial in sorted(group)]
        text, openmetrics = (
            b"".join((head(self._family, each), *(body.in_format(each).raw for body in bodies))) for each in Format
        )
        return _Small(text, text if text == openmetrics else openmetrics, self.length)

    def _big_section(self) -> _Blocks:
        for at, group in self._groups.items():
            if at not in self._blocks:
                self._blocks[at] = _blocks_of_group([group[serial] for serial in sorted(group)])
        groups = [self._blocks[at] for at in sorted(self._groups)]
        return {
            each: (_head_block(self._family, each), *chain.from_iterable(group[each] for group in groups))
            for each in Format
        }


def _begins_run(name: str) -> bool:
    return zlib.crc32(name.encode()) % _FAMILIES_TOGETHER == 0


def _blocks_of_group(bodies: Sequence[Body]) -> _Blocks:
    """The blocks of these bodies in each format; the same ones in both if no body differs."""
    blocks = _blocks_of(bodies)
    if all(body.openmetrics is None for body in bodies):
        return dict.fromkeys(Format, blocks)
    return {
        Format.TEXT: blocks,
        Format.OPENMETRICS: _blocks_of([body.in_format(Format.OPENMETRICS) for body in bodies]),
    }


def _blocks_of(bodies: Sequence[Body]) -> tuple[Block, ...]:
    small = b"".join(body.raw for body in bodies)
    big = (body.block for body in bodies if body.block is not None)
    return (Block.of([small]), *big) if small else tuple(big)


def _blocks_of_small(families: tuple[_Small, ...]) -> _Blocks:
    text, openmetrics = (b"".join(family.raw(each) for family in families) for each in Format)
    blocks = (Block.of([text]),)
    return {
        Format.TEXT: blocks,
        Format.OPENMETRICS: blocks if text == openmetrics else (Block.of([openmetrics]),),
    }


@lru_cache(maxsize=1024)
def _head_block(family: Family, in_format: Format) -> Block:
    return Block.of([head(family, in_format)])
