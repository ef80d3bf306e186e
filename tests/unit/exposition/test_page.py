"""The page: families in their places, whatever came and went before, and what a scrape is given."""

from __future__ import annotations

import gzip
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed_text

from exporter.exposition import Board, Body, Format, Joiner, Page, body
from exporter.model.samples import Family, MetricType, Number, Samples

GAUGE = Family("choreo_window_requests", MetricType.GAUGE, "Requests.", ("api", "code"))
COUNTER = Family("choreo_requests_total", MetricType.COUNTER, "Requests.", ("api",))


def family(name: str) -> Family:
    return Family(name, MetricType.GAUGE, "Help.", ("n",))


def rows(count: int, start: int = 0) -> dict[tuple[str, ...], Number]:
    return {(f"row {number}",): number for number in range(start, start + count)}


def text_of(page: Page, in_format: Format = Format.TEXT, own: bytes = b"") -> str:
    return Joiner().join(page, own, in_format, gzip=False).decode()


def test_families_are_sorted_and_headed_once() -> None:
    """However many owners a family has, and in whatever order they come, it stands in one place."""
    board = Board()
    for owner in ("second", "first"):
        for name in ("b_family", "a_family"):
            board.put(owner, family(name), body(Samples.of(family(name), {(owner,): 1})))
    assert text_of(board.page()) == (
        "# HELP a_family Help.\n# TYPE a_family gauge\n"
        'a_family{n="second"} 1\na_family{n="first"} 1\n'
        "# HELP b_family Help.\n# TYPE b_family gauge\n"
        'b_family{n="second"} 1\nb_family{n="first"} 1\n'
    )


def test_an_owner_s_lines_are_replaced_at_once() -> None:
    """A series that is not in the next result is not on the next page."""
    board = Board()
    board.put("o", COUNTER, body(Samples.of(COUNTER, {("old",): 1, ("kept",): 1})))
    board.put("p", COUNTER, body(Samples.of(COUNTER, {("other",): 9})))
    board.page()
    board.put("o", COUNTER, body(Samples.of(COUNTER, {("kept",): 2, ("new",): 1})))
    lines = text_of(board.page()).splitlines()[2:]
    assert lines == [f'choreo_requests_total{{api="{api}"}} {n}' for api, n in (("kept", 2), ("new", 1), ("other", 9))]


@pytest.mark.parametrize("gone", [None, Body(), body(Samples.of(GAUGE, {}))])
def test_a_family_without_lines_disappears(gone: Body | None) -> None:
    """Nothing is headed that has no series."""
    board = Board()
    board.put("o", GAUGE, body(Samples.of(GAUGE, {("a", "b"): 1})))
    board.put("o", COUNTER, body(Samples.of(COUNTER, {("a",): 1})))
    board.page()
    board.put("o", GAUGE, gone)
    assert "choreo_window_requests" not in text_of(board.page())
    assert "choreo_requests_total" in text_of(board.page())


def test_a_removed_owner_takes_all_its_families_along() -> None:
    """A target that is gone leaves nothing behind, and one that was never there can be removed."""
    board = Board()
    board.put("stays", COUNTER, body(Samples.of(COUNTER, {("a",): 1})))
    for name in ("x", "y"):
        board.put("goes", family(name), body(Samples.of(family(name), rows(1000))))
    board.page()
    board.remove("goes")
    board.remove("never came")
    assert text_of(board.page()) == text_of(_board_of({"stays": Samples.of(COUNTER, {("a",): 1})}).page())
    board.remove("stays")
    assert text_of(board.page()) == ""


def test_a_page_does_not_change() -> None:
    """Who holds a page may go on sending it while the next is made; without changes there is no next."""
    board = _board_of({"o": Samples.of(COUNTER, {("a",): 1})})
    first = board.page()
    assert board.page() is first
    board.put("o", COUNTER, body(Samples.of(COUNTER, {("a",): 2})))
    assert text_of(first).endswith(" 1\n")
    assert text_of(board.page()).endswith(" 2\n")


