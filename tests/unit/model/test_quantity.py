"""Numbers in text: durations, sizes, percentages, and numbers as people write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.quantity import bytes_of, parse_number_form, ratio_of, seconds_of
from exporter.model.samples import Number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H2M3S", 3723), ("P1DT2H", 93600), ("P2W", 1209600), ("PT0.25S", 0.25), ("PT0,5S", 0.5), ("-PT1M", -60),
        ("PT36H", 129600), ("P0D", 0), ("1h2m", 3720), ("1h 2m 3s", 3723), ("250ms", 0.25), ("1.5h", 5400),
        ("300µs", 0.0003), ("300us", 0.0003), ("5ns", 5e-9), ("-2m", -120), ("+2m", 120), ("3 days", 259200),
        ("1 day 2 hours", 93600), ("2 min", 120), (" 90s ", 90), ("01:02:03", 3723), ("120:00:00.5", 432000.5),
        ("-00:00:01", -1), ("1 day 02:03:04", 93784), ("2 days, 0:00:01", 172801), ("1m1m", 120),
        ("-1 day, 23:59:59", -1), ("-2 days, 12:00:00", -129600), ("-1 day 00:00:00", -86400), ("-P1DT1H", -90000),
    ],
)  # fmt: skip
def test_a_duration_is_its_seconds(text: str, seconds: Number) -> None:
    """ISO 8601, units behind numbers, and the clock's form."""
    assert seconds_of(text) == seconds


@given(st.timedeltas())
def test_a_duration_as_python_writes_it_is_read(duration: timedelta) -> None:
    """Of either sign: its days may be negative, and its clock never is."""
    assert seconds_of(str(duration)) == pytest.approx(duration.total_seconds(), rel=1e-15)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024), ("0", 0), ("20kB", 20000), ("20 KB", 20000), ("1.5 GiB", 1610612736), ("512Mi", 536870912),
        ("3 bytes", 3), ("2B", 2), ("1E", 10**18), ("-1 KiB", -1024), ("0.1k", 100), ("0.0005kB", 0.5),
    ],
)  # fmt: skip
def test_a_size_is_its_bytes(text: str, size: Number) -> None:
    """Units of 1000 and of 1024; without a unit it is in bytes."""
    assert bytes_of(text) == size


@pytest.mark.parametrize(("text", "ratio"), [("85%", 0.85), ("12.5 %", 0.125), ("100", 1), ("-5%", -0.05), ("0%", 0)])
def test_a_percentage_is_a_ratio(text: str, ratio: Number) -> None:
    """With the sign or without."""
    assert ratio_of(text) == ratio


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (seconds_of, ("", "90", "P", "PT", "P1", "P1Y", "P1M", "P1DT", "PT1M1H", "1x", "h", "1h-2m", "02:03", "1:60:00",
                      "01:02:03x", "1 month", "1y", "PT١S", "1e3s", "1h" * 51)),
        (bytes_of, ("", "x", "1 Mb", "1 kb", "1 XB", "1,5 kB", "1 2", "GB", "١", "9" * 101)),
        (ratio_of, ("", "%", "85 percent", "85%%", "8,5%", "0x1%")),
    ],
)  # fmt: skip
def test_what_is_no_such_quantity_is_not_guessed(read: Callable[[str], Number], texts: tuple[str, ...]) -> None:
    """Years and months have no fixed length, `02:03` may be two things, and `Mb` may be bits."""
    for text in texts:
        with pytest.raises(ValueError, match="not a "):
            read(text)


@pytest.mark.parametrize(
    ("form", "text", "plain"),
    [
        ("1.234,56", "1.234,56", "1234.56"), ("1.234,56", "1.234.567", "1234567"), ("1.234,56", "-12,5", "-12.5"),
        ("1.234,56", "1234,5", "1234.5"), ("1,234.56", "1,234.56 MB", "1234.56 MB"), ("1 234,56", "1 234,5", "1234.5"),
        ("1 234,56", "1\u202f234\u00a0567,5 %", "1234567.5 %"), ("1'234.56", "1’234.50", "1234.50"),
        ("1234,56", "0,5", "0.5"), ("1234,56", "7", "7"),
    ],
)  # fmt: skip
def test_a_number_is_read_in_the_form_that_is_declared(form: str, text: str, plain: str) -> None:
    """The form is how 1234.56 is written; groups may be left out, and what is behind the number stays."""
    found = parse_number_form(form)
    assert found is not None
    assert found.plain(text) == plain


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("1.234,56", "1.23"), ("1.234,56", "1,234.5"), ("1.234,56", "1.2345"), ("1,234.56", "1,23"), ("1234,56", "1.5"),
        ("1.234,56", ""), ("1.234,56", "x"), ("1,234.56", "1.234,5"), ("1 234,56", "1" * 101),
    ],
)  # fmt: skip
def test_a_number_in_another_form_is_none(form: str, text: str) -> None:
    """A thousandth of a figure, or a thousand times as much, is never published."""
    found = parse_number_form(form)
    assert found is not None
    with pytest.raises(ValueError, match="not a "):
        found.plain(text)


@pytest.mark.parametrize("text", ["1234.56", "1.234.56", "1,234,56", "iso", "%d", "1_234.56", "2.345,67"])
def test_another_text_is_no_form_of_numbers(text: str) -> None:
    """The plain form needs no declaration, and is a text of strftime at most."""
    found = parse_number_form(text)
    assert found is None or (text, found.group, found.point) == ("1234.56", "", ".")


@given(st.text(alphabet="0123456789.,:+-PTDHMSdhms %KiB'day ").map(lambda text: text * 10_000) | st.text())
def test_no_text_makes_reading_slow_or_fail(text: str) -> None:
    """Whatever an API says is a number, or is not, at once: a look from each of its characters would have no end."""
    form = parse_number_form("1.234,56")
    assert form is not None
    for read in (seconds_of, bytes_of, ratio_of, form.plain):
        try:
            read(text)
        except ValueError:
            continue
