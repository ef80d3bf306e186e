"""How an API writes times, both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.samples import Json
from exporter.model.time_format import ISO, TimeFormat, iso_text, parse_time_format, unix_seconds

COLOMBO = timezone(timedelta(hours=5, minutes=30))
MOMENT = datetime(2021, 8, 16, 12, 0, 0, 250_000, tzinfo=COLOMBO)
NOON = 1629095400.0


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("iso", "2021-08-16T12:00:00.250+05:30"),
        ("date", "2021-08-16"),
        ("unix", NOON + 0.25),
        ("unix_ms", 1629095400250),
        ("%d.%m.%Y %H:%M", "16.08.2021 12:00"),
    ],
)
def test_a_moment_is_written_as_the_api_wants_it(form: str, written: Json) -> None:
    """By the clock of the moment's own zone."""
    assert parse_time_format(form).write(MOMENT) == written


def test_whole_seconds_are_a_whole_number() -> None:
    """Servers take no 1629095400.0 for a variable of type Int."""
    assert type(TimeFormat("unix").write(MOMENT.replace(microsecond=0))) is int


@pytest.mark.parametrize(
    ("form", "value", "seconds"),
    [
        ("iso", "2021-08-16T12:00:00+05:30", NOON),
        ("iso", " 2021-08-16 ", NOON - 12 * 3600),
        ("date", "2021-08-16", NOON - 12 * 3600),
        ("unix", 1629095400, NOON),
        ("unix", "1629095400", NOON),
        ("unix_ms", "1629095400000", NOON),
        ("%d.%m.%Y %H:%M", "16.08.2021 12:00", NOON),
        ("%d.%m.%Y %H:%M %z", "16.08.2021 06:30 +0000", NOON),
    ],
)
def test_a_time_is_read_from_each_form(form: str, value: Json, seconds: float) -> None:
    """Where a text has no offset, the zone says which clock is meant."""
    assert TimeFormat(form).read(value, COLOMBO) == seconds


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("iso", "yesterday"),
        ("iso", 1629095400),
        ("iso", None),
        ("date", "2021-08-16T12:00:00Z"),
        ("date", "2021-13-01"),
        ("unix", True),
        ("unix", "12:00"),
        ("unix", "1" * 30),
        ("unix_ms", [1]),
        ("%d.%m.%Y", "2021-08-16"),
    ],
)
def test_what_is_in_no_such_form_is_refused(form: str, value: Json) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"."):
        TimeFormat(form).read(value, UTC)


@pytest.mark.parametrize("text", ["", "ISO", "seconds", "%", "%Q", "%d.%", "dd.mm"])
def test_a_form_that_nobody_knows_is_refused_with_the_forms(text: str) -> None:
    """The message has the words and an example."""
    with pytest.raises(ValueError, match="write iso, date, unix, unix_ms, or a strftime text such as"):
        parse_time_format(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00", 0),
        ("1970-01-01t00:00:00,5z", 0.5),
        ("1970-01-01 00:00:00.123456789 +00", 0.123456789),
        ("1970-01-01T00:00:00-05:30", 5.5 * 3600),
        ("1970-01-01T05:30:00+0530", 0),
        ("1969-12-31T23:59:59.25Z", -0.75),
    ],
)
def test_time_stamps_of_iso_8601_are_read(text: str, seconds: float) -> None:
    """Any offset, up to nine digits of a second, before 1970 too."""
    assert unix_seconds(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["", "1970-01-01", "1970-01-01T00:00:00+5", "1970-01-01T00:00:00.1234567890Z", "٣"])
def test_other_texts_are_no_time_stamps(text: str) -> None:
    """A date alone, half an offset, ten digits and digits of other scripts are none."""
    with pytest.raises(ValueError, match="not an ISO 8601 time stamp"):
        unix_seconds(text)


@given(st.datetimes(timezones=st.just(ZoneInfo("Asia/Colombo")), min_value=datetime(1950, 1, 1)))
def test_what_is_written_is_read_again(moment: datetime) -> None:
    """To the millisecond that is written."""
    written = iso_text(moment)
    assert ISO.read(written, UTC) == pytest.approx(moment.timestamp(), abs=1e-3)