def test_help_can_change_with_a_new_configuration() -> None:
    """The head is that of the latest result."""
    board = _board_of({"o": Samples.of(family("x"), rows(1))})
    changed = Family("x", MetricType.GAUGE, "Better.", ("n",))
    board.put("o", changed, body(Samples.of(changed, rows(1))))
    assert "# HELP x Better.\n" in text_of(board.page())


@pytest.mark.parametrize("rows_each", [1, 30, 100], ids=["one line", "some lines", "blocks of their own"])
def test_a_change_remakes_its_neighbourhood_only(rows_each: int) -> None:
    """With a thousand targets of one family, a poll of one deflates some tens of kilobytes, not the family."""
    many = family("many")
    board = _board_of({owner: Samples.of(many, rows(rows_each, owner * 1000)) for owner in range(1000)})
    before = board.page()
    board.put(500, many, body(Samples.of(many, rows(rows_each, 7_000_000))))
    assert _new_bytes(before, board.page()) < 70_000


def test_a_thousand_families_of_one_line_compress_as_one_text() -> None:
    """Small families do not pay for blocks of their own, and a change remakes a few of them."""
    board = Board()
    for number in range(1000):
        each = family(f"choreo_window_family_{number:04d}")
        board.put(number, each, body(Samples.of(each, rows(1))))
    before = board.page()
    deflated = sum(len(block.deflated) for block in before.blocks(Format.TEXT))
    assert deflated < 1.3 * len(gzip.compress(b"".join(before.raw(Format.TEXT)), 4))
    each = family("choreo_window_family_0500")
    board.put(500, each, body(Samples.of(each, rows(1, 7))))
    assert _new_bytes(before, board.page()) < 70_000


def test_nothing_holds_the_bytes_of_a_page_that_is_gone() -> None:
    """When a big query shrinks, or a scraper stops asking for a format, the memory of the old pages comes free."""
    board, joiner, many = Board(), Joiner(), family("many")
    big = body(Samples.of(many, rows(40_000)))
    assert big.block is not None
    before = [sys.getrefcount(piece) for piece in big.block.raw]
    board.put(1, many, big)
    for each in Format:
        joiner.join(board.page(), b"", each, gzip=True)
    for number in range(2):
        board.put(1, many, body(Samples.of(many, rows(1, number))))
        joiner.join(board.page(), b"", Format.TEXT, gzip=True)
    assert [sys.getrefcount(piece) for piece in big.block.raw] == before


def test_owners_keep_their_order() -> None:
    """An owner that has nothing to say for a while comes back to its place, so that pages differ only where data do."""
    board = _board_of({number: Samples.of(COUNTER, {(str(number),): 1}) for number in range(3)})
    board.put(0, GAUGE, body(Samples.of(GAUGE, {("a", "b"): 1})))
    before = text_of(board.page())
    board.put(0, COUNTER, None)
    assert text_of(board.page()) != before
    board.put(0, COUNTER, body(Samples.of(COUNTER, {("0",): 1})))
    assert text_of(board.page()) == before


# joined with the exporter's own metrics


def test_own_metrics_come_last_and_openmetrics_ends_with_eof() -> None:
    """The end mark stands once, at the end, whether the own metrics bring it or not."""
    page = _board_of({"o": Samples.of(COUNTER, {("a",): 1})}).page()
    own = b"# HELP own Own.\n# TYPE own gauge\nown 1.0\n"
    assert text_of(page, Format.TEXT, own).endswith('api="a"} 1\n' + own.decode())
    for brought in (own, own + b"# EOF\n"):
        text = text_of(page, Format.OPENMETRICS, brought)
        assert text.endswith('api="a"} 1\n' + own.decode() + "# EOF\n")
        assert text.count("# EOF") == 1


