"""Samples as lines, and the heads of families, in both formats."""

from __future__ import annotations

import pytest

from exporter.exposition.lines import SMALL_BYTES, Body, Format, body, head, pieces
from exporter.model.samples import Family, MetricType, Number, Samples

GAUGE = Family("choreo_window_requests", MetricType.GAUGE, "Requests.", ("api", "code"))
COUNTER = Family("choreo_requests_total", MetricType.COUNTER, "Requests.", ("api",))


def lines_of(samples: Samples) -> str:
    return b"".join(pieces(samples)).decode()


def test_a_line_has_every_label_in_the_family_s_order() -> None:
    """A series is its name, its labels and its value."""
    samples = Samples.of(GAUGE, {("orders", "200"): 5, ("", "500"): 0.25})
    assert lines_of(samples) == (
        'choreo_window_requests{api="orders",code="200"} 5\nchoreo_window_requests{api="",code="500"} 0.25\n'
    )


def test_a_family_without_labels_has_no_braces() -> None:
    """One series alone is its name and its value."""
    assert lines_of(Samples.of(Family("up_to_date", MetricType.GAUGE, "", ()), {(): 1})) == "up_to_date 1\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('say "hi"', r"say \"hi\""),
        ("C:\\temp", r"C:\\temp"),
        ("two\nlines", r"two\nlines"),
        ("\\n", r"\\n"),
        ("50 %s {} %", "50 %s {} %"),
        ("tab\tcr\rnul\0", "tab\tcr\rnul\0"),
        ("naïve 🦊", "naïve 🦊"),
        ("half \ud83e of a pair", "half \ufffd of a pair"),
        ('\udcff"', '\ufffd\\"'),
    ],
)
def test_label_values_are_escaped(value: str, written: str) -> None:
    """Whatever an API returns as a name arrives as that name, and its neighbours are untouched."""
    samples = Samples.of(COUNTER, {("plain",): 1, (value,): 2})
    assert lines_of(samples) == f'choreo_requests_total{{api="plain"}} 1\nchoreo_requests_total{{api="{written}"}} 2\n'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (-3, "-3"),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (2**53 + 1, "9007199254740992.0"),
        (10**300, "1e+300"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (True, "1"),
    ],
)
def test_numbers_are_exact(value: Number, written: str) -> None:
    """Integers stay integers as long as a float holds them, and floats come back as they were."""
    assert lines_of(Samples.of(COUNTER, {("a",): value, ("b",): 1.5})).splitlines()[0].split(" ")[1] == written


def test_big_results_come_in_pieces_of_whole_lines() -> None:
    """A hundred thousand rows can be written a few at a time."""
    samples = Samples.of(Family("n", MetricType.GAUGE, "Help.", ("n",)), {(f"row {n}",): n for n in range(50_000)})
    whole = list(pieces(samples))
    assert len(whole) > 1
    assert all(piece.endswith(b"\n") and len(piece) < 100_000 for piece in whole)
    assert all(len(piece) > 30_000 for piece in whole[1:-1])
    assert b"".join(whole).count(b"\n") == 50_000
    assert body(samples).length == sum(map(len, whole))


def test_heads_name_the_family_as_the_format_wants_it() -> None:
    """A counter is headed with `_total` in the text format and without it in OpenMetrics."""
    assert head(COUNTER, Format.TEXT) == (
        b"# HELP choreo_requests_total Requests.\n# TYPE choreo_requests_total counter\n"
    )
    assert head(COUNTER, Format.OPENMETRICS) == b"# HELP choreo_requests Requests.\n# TYPE choreo_requests counter\n"


def test_help_is_escaped_as_the_format_wants_it() -> None:
    """OpenMetrics escapes quotes in HELP, the text format does not know that."""
    odd = Family("x", MetricType.GAUGE, 'a "b" \\ c\nd \ud800', ())
    assert head(odd, Format.TEXT) == '# HELP x a "b" \\\\ c\\nd \ufffd\n# TYPE x gauge\n'.encode()
    assert head(odd, Format.OPENMETRICS) == '# HELP x a \\"b\\" \\\\ c\\nd \ufffd\n# TYPE x gauge\n'.encode()


