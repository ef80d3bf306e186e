"""Windows, periods and buckets over changes of the clock and ends of months, in zones with every oddity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.window import CALENDAR_PERIODS, Period, Window, floor, last_bucket, period_end, period_start

ZONES = (
    "UTC",
    "Asia/Colombo",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # a change of half an hour
    "America/Havana",  # midnight comes twice
    "America/Sao_Paulo",  # midnight was skipped
    "Asia/Amman",  # the first midnight of a month was skipped
    "Asia/Beirut",
    "Atlantic/Azores",
    "Pacific/Apia",  # a whole day was skipped
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)
MINUTES = (1, 5, 10, 15, 30, 60, 90, 120, 180, 240, 360, 480, 720, 1440, 7 * 1440)
MICROSECOND = timedelta(microseconds=1)

zones = st.sampled_from(ZONES).map(ZoneInfo)
aligns = st.sampled_from(MINUTES).map(lambda minutes: timedelta(minutes=minutes))
PERIODS: list[Period] = [
    *CALENDAR_PERIODS,
    *(timedelta(hours=hours) for hours in (1, 5, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 30)),
]
periods = st.sampled_from(PERIODS)


def transitions(zone: tzinfo) -> list[datetime]:
    """The instants at which the zone's clock changes, to the hour, in the years that are tested."""
    hours = (datetime(2011, 1, 1, tzinfo=UTC) + timedelta(hours=12 * n) for n in range(2 * 366 * 14))
    found, before = [], None
    for hour in hours:
        offset = hour.astimezone(zone).utcoffset()
        if before is not None and offset != before:
            found.append(hour)
        before = offset
    return found


NEAR = {key: transitions(ZoneInfo(key)) or [datetime(2024, 2, 29, tzinfo=UTC)] for key in ZONES}


@st.composite
def places(draw: st.DrawFn) -> tuple[datetime, tzinfo]:
    """A moment and a zone; most moments are near a change of the zone's clock or the end of a month."""
    key = draw(st.sampled_from(ZONES))
    near = draw(
        st.sampled_from(NEAR[key])
        | st.builds(datetime, st.integers(2011, 2024), st.integers(1, 12), st.just(1), tzinfo=st.just(UTC))
    )
    seconds = draw(st.integers(-129_600, 129_600) | st.integers(-72, 72).map(lambda half: half * 1800))
    micros = draw(st.sampled_from([0, 0, -1, 1, 499_999]))
    return near + timedelta(seconds=seconds, microseconds=micros), ZoneInfo(key)


def real(start: datetime, end: datetime) -> timedelta:
    """Real time between two instants (Python subtracts clock readings within one zone)."""
    return end.astimezone(UTC) - start.astimezone(UTC)


def is_real(moment: datetime) -> bool:
    """Whether the clock of its zone ever shows it."""
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return (back.replace(tzinfo=None), back.utcoffset()) == (moment.replace(tzinfo=None), moment.utcoffset())


@given(places(), aligns)
@example((datetime(2024, 11, 3, 5, 30, tzinfo=UTC), ZoneInfo("America/Havana")), timedelta(days=1))
@example((datetime(2024, 10, 27, 1, 10, tzinfo=UTC), ZoneInfo("Europe/Berlin")), timedelta(minutes=90))
def test_a_floor_is_a_real_instant_never_after_the_moment(place: tuple[datetime, tzinfo], align: timedelta) -> None:
    """A window never ends in the future, nor at a time that the clock skipped, nor more than an alignment ago."""
    moment, zone = place
    end = floor(moment, align, zone)
    assert timedelta(0) <= real(end, moment) < align + timedelta(hours=25)
    assert is_real(end)
    assert real(floor(end, align, zone), end) == timedelta(0)


@given(places(), aligns, st.integers(0, 7200))
def test_time_goes_on_and_so_does_the_floor(place: tuple[datetime, tzinfo], align: timedelta, seconds: int) -> None:
    """A later poll never asks for an earlier window, even when the clock is set back."""
    moment, zone = place
    later = moment + timedelta(seconds=seconds)
    assert real(floor(moment, align, zone), floor(later, align, zone)) >= timedelta(0)


@given(places(), aligns, st.sampled_from(MINUTES), st.integers(0, 3600))
def test_a_window_has_its_length_and_ends_before_the_delay(
    place: tuple[datetime, tzinfo], align: timedelta, length: int, delay: int
) -> None:
    """A window is as long as configured, in real time, and all of it is older than the delay."""
    moment, zone = place
    window = Window(timedelta(minutes=length), timedelta(seconds=delay), align, zone)
    found = window.at(moment)
    if length % 1440:
        assert real(found.start, found.end) == window.length
    else:
        assert abs(real(found.start, found.end) - window.length) <= timedelta(hours=24)
    assert real(found.end, moment) >= window.delay
    assert is_real(found.start)
    assert is_real(found.end)


@given(places(), periods)
@example((datetime(2016, 4, 1, 12, tzinfo=UTC), ZoneInfo("Asia/Amman")), "month")
@example((datetime(2018, 11, 4, 12, tzinfo=UTC), ZoneInfo("America/Sao_Paulo")), "day")
@example((datetime(2011, 12, 30, 10, tzinfo=UTC), ZoneInfo("Pacific/Apia")), "day")
@example((datetime(2024, 11, 3, 5, 30, tzinfo=UTC), ZoneInfo("America/Havana")), "day")
def test_an_instant_stands_in_its_period(place: tuple[datetime, tzinfo], period: Period) -> None:
    """A counter's window end lies after its period's start, and not after its period's end."""
    moment, zone = place
    start = period_start(moment, period, zone)
    end = period_end(start, period, zone)
    assert real(start, moment) > timedelta(0)
    assert real(moment, end) >= timedelta(0)
    assert is_real(start)
    assert is_real(end)


@given(places(), periods)
def test_periods_follow_each_other_without_gap_or_overlap(place: tuple[datetime, tzinfo], period: Period) -> None:
    """Every request is counted in exactly one period."""
    moment, zone = place
    start = period_start(moment, period, zone)
    for _ in range(3):
        end = period_end(start, period, zone)
        assert real(start, end) > timedelta(0)
        assert real(period_start(end, period, zone), start) == timedelta(0)
        assert real(period_start(end.astimezone(UTC) + MICROSECOND, period, zone), end) == timedelta(0)
        start = end


@given(places(), aligns)
@example((datetime(2024, 3, 31, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin")), timedelta(minutes=1))
@example(  # 03:00, where a bucket would begin, is skipped, and the clock goes on at 03:45
    place=(datetime(2011, 9, 24, 14, 44, 59, tzinfo=UTC), ZoneInfo("Pacific/Chatham")), width=timedelta(minutes=90)
)
def test_the_last_bucket_is_whole_and_over(place: tuple[datetime, tzinfo], width: timedelta) -> None:
    """A bucket is published only when it has ended, and the one before ends where it begins."""
    moment, zone = place
    bucket = last_bucket(moment, width, zone)
    assert real(bucket.end, moment) >= timedelta(0)
    assert real(bucket.start, bucket.end) > timedelta(0)
    assert last_bucket(bucket.end, width, zone) == bucket
    assert real(last_bucket(bucket.start, width, zone).end, bucket.start) == timedelta(0)
