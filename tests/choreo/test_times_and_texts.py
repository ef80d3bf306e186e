"""Times as APIs want them and numbers as they write them: a running exporter against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.support.json_server import json_server
from tests.support.processes import Exporter, Snapshot

ZONE: Final = ZoneInfo("Asia/Kathmandu")  # 5:45 before UTC, all the year
LENGTH: Final = timedelta(minutes=5)


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


FORMS: Final[dict[str, Callable[[datetime], Any]]] = {
    "iso": iso,
    "date": lambda moment: f"{moment:%Y-%m-%d}",
    "unix": lambda moment: int(moment.timestamp()),
    "unix_ms": lambda moment: int(moment.timestamp()) * 1000,
    "'%d.%m.%Y %H:%M'": lambda moment: f"{moment:%d.%m.%Y %H:%M}",
}
PERIODS: Final[dict[str, Callable[[datetime], datetime]]] = {
    "day": midnight,
    "week": lambda moment: midnight(moment - timedelta(days=moment.weekday())),
    "7d": lambda moment: midnight(moment - timedelta(days=moment.weekday())),
    "month": lambda moment: midnight(moment.replace(day=1)),
    "quarter": lambda moment: midnight(moment.replace(day=1, month=(moment.month - 1) // 3 * 3 + 1)),
    "year": lambda moment: midnight(moment.replace(day=1, month=1)),
}
JOBS: Final = [
    {
        "id": "a", "took": "PT1H2M", "memory": "1.5 GiB", "cpu": "85 %", "status": "running, 7 of 9 steps",
        "price": "1.204,50", "due": "2026-05-31", "made": 1767225600000, "ended": "04.05.2026 12:30",
    },
    {
        "id": "b", "took": "00:00:09", "memory": "20 kB", "cpu": "3%", "status": "waiting", "price": "0,99",
        "due": "2026-06-01T08:00:00+02:00", "made": 1767225600500, "ended": None,
    },
    {
        "id": "c", "took": "soon", "memory": "much", "cpu": "all", "status": "", "price": "free",
        "due": "tomorrow", "made": None, "ended": "4 May",
    },
]  # fmt: skip
READ: Final = {
    "job_duration_seconds": {"a": 3720, "b": 9},
    "job_memory_bytes": {"a": 1.5 * 2**30, "b": 20_000},
    "job_cpu_ratio": {"a": 0.85, "b": 0.03},
    "job_done_steps": {"a": 7},
    "job_price_euros": {"a": 1204.5, "b": 0.99},
    "job_due_timestamp_seconds": {"a": 1780185600 - 20700, "b": 1780293600},  # a date is midnight in the time zone
    "job_made_timestamp_seconds": {"a": 1767225600, "b": 1767225600.5},
    "job_ended_timestamp_seconds": {"a": 1777897800 - 20700},
}
CONFIG: Final = """
  - name: jobs
    interval: 30d
    document: "{ jobs { id took memory cpu status price due made ended } }"
    rows: jobs
    labels: {id: id}
    metrics:
      - {name: job_duration_seconds, help: Time., value: took, from: duration}
      - {name: job_memory_bytes, help: Memory., value: memory, from: size}
      - {name: job_cpu_ratio, help: Processor., value: cpu, from: percent}
      - {name: job_done_steps, help: Steps., value: status, pattern: "([0-9]+) of [0-9]+ steps"}
      - {name: job_price_euros, help: Price., value: price, from: string, format: "1.234,56"}
      - {name: job_due_timestamp_seconds, help: Due., value: due, from: timestamp}
      - {name: job_made_timestamp_seconds, help: Made., value: made, from: timestamp, format: unix_ms}
      - {name: job_ended_timestamp_seconds, help: Ended., value: ended, from: timestamp, format: "%d.%m.%Y %H:%M"}