def test_a_label_that_all_series_share_is_on_every_line() -> None:
    """Labels stand in the family's order, whether they differ or not, and wherever they differ."""
    family = Family("n", MetricType.GAUGE, "N.", ("a", "b", "c"))
    for varying in range(3):
        keys = [tuple(f"{value}" if at == varying else 'x"' for at in range(3)) for value in range(3)]
        assert lines_of(Samples.of(family, dict.fromkeys(keys, 1))) == "".join(
            "n{" + ",".join(f'{name}="{text}"' for name, text in zip("abc", key, strict=True)) + "} 1\n" for key in keys
        ).replace('x"', 'x\\"')


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ([1, 2.5], ["1", "2.5"]),
        ([2**53, -(2**53)], ["9007199254740992", "-9007199254740992"]),
        ([2**53 + 2, 1], ["9007199254740994.0", "1"]),
        ([1, -(2**53) - 2], ["1", "-9007199254740994.0"]),
        ([2**53 + 2, -(2**53) - 2], ["9007199254740994.0", "-9007199254740994.0"]),
        ([True, 2.5], ["1", "2.5"]),
        ([0, False], ["0", "0"]),
        ([1.0, 2e20], ["1.0", "2e+20"]),
    ],
    ids=str,
)
def test_a_number_is_written_alike_whatever_stands_beside_it(numbers: list[Number], written: list[str]) -> None:
    """Columns of one kind take a shorter way, and the lines do not show it."""
    family = Family("n", MetricType.GAUGE, "N.", ("a",))
    lines = lines_of(Samples.of(family, {(str(at),): number for at, number in enumerate(numbers)})).splitlines()
    assert [line.split(" ")[1] for line in lines] == written


def test_columns_that_do_not_fit_the_family_are_a_fault() -> None:
    """No label is left out of a line."""
    with pytest.raises(ValueError, match="zip"):
        lines_of(Samples(GAUGE, [["a"]], [1]))


def test_an_integer_that_no_float_is_near_to_is_refused() -> None:
    """Nothing is published that Prometheus could not read."""
    with pytest.raises(OverflowError):
        lines_of(Samples.of(COUNTER, {("a",): 10**400}))


def test_no_series_are_no_lines() -> None:
    """A family of which an answer has nothing has an empty body."""
    assert list(pieces(Samples.of(GAUGE, {}))) == []
    assert body(Samples.of(GAUGE, {})) == Body()


def test_small_and_big_bodies_are_told_apart_by_size() -> None:
    """A body is deflated by itself as soon as that pays."""
    assert Body.of([b"x" * (SMALL_BYTES - 1)]).block is None
    assert Body.of([b"x" * SMALL_BYTES]).block is not None
    assert Body.of([b"one 1\n", b"two 2\n"]).raw == b"one 1\ntwo 2\n"
    assert Body.of([]).length == 0


def test_a_counter_says_when_it_began_after_each_total() -> None:
    """OpenMetrics has `_created` beside `_total`, series by series and with the same labels; the text format not."""
    family = Family("choreo_requests_total", MetricType.COUNTER, "Requests.", ("api", "kind", "code"))
    samples = Samples.of(family, {("a", 'x"', "200"): 5, ("b", 'x"', "500"): 6.5})
    made = body(samples, [1777852800.0, 1777766400.5])
    assert made.in_format(Format.TEXT).raw == lines_of(samples).encode()
    assert made.in_format(Format.OPENMETRICS).raw.decode() == (
        'choreo_requests_total{api="a",kind="x\\"",code="200"} 5\n'
        'choreo_requests_created{api="a",kind="x\\"",code="200"} 1777852800\n'
        'choreo_requests_total{api="b",kind="x\\"",code="500"} 6.5\n'
        'choreo_requests_created{api="b",kind="x\\"",code="500"} 1777766400.5\n'
    )
    assert made.length == len(made.in_format(Format.OPENMETRICS).raw)


@pytest.mark.parametrize("labels", [(), ("only",)])
def test_a_counter_of_one_series_says_when_it_began(labels: tuple[str, ...]) -> None:
    """So does one without labels, and one whose labels are all alike."""
    family = Family("n_total", MetricType.COUNTER, "N.", labels)
    shown = '{only="v"}' if labels else ""
    made = body(Samples.of(family, {("v",) * len(labels): 1}), [0.0])
    assert made.in_format(Format.OPENMETRICS).raw.decode() == f"n_total{shown} 1\nn_created{shown} 0\n"


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("api_latency_seconds", MetricType.GAUGE, "seconds"),
        ("api_cpu_seconds_total", MetricType.COUNTER, "seconds"),
        ("api_disk_bytes", MetricType.GAUGE, "bytes"),
        ("api_cache_hit_ratio", MetricType.GAUGE, "ratio"),
        ("room_temperature_celsius", MetricType.GAUGE, "celsius"),
        ("api_requests_total", MetricType.COUNTER, ""),
        ("seconds", MetricType.GAUGE, ""),
        ("_seconds", MetricType.GAUGE, ""),
        ("api_milliseconds", MetricType.GAUGE, ""),
        ("api_seconds_window", MetricType.GAUGE, ""),
        ("bytes_total", MetricType.COUNTER, ""),
    ],
)
def test_a_name_that_ends_in_a_unit_has_a_unit_line(name: str, kind: MetricType, unit: str) -> None:
    """OpenMetrics is given the unit that a name says already; the text format has no such line."""
    family = Family(name, kind, "Help.", ())
    base = name.removesuffix("_total")
    lines = head(family, Format.OPENMETRICS).decode().splitlines()
    assert lines[2:] == ([f"# UNIT {base} {unit}"] if unit else [])
    assert "# UNIT" not in head(family, Format.TEXT).decode()
