"""The page as `/metrics` serves it, remade only where a poll touched it.

Families are sorted by name, each with its head once and then the bodies of its owners, in the order in which the
owners first came. Neighbours that are small are deflated together, so that a thousand families of one line, or a
thousand owners with one line each, still compress well; what is big is deflated by itself, once. Both orders are cut
into leaves of some tens of kilobytes, and a change remakes one leaf of owners and one of families.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Generic, Protocol, TypeVar

from exporter.exposition.block import Block, Chain, gzip_member
from exporter.exposition.lines import SMALL_BYTES, Body, Format, head
from exporter.model.samples import Family

LEAF_BYTES = 32768
_BIG_WEIGHT = 1024  # of an entry that has blocks of its own: bounds how many of them a leaf has

_END = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}


@dataclass(frozen=True, slots=True)
class Page:
    """All polled series at one moment, without the exporter's own metrics and without the end mark."""

    leaves: tuple[dict[Format, Block], ...] = ()

    def block(self, in_format: Format, chain: Chain | None = None) -> Block:
        """The whole page in that format; `chain` is what the pages before were joined by, if there were any."""
        return (chain or Chain()).joined([leaf[in_format] for leaf in self.leaves])


class Board:
    """Collects what the owners have to say. Cheap to write to; `page` does the work for what has changed since."""

    def __init__(self) -> None:
        self._serials = count()
        self._owners: dict[Hashable, _Owner] = {}
        self._families: dict[str, _FamilyPart] = {}
        self._touched: dict[str, None] = {}
        self._parts: _Leaves[str, _Part, dict[Format, Block]] = _Leaves(_part_weight, _blocks_of_parts)
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
        part.family = family
        part.put(known.serial, body)
        self._touched[family.name] = None

    def remove(self, owner: Hashable) -> None:
        """The owner's lines are gone from all families. An unknown owner has none."""
        known = self._owners.get(owner)
        for name in tuple(known.families) if known else ():
            self._take_away(owner, name)

    def page(self) -> Page:
        """The page with everything that was put so far; the same object as before if that is nothing new."""
        if self._touched:
            for name in self._touched:
                part = self._families.get(name)
                if part is None:
                    self._parts.remove(name)
                else:
                    self._parts.put(name, part.made())
            self._touched.clear()
            self._page = Page(tuple(self._parts.made()))
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
        self._touched[name] = None


class Joiner:
    """Joins a page with the exporter's own metrics, and keeps what it joined until one of the two is another."""

    def __init__(self) -> None:
        self._page = Page()
        self._chains: dict[Format, Chain] = {}
        self._blocks: dict[Format, Block] = {}
        self._own: dict[Format, tuple[bytes, Block]] = {}
        self._joined: dict[tuple[Format, bool], bytes] = {}

    def joined(self, page: Page, own: bytes, in_format: Format, gzip: bool) -> bytes:
        """The whole answer to a scrape. `own` is whole families in the same format, with or without its end mark.

        The same objects give the same object, so that a server can keep what it derives from it.
        """
        if page is not self._page:
            self._page = page
            self._chains = {each: self._chains[each] for each in self._blocks}  # what nobody asked for is let go
            self._blocks.clear()
            self._joined.clear()
        known = self._own.get(in_format)
        if known is None or known[0] is not own:
            end = _END[in_format]
            known = self._own[in_format] = (own, Block.of(own.removesuffix(end) + end))
            self._joined.pop((in_format, False), None)
            self._joined.pop((in_format, True), None)
        answer = self._joined.get((in_format, gzip))
        if answer is None:
            if in_format not in self._blocks:
                self._blocks[in_format] = page.block(in_format, self._chains.setdefault(in_format, Chain()))
            whole = Block.joined((self._blocks[in_format], known[1]))
            answer = gzip_member(whole) if gzip else b"".join(whole.raw)
            self._joined[in_format, gzip] = answer
        return answer


class _Ordered(Protocol):
    def __lt__(self, other: object, /) -> bool: ...


_Key = TypeVar("_Key", int, str)
_Entry = TypeVar("_Entry")
_Made = TypeVar("_Made")


class _Leaf(Generic[_Key, _Entry, _Made]):
    """Neighbours in the order of their keys, and what was made of them (None: to be made)."""

    __slots__ = ("entries", "made", "weight")

    def __init__(self, entries: dict[_Key, _Entry] | None = None, weight: int = 0) -> None:
        self.entries: dict[_Key, _Entry] = entries or {}
        self.weight = weight
        self.made: _Made | None = None


