"""Pages after long histories of results that came, grew, shrank and went."""

from __future__ import annotations

import gzip
import random

from exporter.exposition import Board, Format, Joiner, Page, body
from exporter.exposition.lines import pieces
from exporter.model.samples import Family, MetricType, Number, Samples


def family(name: str) -> Family:
    return Family(name, MetricType.GAUGE, "Help.", ("n",))


def lines_of(samples: Samples) -> str:
    return b"".join(pieces(samples)).decode()


def rows(count: int, start: int) -> dict[tuple[str, ...], Number]:
    return {(f"row {number}",): number for number in range(start, start + count)}


def text_of(page: Page, in_format: Format = Format.TEXT) -> str:
    return Joiner().join(page, b"", in_format, gzip=False).decode()


def test_any_history_ends_in_the_page_of_its_outcome() -> None:
    """Whatever was put, replaced, grown, shrunk and removed before: the page shows what there is now."""
    source = random.Random(3)
    board = Board()
    now: dict[tuple[int, str], Samples] = {}
    for step in range(3000):
        owner, name = source.randrange(60), f"family_{source.randrange(40):02d}"
        size = source.choice((0, 1, 1, 2, 20, 400)) if step < 2000 else source.choice((0, 0, 1))
        if source.random() < 0.02:
            board.remove(owner)
            now = {key: samples for key, samples in now.items() if key[0] != owner}
            continue
        samples = Samples.of(family(name), rows(size, step))
        board.put(owner, family(name), body(samples))
        now.pop((owner, name), None)
        if size:
            now[owner, name] = samples
        if step % 300 == 0 or step == 2999:
            for each in Format:
                page = board.page()
                assert gzip.decompress(Joiner().join(page, b"", each, gzip=True)).decode() == text_of(page, each)
                assert _lines_by_family(text_of(page, each)) == {
                    name: sorted("".join(lines_of(s) for (_, of), s in now.items() if of == name).splitlines())
                    for name in sorted({of for _, of in now})
                }


def test_most_families_can_go_and_others_come() -> None:
    """Thinning out and filling up again leaves every family in its place, once."""
    source = random.Random(4)
    board = Board()
    names = [f"family_{number:04d}" for number in range(2000)]
    now: dict[str, int] = {}
    for share in (1.0, 0.05, 0.3, 0.0, 0.5, 0.02):
        for name in source.sample(names, len(names)):
            if source.random() < share:
                now[name] = now.get(name, 0) + 1
                board.put("o", family(name), body(Samples.of(family(name), {("x",): now[name]})))
            elif now.pop(name, None):
                board.put("o", family(name), None)
        found = _lines_by_family(text_of(board.page()))
        assert list(found) == sorted(now)
        assert found == {name: [f'{name}{{n="x"}} {value}'] for name, value in now.items()}


def _lines_by_family(text: str) -> dict[str, list[str]]:
    """The sorted lines of each family, in the order of the page; each family must be headed once."""
    found: dict[str, list[str]] = {}
    for line in text.removesuffix("# EOF\n").splitlines():
        if line.startswith("# HELP "):
            assert line.split()[2] not in found
            current = found[line.split()[2]] = []
        elif not line.startswith("# TYPE "):
            current.append(line)
    return {name: sorted(lines) for name, lines in found.items()}