"""


def form_query(number: int, form: str) -> str:
    kind = "Int!" if form == "unix" else "Float!" if form == "unix_ms" else "String!"
    return f"""
  - name: form_{number}
    window: {{length: 5m, align: 5m, format: {form}}}
    document: |
      query ($from: {kind}, $to: {kind}, $day: Int!) {{ form(number: {number}, from: $from, to: $to, day: $day) }}
    variables: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}", day: "{{{{ window.end_day }}}}"}}
    metrics: [{{name: form_{number}, help: A., value: form}}]
"""


def period_query(number: int, period: str) -> str:
    return f"""
  - name: period_{period}
    window: {{length: 5m, align: 5m}}
    period: {period}
    document: "query ($from: String!, $year: Int!) {{ period(number: {number}, from: $from, year: $year) }}"
    variables: {{from: "{{{{ period.start }}}}", year: "{{{{ period.start_year }}}}"}}
    metrics: [{{name: period_{period}_total, help: A., type: counter, value: period}}]
"""


class Polled(NamedTuple):
    """The page after the first poll of each query, and the first variables that were sent for each document."""

    page: Snapshot
    sent: dict[str, dict[str, Any]]

    def end_of(self, query: str) -> datetime:
        """The end of the window that a query asked for."""
        end = self.page.total("insights_exporter_query_window_end_timestamp_seconds", query=query)
        return datetime.fromtimestamp(end, ZONE)


def form_name(form: str) -> str:
    return f"form_{list(FORMS).index(form)}"


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    """One exporter that polls all of them once."""
    folder = tmp_path_factory.mktemp("times")
    documents: dict[str, dict[str, Any]] = {}

    def answer(_: str, __: object, body: Any) -> Any:
        documents.setdefault(body["query"], body.get("variables") or {})
        return {"data": {"form": 1, "period": 1, "jobs": JOBS}}

    with json_server(answer) as url:
        queries = CONFIG + "".join(form_query(number, form) for number, form in enumerate(FORMS))
        queries += "".join(period_query(number, period) for number, period in enumerate(PERIODS, len(FORMS)))
        source = f"sources: [{{name: api, url: '{url}', timezone: Asia/Kathmandu}}]"
        (folder / "config.yaml").write_text(f"{source}\nqueries:{queries}")
        with Exporter(folder / "config.yaml", folder / "log") as exporter:
            exporter.wait_until_ready()
            page = Snapshot(exporter.page())
            names = [*map(form_name, FORMS), *(f"period_{period}" for period in PERIODS)]
            sent = {
                name: variables
                for document, variables in documents.items()
                for number, name in enumerate(names)
                if f"number: {number}," in document
            }
            assert len(sent) == len(names), exporter.log
            yield Polled(page, sent)


@pytest.mark.parametrize("form", FORMS)
def test_a_window_is_sent_as_the_api_wants_it(polled: Polled, form: str) -> None:
    """Its start and its end come in one form, as text or as numbers, by the clock of the time zone."""
    end = polled.end_of(form_name(form))
    of = FORMS[form]
    assert polled.sent[form_name(form)] == {"from": of(end - LENGTH), "to": of(end), "day": end.day}


@pytest.mark.parametrize("period", PERIODS)
def test_a_period_begins_by_the_calendar_of_its_time_zone(polled: Polled, period: str) -> None:
    """Weeks on Monday, quarters in January, April, July and October, all at midnight there; a metric says when."""
    name = f"period_{period}"
    start = PERIODS[period](polled.end_of(name) - timedelta(seconds=1))
    assert polled.sent[name] == {"from": iso(start), "year": start.year}
    said = polled.page.total("insights_exporter_query_period_start_timestamp_seconds", query=name)
    assert said == start.timestamp()


@pytest.mark.parametrize("name", READ)
def test_numbers_and_times_are_read_from_text(polled: Polled, name: str) -> None:
    """Durations, sizes, percent, parts of a text, local numbers and times; what cannot be read is no sample."""
    assert {labels["id"]: value for labels, value in polled.page.samples(name)} == READ[name]


def test_what_cannot_be_read_is_counted(polled: Polled) -> None:
    """No value disappears without a count."""
    assert polled.page.total("insights_exporter_values_skipped_total", query="jobs") == 8