class _Leaves(Generic[_Key, _Entry, _Made]):
    """A sorted mapping in leaves of bounded weight, of which something is made leaf by leaf."""

    def __init__(self, weight: Callable[[_Entry], int], make: Callable[[Sequence[_Entry]], _Made]) -> None:
        self._weight = weight
        self._make = make
        self._lows: list[_Key] = []  # a lower bound of the keys in each leaf
        self._leaves: list[_Leaf[_Key, _Entry, _Made]] = []

    def put(self, key: _Key, entry: _Entry) -> None:
        if not self._leaves:
            self._lows.append(key)
            self._leaves.append(_Leaf())
        index = bisect_right(self._lows, key) - 1
        if index < 0:
            index, self._lows[0] = 0, key
        leaf = self._leaves[index]
        old = leaf.entries.get(key)
        leaf.weight += self._weight(entry) - (0 if old is None else self._weight(old))
        leaf.entries[key] = entry
        leaf.made = None
        if leaf.weight > LEAF_BYTES and len(leaf.entries) > 1:
            self._split(index)

    def remove(self, key: _Key) -> None:
        index = bisect_right(self._lows, key) - 1
        leaf = self._leaves[index] if index >= 0 else None
        if leaf is None or key not in leaf.entries:
            return
        leaf.weight -= self._weight(leaf.entries.pop(key))
        leaf.made = None
        if not leaf.entries:
            del self._lows[index], self._leaves[index]
        elif leaf.weight < LEAF_BYTES // 8:
            self._merge(index)

    def entries(self) -> list[_Entry]:
        """All entries in the order of their keys."""
        return [leaf.entries[key] for leaf in self._leaves for key in sorted(leaf.entries)]

    def made(self) -> list[_Made]:
        """What the leaves make, in order. Only those that were touched are made again."""
        return [self._made(leaf) for leaf in self._leaves]

    def _made(self, leaf: _Leaf[_Key, _Entry, _Made]) -> _Made:
        if leaf.made is None:
            leaf.made = self._make([leaf.entries[key] for key in sorted(leaf.entries)])
        return leaf.made

    def _split(self, index: int) -> None:
        leaf = self._leaves[index]
        keys = sorted(leaf.entries)
        left: dict[_Key, _Entry] = {}
        weight = 0
        for key in keys[:-1]:
            left[key] = leaf.entries[key]
            weight += self._weight(left[key])
            if 2 * weight >= leaf.weight:
                break
        right = {key: leaf.entries[key] for key in keys[len(left) :]}
        self._leaves[index : index + 1] = [_Leaf(left, weight), _Leaf(right, leaf.weight - weight)]
        self._lows.insert(index + 1, keys[len(left)])

    def _merge(self, index: int) -> None:
        """Joins the leaf with the lighter of its neighbours, unless that makes half a leaf or more."""
        neighbours = [at for at in (index - 1, index + 1) if 0 <= at < len(self._leaves)]
        if not neighbours:
            return
        other = min(neighbours, key=lambda at: self._leaves[at].weight)
        first, second = sorted((index, other))
        weight = self._leaves[first].weight + self._leaves[second].weight
        if weight < LEAF_BYTES // 2:
            entries = self._leaves[first].entries | self._leaves[second].entries
            self._leaves[first : second + 1] = [_Leaf(entries, weight)]
            del self._lows[second]


@dataclass(slots=True)
class _Owner:
    serial: int
    families: dict[str, None] = field(default_factory=dict)


class _FamilyPart:
    """One family on the board: the bodies of its owners."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.length = 0
        self._bodies: dict[int, Body] = {}
        self._leaves: _Leaves[int, Body, Block] = _Leaves(_body_weight, _block_of_bodies)
        self._chain = Chain()

    def put(self, serial: int, body: Body) -> None:
        old = self._bodies.get(serial)
        self.length += body.length - (0 if old is None else old.length)
        self._bodies[serial] = body
        self._leaves.put(serial, body)

    def remove(self, serial: int) -> None:
        self.length -= self._bodies.pop(serial).length
        self._leaves.remove(serial)

    def made(self) -> _Part:
        if self.length < SMALL_BYTES:
            raw = b"".join(body.raw for body in self._leaves.entries())
            self._chain = Chain()
            return _Part({each: head(self.family, each) + raw for each in Format}, None)
        block = self._chain.joined(self._leaves.made())
        return _Part({}, {each: Block.joined((_head_block(self.family, each), block)) for each in Format})


@dataclass(frozen=True, slots=True)
class _Part:
    """One family as the page has it. As with bodies, a small one keeps its bytes alone."""

    raw: dict[Format, bytes]
    blocks: dict[Format, Block] | None


def _body_weight(body: Body) -> int:
    return len(body.raw) if body.block is None else _BIG_WEIGHT


def _block_of_bodies(bodies: Sequence[Body]) -> Block:
    small = Block.of(b"".join(body.raw for body in bodies))
    return Block.joined([small, *(body.block for body in bodies if body.block is not None)])


@lru_cache(maxsize=1024)
def _head_block(family: Family, in_format: Format) -> Block:
    return Block.of(head(family, in_format))


def _part_weight(part: _Part) -> int:
    return len(part.raw[Format.TEXT]) if part.blocks is None else _BIG_WEIGHT


def _blocks_of_parts(parts: Sequence[_Part]) -> dict[Format, Block]:
    return {each: Block.joined(_runs(parts, each)) for each in Format}


def _runs(parts: Sequence[_Part], in_format: Format) -> list[Block]:
    """The blocks of the families in order, where neighbours that are small are one block."""
    blocks: list[Block] = []
    run: list[bytes] = []
    for part in parts:
        if part.blocks is None:
            run.append(part.raw[in_format])
        else:
            blocks += Block.of(b"".join(run)), part.blocks[in_format]
            run.clear()
    blocks.append(Block.of(b"".join(run)))
    return blocks