def test_the_same_page_is_joined_once() -> None:
    """A scrape of what was scraped before copies nothing, until the page or the own metrics are others."""
    board = _board_of({"o": Samples.of(COUNTER, {("a",): 1})})
    joiner, own, later_own = Joiner(), b"own 1\n", b"own 2\n"
    for compressed in (False, True):
        first = joiner.join(board.page(), own, Format.TEXT, compressed)
        joiner.join(board.page(), own, Format.OPENMETRICS, compressed)
        assert joiner.join(board.page(), own, Format.TEXT, compressed) is first
        assert joiner.join(board.page(), later_own, Format.TEXT, compressed) != first
    board.put("o", COUNTER, body(Samples.of(COUNTER, {("a",): 7})))
    for in_format in Format:
        assert b" 7\n" in joiner.join(board.page(), later_own, in_format, False)
        assert b" 7\n" in gzip.decompress(joiner.join(board.page(), later_own, in_format, True))


@pytest.mark.parametrize("in_format", Format)
def test_own_metrics_in_pieces_are_the_same_page_as_in_one(in_format: Format) -> None:
    """Small and big pieces, of which one changes at a time, make the page that the same bytes in one piece make."""
    page = _board_of({"o": Samples.of(COUNTER, {("a",): 1})}).page()
    big = [b"".join(b'own%d{n="%d"} 1\n' % (family, at) for at in range(5000)) for family in range(3)]
    joiner, one = Joiner(), Joiner()
    for pieces in ((big[0], b"small 1\n", b"small 2\n", big[1]), (big[0], b"small 3\n", big[2]), (b"small 4\n",)):
        for compressed in (False, True):
            found = joiner.join(page, pieces, in_format, compressed)
            whole = one.join(page, b"".join(pieces), in_format, compressed)
            assert (gzip.decompress(found) if compressed else found) == (
                gzip.decompress(whole) if compressed else whole
            )


@pytest.mark.parametrize("in_format", Format)
def test_the_reference_parsers_read_the_page(in_format: Format) -> None:
    """Both formats are what the reference implementation understands by them."""
    page = _board_of({1: Samples.of(COUNTER, {('q"\\\n',): 1}), 2: Samples.of(COUNTER, {("other",): 3})}).page()
    parse = parsed_text if in_format is Format.TEXT else parsed_openmetrics
    (found,) = parse(text_of(page, in_format))
    assert (found.name, found.type, found.documentation) == ("choreo_requests", "counter", "Requests.")
    assert [(each.name, each.labels["api"], each.value) for each in found.samples] == [
        ("choreo_requests_total", 'q"\\\n', 1),
        ("choreo_requests_total", "other", 3),
    ]


def _board_of(samples: dict[int, Samples] | dict[str, Samples]) -> Board:
    board = Board()
    for owner, each in samples.items():
        board.put(owner, each.family, body(each))
    return board


def _new_bytes(before: Page, after: Page) -> int:
    """How many bytes were written and deflated for `after` that were not there before."""
    old = set(map(id, before.raw(Format.TEXT)))
    return sum(len(piece) for piece in after.raw(Format.TEXT) if id(piece) not in old)


@pytest.mark.parametrize("count", [1, 30, 45, 5000])
def test_a_page_has_the_created_series_of_counters_in_openmetrics_alone(count: int) -> None:
    """However many series there are, a parser finds the start of each counter; the text format stays as it is."""
    board, plain = Board(), Board()
    series = rows(count)
    timed = Family("busy_seconds_total", MetricType.COUNTER, "Busy.", ("n",))
    board.put("one", timed, body(Samples.of(timed, series), [1777852800.0] * count))
    board.put("two", timed, body(Samples.of(timed, {("untimed",): 4})))
    plain.put("one", timed, body(Samples.of(timed, series)))
    plain.put("two", timed, body(Samples.of(timed, {("untimed",): 4})))
    assert text_of(board.page()) == text_of(plain.page())
    for gzipped in (False, True):
        answer = Joiner().join(board.page(), b"", Format.OPENMETRICS, gzip=gzipped)
        text = (gzip.decompress(answer) if gzipped else answer).decode()
        (found,) = parsed_openmetrics(text)  # type: ignore[no-untyped-call]
        assert found.unit == "seconds"
        created = {one.labels["n"]: one.value for one in found.samples if one.name == "busy_seconds_created"}
        assert created == dict.fromkeys((n for (n,) in series), 1777852800.0)
        assert sum(one.name == "busy_seconds_total" for one in found.samples) == count + 1
