"""What a configuration can say of any GraphQL API: each form with right values, by hand from the API's answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent, indent

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text_format

from exporter.config.load import load
from exporter.config.named_files import watched
from exporter.exposition.lines import Format
from exporter.model.errors import ConfigError, ResultFailure
from exporter.model.outcome import PollOutcome, Response, Result
from exporter.model.samples import Json
from exporter.model.window import TimeRange
from exporter.plan.operation import FeedingRow, Moment, label_values, moment_at, operation, targets
from exporter.plan.plan import Plan, Target
from exporter.plan.planner import plan
from exporter.polling.course import courses
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from exporter.series.store import Owner, Store
from tests.support.graphql_api import graphql_api
from tests.support.processes import Exporter

END = datetime(2021, 8, 16, 12, 7, tzinfo=UTC)
MOMENT = Moment(TimeRange(END - timedelta(minutes=5), END), datetime(2021, 8, 16, tzinfo=UTC))
Loader = Callable[..., Plan]
Found = dict[tuple[str, ...], float]


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """What makes the plan of these queries, against this schema if there is one."""

    def loads(queries: str, sdl: str = "", source: str = "", sources: str = "") -> Plan:
        (tmp_path / "schema.graphql").write_text(sdl)
        schema = f", schema: {tmp_path / 'schema.graphql'}" if sdl else ""
        file = tmp_path / "config.yaml"
        one = f'\n  - {{name: api, url: "https://api.example/graphql"{schema}{source}}}'
        top = f"sources:{sources or one}\nqueries:\n"
        file.write_text(top + indent(dedent(queries), "  "))
        return plan(load(file, {}))

    return loads


def result(
    made: Plan,
    data: Mapping[str, Json],
    rows: Mapping[str, Sequence[Mapping[str, Json]]] = {},
    target: Mapping[str, Json] = {},
) -> Result:
    """What comes of an answer to the last query."""
    around = Surroundings(label_values(made.sources[0], Target(target)), rows=rows)
    return extract(made.queries[-1], [Response(dict(data), ())], around, MOMENT)


def series(found: Result) -> dict[str, Found]:
    """The series by the name of their family."""
    return {samples.family.name: dict(samples.series) for samples in found.samples}


def refusal(made: Callable[[], Plan]) -> list[str]:
    """What is wrong, without the file."""
    with pytest.raises(ConfigError) as refused:
        made()
    return [str(problem).partition(".yaml:")[2] for problem in refused.value.problems]


# ---------------------------------------------------------------------------------------------- counters


def polls(made: Plan, *answers: Mapping[str, Json]) -> list[list[str]]:
    """The lines of the page after each of these answers to the only query."""
    query, source = made.queries[0], made.sources[0]
    store, owner, target = Store(100), Owner(query.name, source.name, ""), Target({})
    pages = []
    for number, data in enumerate(answers):
        moment = Moment() if query.period is None else MOMENT
        found = extract(query, [Response(dict(data), ())], Surroundings(), moment)
        store.fold(owner, target, PollOutcome(0.1, found), at=60.0 * number, time=60.0 * number)
        lines = b"".join(store.page().raw(Format.TEXT)).decode().splitlines()
        pages.append([line for line in lines if not line.startswith("#")])
    return pages


def test_a_counter_of_the_api_is_published_as_it_comes(loader: Loader) -> None:
    """A lifetime counter needs no period; a restart of the API's server, 2000 to 3, is on the page at once. So
    is a row that is new, as it may have counted before it was shown."""
    made = loader("""
    - name: servers
      document: "{ servers { name requests } }"
      rows: servers
      metrics: [{name: api_requests_total, type: counter, help: R., value: requests, labels: {name: name}}]
    """)
    answers: list[Mapping[str, Json]] = [
        {"servers": [{"name": "a", "requests": 2000}]},
        {"servers": [{"name": "a", "requests": 3}, {"name": "b", "requests": 70}]},
        {"servers": [{"name": "a", "requests": 4}, {"name": "b", "requests": 60}]},
    ]
    assert polls(made, *answers) == [
        ['api_requests_total{name="a"} 2000'],
        ['api_requests_total{name="a"} 3', 'api_requests_total{name="b"} 70'],
        ['api_requests_total{name="a"} 4', 'api_requests_total{name="b"} 60'],
    ]
    assert not made.warnings
    assert "counted from" not in made.families[0].help


PERIOD = """
- name: q
  window: {length: 5m}
  period: day
  document: "query ($from: String!) { calls(filter: {range: [{from: $from}]}) { n } }"
  variables: {from: "{{ period.START }}"}
  metrics: [{name: calls_total, type: counter, help: C., value: calls.n}]
"""


@pytest.mark.parametrize("start", ["start", "start_unix"])
def test_a_counter_of_a_period_is_held_within_it(loader: Loader, start: str) -> None:
    """What is asked for from the period's start, however deep in an argument, does not fall before its end."""
    made = loader(PERIOD.replace("START", start))
    answers: list[Mapping[str, Json]] = [{"calls": {"n": 2000}}, {"calls": {"n": 3}}]
    assert polls(made, *answers) == [["calls_total 2000"], ["calls_total 2000"]]
    assert not made.warnings


def test_a_period_that_nothing_asks_for_is_warned_of(loader: Loader) -> None:
    """Another field that is asked from the period's start does not help the one that is not."""
    made = loader("""
    - name: q
      window: {length: 5m}
      period: day
      document: "query ($from: String!) { today: calls(from: $from) { n } ever: calls { n } }"
      variables: {from: "{{ period.start }}"}
      metrics:
        - {name: today_total, type: counter, help: C., value: today.n}
        - {name: ever_total, type: counter, help: C., value: ever.n}
    """)
    assert [problem.key for problem in made.warnings] == ["queries[0].metrics[1].type"]


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        ("value: recent.n", "the figure of a window is not a counter, because each window begins at 0"),
        ("value: 1, aggregate: sum", "a counter of rows needs the query's period, from whose start it counts"),
    ],
)
def test_what_is_no_counter_is_refused(loader: Loader, metric: str, wrong: str) -> None:
    """Without a period, neither a window's figure nor a number of rows counts up."""
    refused = refusal(lambda: loader(f"""
    - name: q
      window: {{length: 5m}}
      document: "query ($from: String!) {{ recent: calls(from: $from) {{ n }} ever: calls {{ n }} }}"
      variables: {{from: "{{{{ window.start }}}}"}}
      metrics:
        - {{name: calls_total, type: counter, help: C., {metric}}}
        - {{name: ever_total, type: counter, help: C., value: ever.n}}
    """))  # fmt: skip
    assert [wrong in line for line in refused] == [True]


# ---------------------------------------------------------------------------------------------- words


SERVERS = "type Query { servers: [Server] } type Server { id: ID!, state: State, on: Boolean, level: Float } "
SERVERS += "enum State { UP DOWN DEGRADED }"


def of_servers(loader: Loader, metric: str, servers: Sequence[Mapping[str, Json]]) -> tuple[Found, Mapping[str, int]]:
    """The series of one metric of servers, and what was left out."""
    made = loader(
        f"""
    - name: q
      document: "{{ servers {{ id state on level }} }}"
      rows: servers
      metrics: [{{name: m, help: M., {metric}}}]
    """,
        SERVERS,
    )
    found = result(made, {"servers": [{"id": "", "state": None, "on": None, "level": None, **one} for one in servers]})
    return series(found)["m"], found.skipped


@pytest.mark.parametrize(
    ("metric", "values", "expected", "skipped"),
    [
        ("value: state, map: {UP: 1, DOWN: 0}", {"state": ["UP", "DOWN", "DEGRADED", None]}, [1, 0], 1),
        ("value: state, map: {UP: 1}, default: 0.5", {"state": ["UP", "DOWN", "NEW", None]}, [1, 0.5, 0.5], 0),
        ("value: state, from: enum, map: {UP: 1}, default: 0", {"state": ["UP", "x"]}, [1, 0], 0),
        ('value: "on", map: {"true": 0, "false": 7}', {"on": [True, False, None]}, [0, 7], 0),
        ("value: level, map: {1: 10, 2.5: 20, -3: 5}", {"level": [1, 1.0, 2.5, -3, 4, None]}, [10, 10, 20, 5], 1),
        ("value: level, map: {1: 10}, default: 0", {"level": [1, 7]}, [10, 0], 0),
    ],
)
def test_words_numbers_and_booleans_have_numbers(
    loader: Loader, metric: str, values: Mapping[str, Sequence[Json]], expected: list[float], skipped: int
) -> None:
    """`map` gives the number of each word; `default` that of all others; what has none is left out and counted, and
    null is never a word."""
    ((key, words),) = values.items()
    servers = [{"id": str(at), key: word} for at, word in enumerate(words)]
    found, left_out = of_servers(loader, f"{metric}, labels: {{id: id}}", servers)
    assert list(found.values()) == expected
    assert sum(left_out.values()) == skipped


def test_a_state_is_a_series_for_each_word(loader: Loader) -> None:
    """1 for the one that is, 0 for the others. A word that is none of them is counted, and all are 0; null is no
    series."""
    servers: list[Mapping[str, Json]] = [
        {"id": "a", "state": "UP"}, {"id": "b", "state": "DEGRADED"}, {"id": "c"}, {"id": "d", "state": "DOWN"}
    ]  # fmt: skip
    found, skipped = of_servers(loader, "value: state, states: [UP, DOWN], labels: {id: id}", servers)
    assert found == {
        ("a", "UP"): 1, ("a", "DOWN"): 0, ("b", "UP"): 0, ("b", "DOWN"): 0, ("d", "UP"): 0, ("d", "DOWN"): 1
    }  # fmt: skip
    assert skipped == {"not_in_map": 1}


def test_the_label_of_a_state_has_a_name_and_a_place(loader: Loader) -> None:
    """The label stands among the others by its name; states of booleans and numbers are told, too."""
    servers: list[Mapping[str, Json]] = [{"id": "a", "on": True, "level": 2}, {"id": "b", "on": False, "level": 0.5}]
    found, _ = of_servers(loader, 'value: "on", states: {label: a, words: [true, false]}, labels: {id: id}', servers)
    assert found == {("true", "a"): 1, ("false", "a"): 0, ("true", "b"): 0, ("false", "b"): 1}
    found, _ = of_servers(loader, "value: level, states: [0.5, 2, 3], aggregate: sum", [*servers, {"level": 2}])
    assert found == {("0.5",): 1, ("2",): 2, ("3",): 0}


# ---------------------------------------------------------------------------------------------- counting


TEAMS: Mapping[str, Json] = {
    "teams": [
        {"name": "red", "lead": "ann", "incidents": [{"id": 1, "state": "OPEN"}, {"id": 2, "state": "DONE"}]},
        {"name": "blue", "lead": None, "incidents": [{"id": 3, "state": None}, {"id": 4, "state": "OPEN"}]},
        {"name": "gold", "lead": "bob", "incidents": []},
        {"name": "grey", "lead": "cy", "incidents": None},
    ]
}


def of_teams(loader: Loader, metric: str, data: Mapping[str, Json] = TEAMS) -> Found:
    """The series of one metric of teams."""
    made = loader(f"""
    - name: q
      document: "{{ teams {{ name lead incidents {{ id state }} }} }}"
      rows: teams
      metrics: [{{name: m, help: M., {metric}}}]
    """)
    return series(result(made, data))["m"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("value: .", {(): 4}),
        ("value: 1", {(): 4}),
        ("value: name", {(): 4}),
        ("value: lead", {(): 3}),
        ("value: incidents", {(): 4}),
        ("value: incidents.state", {(): 3}),
        # of the grey ones, where the API says nothing, nothing is known
        ("value: incidents, labels: {team: name}", {("red",): 2, ("blue",): 2, ("gold",): 0}),
        ("value: incidents, labels: {state: state}", {("OPEN",): 2, ("DONE",): 1, ("",): 1}),
        ("value: incidents.state, states: [OPEN, DONE]", {("OPEN",): 2, ("DONE",): 1}),
        (
            "value: incidents.state, states: [OPEN, DONE], labels: {team: name}",
            {
                ("OPEN", "red"): 1, ("DONE", "red"): 1, ("OPEN", "blue"): 1, ("DONE", "blue"): 0,
                ("OPEN", "gold"): 0, ("DONE", "gold"): 0,
            },
        ),
        ("value: {const: 1, of: incidents}, labels: {team: name}", {("red",): 2, ("blue",): 2, ("gold",): 0}),
    ],
)  # fmt: skip
def test_rows_items_and_values_are_counted(loader: Loader, metric: str, expected: Found) -> None:
    """`aggregate: count` says how many rows, items of a list, or values that are not null there are; 0 where the list
    is empty and the labels belong to something around it."""
    assert of_teams(loader, f"{metric}, aggregate: count") == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("value: .", {(): 0}),
        ("value: incidents", {(): 0}),
        ("value: incidents.state, states: [OPEN, DONE]", {("OPEN",): 0, ("DONE",): 0}),
        ("value: incidents, labels: {team: name}", {}),
        ('value: incidents, labels: {team: {const: "all"}}', {("all",): 0}),
    ],
)
def test_an_empty_list_is_0(loader: Loader, metric: str, expected: Found) -> None:
    """No open incidents is 0, not absent, so that an alert on it can resolve."""
    assert of_teams(loader, f"{metric}, aggregate: count", {"teams": []}) == expected
    assert of_teams(loader, f"{metric}, aggregate: count", {"teams": None}) == {}


def test_a_constant_stands_for_each_item_of_a_list(loader: Loader) -> None:
    """What is below the rows has labels and the number 1; an item is a series."""
    metric = "value: {const: 1, of: incidents}, labels: {team: name, id: id, state: state}"
    assert of_teams(loader, metric) == {
        ("1", "OPEN", "red"): 1, ("2", "DONE", "red"): 1, ("3", "", "blue"): 1, ("4", "OPEN", "blue"): 1
    }  # fmt: skip


def test_rows_of_another_query_are_0_where_nothing_is_counted(loader: Loader) -> None:
    """What another query knows by name, and this answer does not have, is 0."""
    made = loader("""
    - {name: all, document: "{ teams { name } }", rows: teams}
    - name: q
      document: "{ incidents { team } }"
      rows: incidents
      metrics:
        - {name: m, help: M., value: ., aggregate: count, labels: {team: team},
           missing: {rows_of: all, labels: {team: name}}}
    """)
    rows = {"all": [{"name": "red"}, {"name": "blue"}]}
    assert series(result(made, {"incidents": [{"team": "red"}] * 3}, rows)) == {"m": {("red",): 3, ("blue",): 0}}
    assert series(result(made, {"incidents": []}, rows)) == {"m": {("red",): 0, ("blue",): 0}}


# ---------------------------------------------------------------------------------------------- dates and times


@pytest.mark.parametrize(
    ("form", "start", "end", "period"),
    [
        ("iso", "2026-03-28T00:00:00.000+01:00", "2026-03-29T00:00:00.000+01:00", "2026-03-28T00:00:00.000+01:00"),
        ("date", "2026-03-28", "2026-03-29", "2026-03-28"),
        ("unix", 1774652400, 1774738800, 1774652400),
        ("unix_ms", 1774652400000, 1774738800000, 1774652400000),
        ('"%d.%m.%Y %H:%M"', "28.03.2026 00:00", "29.03.2026 00:00", "28.03.2026 00:00"),
        ('"%Y%m%d"', "20260328", "20260329", "20260328"),
    ],
)
def test_times_are_sent_as_the_api_wants_them(loader: Loader, form: str, start: Json, end: Json, period: Json) -> None:
    """One `format` for the window and the period, by the clock of the time zone; each other form by a name of its own,
    whatever the format is."""
    made = loader(f"""
    - name: q
      timezone: Europe/Berlin
      window: {{length: 1d, align: 1d, format: {form}}}
      period: day
      document: "query ($a: X, $b: X, $c: X, $d: X, $e: X) {{ n(a: $a, b: $b, c: $c, d: $d, e: $e) }}"
      variables:
        a: "{{{{ window.start }}}}"
        b: "{{{{ window.end }}}}"
        c: "{{{{ period.start }}}}"
        d: ["{{{{ window.end_year }}}}", "{{{{ window.end_month }}}}", "{{{{ window.end_day }}}}"]
        e: "{{{{ period.start_date }}}} {{{{ window.start_unix }}}} {{{{ window.start_unix_ms }}}}"
      metrics: [{{name: n, help: N., value: n}}]
    """)
    query = made.queries[0]
    now = datetime(2026, 3, 29, 8, 30, tzinfo=UTC)  # in the night before, the clock went from +01:00 to +02:00
    sent = operation(query, made.sources[0], Target({}), moment_at(query, now, None), {}).variables
    assert sent == {"a": start, "b": end, "c": period, "d": [2026, 3, 29], "e": "2026-03-28 1774652400 1774652400000"}


@pytest.mark.parametrize(
    ("form", "values", "expected", "skipped"),
    [
        ("iso", ["2024-02-29", "2024-02-29T00:00:00+01:00", "2024-02-30", "", 5, None], [1709164800, 1709161200], 3),
        ("date", [" 2024-02-29 ", "2024-02-29T00:00:00Z", "20240229"], [1709164800], 2),
        ("unix", [1709164800, 1709164800.5, "1709164800", True, "x", "1_0"], [1709164800, 1709164800.5, 1709164800], 3),
        ("unix_ms", [1709164800500, "1709164800500", []], [1709164800.5, 1709164800.5], 0),
        ('"%d.%m.%Y"', ["29.02.2024", "29.2.2024", "02/29/2024", 1], [1709164800, 1709164800], 2),
        ('"%Y-%m-%d %H:%M %z"', ["2024-02-29 00:00 +0100"], [1709161200], 0),
    ],
)
def test_timestamps_are_read_as_the_api_writes_them(
    loader: Loader, form: str, values: list[Json], expected: list[float], skipped: int
) -> None:
    """A date alone is its midnight in UTC; what is not in the form is left out and counted."""
    made = loader(f"""
    - name: q
      document: "{{ tasks {{ id due }} }}"
      rows: tasks
      metrics: [{{name: m, help: M., value: due, from: timestamp, format: {form}, labels: {{id: id}}}}]
    """)
    found = result(made, {"tasks": [{"id": at, "due": value} for at, value in enumerate(values)]})
    assert list(series(found)["m"].values()) == expected
    assert sum(found.skipped.values()) == skipped


@pytest.mark.parametrize(
    ("form", "starts"),
    [
        ("iso", ["2021-08-16T11:00:00Z", "2021-08-16T12:00:00Z"]),
        ("unix", [1629111600, 1629115200]),
        ("unix_ms", ["1629111600000", "1629115200000"]),
        ('"%d.%m.%Y %H:%M"', ["16.08.2021 11:00", "16.08.2021 12:00"]),
    ],
)
def test_a_bucket_begins_as_the_api_writes_it(loader: Loader, form: str, starts: list[Json]) -> None:
    """The last whole bucket is found in each form; a start that cannot be read is counted."""
    made = loader(f"""
    - name: q
      window: {{length: 1h}}
      document: "{{ usage {{ span n }} }}"
      rows: usage
      metrics: [{{name: m, help: M., value: n, bucket: {{start: span, width: 1h, format: {form}}}}}]
    """)
    rows: list[Json] = [{"span": span, "n": at} for at, span in enumerate([*starts, "yesterday"], 1)]
    found = result(made, {"usage": rows})
    assert series(found) == {"m": {(): 1}}
    assert found.skipped == {"not_a_timestamp": 1}


def test_a_bucket_of_a_day_may_be_a_date(loader: Loader) -> None:
    """A date alone is a day of the query's own time zone."""
    made = loader("""
    - name: q
      timezone: Asia/Tokyo
      window: {length: 1d}
      document: "{ usage { day n } }"
      rows: usage
      metrics: [{name: m, help: M., value: n, bucket: {start: day, width: 1d}}]
    """)
    rows: list[Json] = [{"day": f"2026-03-{day}", "n": day} for day in (27, 28, 29)]
    moment = moment_at(made.queries[0], datetime(2026, 3, 28, 16, 0, tzinfo=UTC), None)  # the 29th in Tokyo
    found = extract(made.queries[0], [Response({"usage": rows})], Surroundings(), moment)
    assert series(found) == {"m": {(): 28}}


# ---------------------------------------------------------------------------------------------- numbers in text


@pytest.mark.parametrize(
    ("metric", "texts", "expected", "skipped"),
    [
        ("from: duration", ["PT1H30M", "2m", "00:00:05", "soon", 90], [5400, 120, 5], {"not_a_duration": 2}),
        ("from: size", ["1.5 KiB", "20kB", 7, 1e17, "1 Mb", True], [1536, 20000, 7, 1e17], {"not_a_size": 2}),
        ("from: percent", ["85 %", "3", 12.5, 1e-9, "high"], [0.85, 0.03, 0.125, 1e-11], {"not_a_percentage": 1}),
        ("pattern: 'load: ([0-9.]+)'", ["load: 0.5, 0.4", "idle", 3], [0.5], {"not_in_pattern": 2}),
        ("pattern: 'took (.*)$', from: duration", ["it took 2h", "it took long"], [7200], {"not_a_duration": 1}),
        ("pattern: '([0-9]+) ms', from_unit: milliseconds", ["of 250 ms"], [0.25], {}),
        ("pattern: 'since (.*)', from: timestamp", ["since 1970-01-02"], [86400], {}),
        ("pattern: '^([a-z]+)', map: {up: 1, down: 0}", ["up since 5", "down", "odd"], [1, 0], {"not_in_map": 1}),
        ("format: '1.234,56', from: string", ["1.234,56", "1.5", "7"], [1234.56, 7], {"not_a_number": 1}),
        ('format: "1\'234.56", from: size', ["1'024 kB"], [1024000], {}),
        ("format: '1 234,56', from: percent", ["8,5 %"], [0.085], {}),
        ("format: '1,234.56', pattern: 'of ([0-9.,]+)'", ["2 of 1,234.5"], [1234.5], {}),
    ],
)
def test_text_that_holds_a_number_is_read(
    loader: Loader, metric: str, texts: list[Json], expected: list[float], skipped: dict[str, int]
) -> None:
    """Durations, sizes, percentages, a part by a pattern, and numbers as they are written somewhere. What cannot be
    read is counted, not guessed."""
    made = loader(f"""
    - name: q
      document: "{{ things {{ id t }} }}"
      rows: things
      metrics: [{{name: m, help: M., value: t, labels: {{id: id}}, {metric}}}]
    """)
    found = result(made, {"things": [{"id": at, "t": text} for at, text in enumerate(texts)]})
    assert (list(series(found)["m"].values()), found.skipped) == (expected, skipped)


def test_a_state_may_be_a_part_of_a_text(loader: Loader) -> None:
    """`states` of what a pattern takes."""
    made = loader("""
    - name: q
      document: "{ t }"
      metrics: [{name: m, help: M., value: t, pattern: "^([A-Z]+)", states: [UP, DOWN]}]
    """)
    assert series(result(made, {"t": "DOWN for 3 h"})) == {"m": {("UP",): 0, ("DOWN",): 1}}


# ---------------------------------------------------------------------------------------------- the calendar


def period_starts(loader: Loader, period: str, now: datetime, *zones: str) -> list[Json]:
    """What is sent as the period's start at that moment, by the clock of each of these sources."""
    sources = "".join(
        f'\n  - {{name: s{at}, url: "https://api.example/graphql", labels: {{zone: "{zone}"}}, timezone: {zone}}}'
        for at, zone in enumerate(zones)
    )
    made = loader(
        f"""
    - name: q
      window: {{length: 1h, align: 1h}}
      period: {period}
      document: "query ($from: String!) {{ n(from: $from) }}"
      variables: {{from: "{{{{ period.start }}}}"}}
      metrics: [{{name: n_total, type: counter, help: N., value: n}}]
    """,
        sources=sources,
    )
    found = []
    for course in courses(made):
        moment = moment_at(course.query, now, None)
        found.append(operation(course.query, course.source, Target({}), moment, {}).variables["from"])
    return found


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("day", "2026-05-07"),
        ("1d", "2026-05-07"),
        ("week", "2026-05-04"),
        ("7d", "2026-05-04"),
        ("month", "2026-05-01"),
        ("quarter", "2026-04-01"),
        ("year", "2026-01-01"),
    ],
)
def test_a_period_is_of_the_calendar_of_its_time_zone(loader: Loader, period: str, start: str) -> None:
    """Days, weeks from Monday, months, quarters and years begin at midnight by the clock of each source. It is
    Thursday, the 7th of May 2026, at 12:30 in UTC."""
    now = datetime(2026, 5, 7, 12, 30, tzinfo=UTC)
    assert period_starts(loader, period, now, "UTC", "Europe/Berlin", "Asia/Kolkata") == [
        f"{start}T00:00:00.000+00:00",
        f"{start}T00:00:00.000+0{1 if start == '2026-01-01' else 2}:00",
        f"{start}T00:00:00.000+05:30",
    ]


def test_a_source_has_a_time_zone(loader: Loader) -> None:
    """A query without one is by the clock of each of its sources, times in answers without an offset included; one
    with its own is not. It is May in Kiribati, and still April in Samoa."""
    now = datetime(2026, 4, 30, 12, 30, tzinfo=UTC)
    assert period_starts(loader, "month", now, "Pacific/Kiritimati", "Pacific/Pago_Pago") == [
        "2026-05-01T00:00:00.000+14:00", "2026-04-01T00:00:00.000-11:00",
    ]  # fmt: skip
    sources = "".join(
        f'\n  - {{name: {name}, url: "https://api.example/graphql", labels: {{at: {name}}}, timezone: {zone}}}'
        for name, zone in (("tokyo", "Asia/Tokyo"), ("lima", "America/Lima"))
    )
    metrics = """
      document: "{ n }"
      metrics:
        - {name: NAME, help: N., value: n, from: timestamp}
        - {name: NAME_form, help: N., value: n, from: timestamp, format: "%Y-%m-%d %H:%M"}
    """
    made = loader(
        f"""
    - name: each
    {metrics.replace("NAME", "each")}
    - name: own
      timezone: Europe/Berlin
    {metrics.replace("NAME", "own")}
    """,
        sources=sources,
    )
    found = {}
    for course in courses(made):
        around = Surroundings(label_values(course.source, Target({})))
        samples = extract(course.query, [Response({"n": "2026-05-01 09:00"})], around, MOMENT).samples
        assert len({tuple(one.numbers) for one in samples}) == 1
        found[course.key] = samples[0].numbers[0]
    nine = datetime(2026, 5, 1, 9, tzinfo=UTC).timestamp()
    assert found == {
        ("each", "tokyo"): nine - 9 * 3600,
        ("each", "lima"): nine + 5 * 3600,
        ("own", "tokyo"): nine - 2 * 3600,
        ("own", "lima"): nine - 2 * 3600,
    }


def test_a_time_with_an_offset_has_no_other(loader: Loader) -> None:
    """The time zone is for times that have none; a date is its midnight."""
    made = loader(
        """
    - name: q
      document: "{ things { at } }"
      rows: things
      metrics: [{name: m, help: M., value: at, from: timestamp, labels: {at: at}}]
    """,
        source=", timezone: Asia/Tokyo",
    )
    rows: list[Json] = [{"at": at} for at in ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00", "2026-05-01")]
    midnight = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
    assert list(series(result(made, {"things": rows}))["m"].values()) == [midnight, *[midnight - 9 * 3600] * 2]


# ---------------------------------------------------------------------------------------------- beside the rows


ORGANIZATIONS = """
- name: q
  document: |
    {
      rateLimit { remaining }
      organizations { login repositories { totalCount nodes { name stars } } }
    }
  rows: organizations.repositories.nodes
  metrics:
    - {name: m, help: M., METRIC}
"""
REPOSITORIES: Mapping[str, Json] = {
    "rateLimit": {"remaining": 4990},
    "organizations": [
        {"login": "a", "repositories": {"totalCount": 120, "nodes": [{"name": "x", "stars": 5}]}},
        {"login": "b", "repositories": {"totalCount": 0, "nodes": []}},
    ],
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("value: totalCount, labels: {organization: login}", {("a",): 120, ("b",): 0}),
        ("value: repositories.totalCount, labels: {organization: login}", {("a",): 120, ("b",): 0}),
        (
            "value: organizations.repositories.totalCount, labels: {organization: login}",
            {("a",): 120, ("b",): 0},
        ),
        ("value: rateLimit.remaining", {(): 4990}),
        ("value: organizations, aggregate: count", {(): 2}),
        ("value: stars, labels: {organization: login, name: name}", {("x", "a"): 5}),
    ],
)
def test_a_value_beside_the_rows_is_found_outwards(loader: Loader, metric: str, expected: Found) -> None:
    """As labels are: a connection's total is there once for each connection, a rate limit once, however many rows."""
    made = loader(ORGANIZATIONS.replace("METRIC", metric))
    assert series(result(made, REPOSITORIES)) == {"m": expected}


def test_a_value_beside_the_rows_is_that_of_the_last_page(loader: Loader) -> None:
    """Each page says it again; it is published once, as it was last."""
    made = loader(ORGANIZATIONS.replace("METRIC", "value: rateLimit.remaining"))
    pages = [Response(dict(REPOSITORIES)), Response({**REPOSITORIES, "rateLimit": {"remaining": 4980}})]
    assert series(extract(made.queries[0], pages, Surroundings(), MOMENT)) == {"m": {(): 4980}}


def test_labels_of_the_rows_are_not_those_of_what_is_around_them(loader: Loader) -> None:
    """A total of all rows has no name of one row."""
    metric = "value: totalCount, labels: {name: name}"
    assert refusal(lambda: loader(ORGANIZATIONS.replace("METRIC", metric))) == [
        "13: queries[0].metrics[0].labels.name: name is in the rows, and the value of m is outside them; leave the"
        " label out, or write {const: name} for that very text"
    ]


# ---------------------------------------------------------------------------------------------- selection


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("attributes[key=region].value", ["eu", "us", "", ""]),
        ('attributes[key="home region"].value', ["", "chile", "", ""]),
        ("attributes[on=true].value", ["eu", "", "", ""]),
        ("attributes[size=5].value", ["3", "", "", ""]),
    ],
)
def test_an_item_is_picked_by_a_field(loader: Loader, path: str, expected: list[str]) -> None:
    """The order of a list of keys and values does not matter; where there is no such item, the label is empty."""
    made = loader(f"""
    - name: q
      document: "{{ things {{ id attributes {{ key value on size }} }} }}"
      rows: things
      metrics: [{{name: m, help: M., value: 1, labels: {{id: id, x: '{path}'}}}}]
    """)
    rest: Json = {"on": None, "size": None}
    assert isinstance(rest, dict)
    things: list[Json] = [
        {"id": 1, "attributes": [
            {**rest, "key": "tier", "value": "3", "size": 5}, {**rest, "key": "region", "value": "eu", "on": True},
        ]},
        {"id": 2, "attributes": [
            {**rest, "key": "region", "value": "us"}, None, {**rest, "key": "home region", "value": "chile"},
        ]},
        {"id": 3, "attributes": []},
        {"id": 4, "attributes": None},
    ]  # fmt: skip
    assert [key[1] for key in series(result(made, {"things": things}))["m"]] == expected


def test_the_value_of_a_picked_item_is_a_value(loader: Loader) -> None:
    """Only the item with that key has a sample; null and an absent item have none."""
    made = loader("""
    - name: q
      document: "{ things { id attributes { key value } } }"
      rows: things
      metrics: [{name: m, help: M., value: "attributes[key=size].value", from: string, labels: {id: id}}]
    """)
    things: list[Json] = [
        {"id": 1, "attributes": [{"key": "x", "value": "9"}, {"key": "size", "value": "12"}]},
        {"id": 2, "attributes": [{"key": "x", "value": "9"}]},
        {"id": 3, "attributes": [{"key": "size", "value": None}]},
    ]
    assert series(result(made, {"things": things})) == {"m": {("1",): 12}}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{incidents.state: OPEN}", {("red",): 1, ("blue",): 1, ("gold",): 0}),
        ("{state: [OPEN, DONE]}", {("red",): 2, ("blue",): 1, ("gold",): 0}),
        ("{state: {not: DONE}}", {("red",): 1, ("blue",): 2, ("gold",): 0}),
        ("{state: {not: [DONE, null]}}", {("red",): 1, ("blue",): 1, ("gold",): 0}),
        ("{state: null}", {("red",): 0, ("blue",): 1, ("gold",): 0}),
        ("{state: OPEN, name: [red, gold]}", {("red",): 1, ("gold",): 0}),
        ("{name: {not: red}, id: [3, 4]}", {("blue",): 2, ("gold",): 0}),
        ("{id: [true]}", {("red",): 0, ("blue",): 0, ("gold",): 0}),
    ],
)
def test_only_what_is_selected_is_counted(loader: Loader, where: str, expected: Found) -> None:
    """`where` on a metric: a value, one of several, none of them; a team without an open incident has 0."""
    metric = f"value: incidents, aggregate: count, labels: {{team: name}}, where: {where}"
    assert of_teams(loader, metric) == expected


def test_only_rows_that_are_selected_have_a_value(loader: Loader) -> None:
    """A metric of some of the rows leaves out the others, without a count of what was left out."""
    made = loader("""
    - name: q
      document: "{ things { id kind n } }"
      rows: things
      metrics:
        - {name: m, help: M., value: n, labels: {id: id}, where: {kind: {not: TEST}}}
    """)
    things: list[Json] = [{"id": 1, "kind": "LIVE", "n": 5}, {"id": 2, "kind": "TEST", "n": 6}]
    found = result(made, {"things": things})
    assert (series(found), found.skipped) == ({"m": {("1",): 5}}, {})


def test_targets_are_those_that_are_not_left_out(loader: Loader) -> None:
    """`not` in the `where` of a `for_each`."""
    made = loader("""
    - {name: tenants, document: "{ tenants { id type } }", rows: tenants}
    - name: q
      for_each: {tenant: {query: tenants, where: {type: {not: [TEST, null]}, id: [1, 2, 3]}}}
      document: "query ($t: ID) { n(t: $t) }"
      variables: {t: "{{ tenant.id }}"}
      metrics: [{name: n, help: N., value: n, labels: {tenant: "{{ tenant.id }}"}}]
    """)
    kinds = {1: "A", 2: "TEST", 3: None, 4: "A"}
    tenants: list[Json] = [{"id": number, "type": kind} for number, kind in kinds.items()]
    rows = result(replace(made, queries=made.queries[:1]), {"tenants": tenants}).rows
    found = targets(made.queries[1], [FeedingRow(row, {}) for row in rows], 10)
    assert [target.values for target in found] == [{"tenant.id": 1}]


# ---------------------------------------------------------------------------------------------- inside JSON


THINGS = "scalar JSON type Query { things: [Thing] } type Thing { id: ID!, n: Int, extra: JSON }"
JSON_VALUES: Mapping[str, Json] = {
    "things": [
        {"id": "a", "n": 1, "extra": {"price": 2.5, "unit price": "3", "tags": ["x", "y"], "of": {"k": 1},
                                      "list": [{"key": "s", "v": 7}, {"key": "t", "v": 8}]}},
        {"id": "b", "n": 2, "extra": {"price": None, "tags": []}},
        {"id": "c", "n": 3, "extra": None},
        {"id": "d", "n": 4, "extra": "text"},
        {"id": "e", "n": 5, "extra": [1]},
    ]
}  # fmt: skip


def of_things(loader: Loader, metric: str, sdl: str) -> Plan:
    """The plan of one metric of things with JSON in them."""
    queries = f"""
    - name: q
      document: "{{ things {{ id n extra }} }}"
      rows: things
      metrics: [{{name: m, help: M., labels: {{id: id}}, {metric}}}]
    """
    return loader(queries, sdl)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("value: extra.price", {("a",): 2.5}),
        ("value: 'extra[\"unit price\"]', from: string", {("a",): 3}),
        ("value: extra.of.k", {("a",): 1}),
        ("value: extra.list.v, aggregate: sum", {("a",): 15}),
        ("value: 'extra.list[-1].v'", {("a",): 8}),
        ("value: 'extra.list[-3].v'", {}),
        ("value: 'extra.list[key=s].v'", {("a",): 7}),
        ("value: extra.tags, aggregate: count", {("a",): 2, ("b",): 0}),
        ("value: n, where: {extra.price: 2.5}", {("a",): 1}),
    ],
)
def test_paths_go_on_inside_json(loader: Loader, metric: str, expected: Found) -> None:
    """Into a scalar of the API's own, by names, quoted keys, places and fields; JSON of another form has no sample.
    What no schema proves is named."""
    made = of_things(loader, metric, THINGS)
    assert series(result(made, JSON_VALUES)) == {"m": expected}
    assert not made.warnings
    assert len(made.unproved) == 1


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("""value: 'extra["price"]'""", {("a",): 2.5}),
        ("""value: 'extra["of"].k'""", {("a",): 1}),
        ("""value: 'extra["list"][0].v'""", {("a",): 7}),
    ],
)
def test_without_a_schema_a_key_says_that_a_value_is_json(loader: Loader, metric: str, expected: Found) -> None:
    """A name behind a value is a mistake, unless a key in brackets goes inside."""
    assert series(result(of_things(loader, metric, ""), JSON_VALUES)) == {"m": expected}


def test_labels_stand_inside_json(loader: Loader) -> None:
    """A label from JSON beside the JSON's own value; a row of another form has an empty one."""
    made = loader(
        """
    - name: q
      document: "{ things { id n extra } }"
      rows: things
      metrics: [{name: m, help: M., value: n, labels: {price: extra.price, tag: 'extra.tags[0]'}, aggregate: sum}]
    """,
        THINGS,
    )
    assert series(result(made, JSON_VALUES)) == {"m": {("2.5", "x"): 1, ("", ""): 14}}


def test_a_label_stands_beside_the_value_inside_json(loader: Loader) -> None:
    """Each item of a list inside JSON has its own label, as items of any list have."""
    made = of_things(loader, "value: extra.list.v", THINGS)
    assert made.queries[0].metrics[0].walk[-1].inside
    metric = "value: extra.list.v, where: {id: a}"
    made = of_things(loader, metric.replace("value", "aggregate: sum, value"), THINGS)
    assert series(result(made, JSON_VALUES)) == {"m": {("a",): 15}}
    made = loader(
        """
    - name: q
      document: "{ things { id extra } }"
      rows: things
      metrics: [{name: m, help: M., value: extra.list.v, labels: {id: id, key: extra.list.key}}]
    """,
        THINGS,
    )
    assert series(result(made, JSON_VALUES)) == {"m": {("a", "s"): 7, ("a", "t"): 8}}


# ---------------------------------------------------------------------------------------------- environment and files


QUERY = """
x-times: &times {interval: 5m, timeout: 30s, window: {length: 1h, delay: 2m}}
x-anything: [1, {two: [3]}]
sources:
  - name: api
    url: https://api.example/graphql
    values:
      n: ${N}
      quoted: "${N}"
queries:
  - <<: *times
    name: q
    timeout: 20s
    for_each:
      shop: ${SHOPS}
    document: |
      query ($n: Int, $q: String, $on: Boolean, $t: String, $l: [Int], $s: ID) {
        n(n: $n, q: $q, on: $on, t: $t, l: $l, s: $s)
      }
    variables:
      n: ${N}
      q: "${N}"
      on: ${ON}
      t: ${N} pieces
      l: ${LIST}
      s: "{{ shop }}"
    metrics:
      - name: n
        help: ${N}
        value: n
        labels: {shop: "{{ shop }}"}
        where:
          n: ${N}
"""
ENVIRON = {"N": "5", "ON": "true", "LIST": "[1, 2]", "SHOPS": "[s-1, s-2]"}


def test_the_environment_has_numbers_booleans_and_lists(tmp_path: Path) -> None:
    """A variable without quotes that is all of a value has the type that it looks like; in quotes it is text."""
    file = tmp_path / "config.yaml"
    file.write_text("\ufeff" + QUERY, "utf-8")
    (query,) = (made := plan(load(file, ENVIRON))).queries
    assert made.sources[0].values == {"n": 5, "quoted": "5"}
    shops = targets(query, (), 10)
    assert [dict(target.values) for target in shops] == [{"shop": "s-1"}, {"shop": "s-2"}]
    sent = operation(query, made.sources[0], shops[0], Moment(), {}).variables
    assert sent == {"n": 5, "q": "5", "on": True, "t": "5 pieces", "l": [1, 2], "s": "s-1"}
    (metric,) = query.metrics
    assert (metric.family.help.startswith("5"), metric.where[0].values) == (True, (5,))


def test_a_mapping_may_be_merged_into_another(tmp_path: Path) -> None:
    """`<<` takes over the keys of an anchor; those that are written count, and are replaced as a whole."""
    file = tmp_path / "config.yaml"
    file.write_text(QUERY, "utf-8")
    (query,) = plan(load(file, ENVIRON)).queries
    assert (query.interval_seconds, query.timeout_seconds) == (300, 20)
    assert query.window is not None
    assert query.window.delay == timedelta(minutes=2)
    file.write_text(QUERY.replace("<<: *times", "<<: [{interval: 7m}, *times]\n    window: {length: 2h}"), "utf-8")
    (query,) = plan(load(file, ENVIRON)).queries
    assert query.window is not None
    assert (query.interval_seconds, query.window.length, query.window.delay) == (420, timedelta(hours=2), timedelta(0))


def test_a_configuration_may_be_several_files(tmp_path: Path) -> None:
    """Sources and queries come from files of their own; what is named in these is looked for beside them."""
    for folder in ("sources", "queries"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sources" / "schema.graphql").write_text("type Query { n: Int }")
    (tmp_path / "sources" / "api.yaml").write_text(
        'x-note: mine\nsources: [{name: api, url: "https://api.example/graphql", schema: schema.graphql}]\n'
    )
    for name in ("b", "a"):
        (tmp_path / "queries" / f"{name}.yaml").write_text(
            f'queries: [{{name: {name}, document: "{{ n }}", metrics: [{{name: {name}_n, help: N., value: n}}]}}]\n'
        )
    file = tmp_path / "config.yaml"
    file.write_text("source_files: [sources/*.yaml]\nquery_files: [queries/*.yaml, queries/a.yaml]\n")
    made = plan(load(file, {}))
    assert [query.name for query in made.queries] == ["a", "b"]
    assert made.sources[0].schema_ == str(tmp_path / "sources" / "schema.graphql")
    before = set(watched(made.file_patterns))
    assert {tmp_path / "sources", tmp_path / "queries", tmp_path / "queries" / "a.yaml"} <= before
    (tmp_path / "queries" / "c.yaml").write_text("# nothing yet\n")
    assert set(watched(made.file_patterns)) - before == {tmp_path / "queries" / "c.yaml"}
    assert len(plan(load(file, {})).queries) == 2


# ---------------------------------------------------------------------------------------------- all of it, polled


def test_the_forms_work_in_a_real_poll(tmp_path: Path) -> None:
    """A running exporter publishes counts, states, picked items, JSON and a total beside the rows from an API."""
    sdl = """
    scalar JSON
    type Query { shop(since: String!): Shop }
    type Shop { total: Int!, orders: [Order!]! }
    type Order { id: ID!, state: State!, due: String, tags: [Tag!]!, extra: JSON }
    type Tag { key: String!, value: String! }
    enum State { OPEN DONE }
    """
    orders: list[Json] = [
        {"id": "1", "state": "OPEN", "due": "2026-05-31", "extra": {"sum": {"net": 12.5}},
         "tags": [{"key": "x", "value": "y"}, {"key": "region", "value": "eu"}]},
        {"id": "2", "state": "DONE", "due": None, "extra": None, "tags": []},
    ]  # fmt: skip
    config = tmp_path / "config.yaml"
    (tmp_path / "schema.graphql").write_text(sdl)
    with graphql_api(sdl, {"shop": {"total": 40, "orders": orders}}, "Bearer t") as api:
        api.extensions = {"cost": {"points": 7}}
        config.write_text(f"""
sources: [{{name: shop, url: "{api.url}", schema: schema.graphql, authorization: {{credentials: t}}}}]
queries:
  - name: orders
    window: {{length: 1d, format: date}}
    document: |
      query ($since: String!) {{
        shop(since: $since) {{ total orders {{ id state due tags {{ key value }} extra }} }}
      }}
    variables: {{since: "{{{{ window.start }}}}"}}
    rows: shop.orders
    metrics:
      - {{name: order_pages, help: In all., value: total}}
      - {{name: orders, help: Orders., value: ., aggregate: count, where: {{state: OPEN}}}}
      - {{name: order_state, help: State., value: state, states: [OPEN, DONE], labels: {{id: id}}}}
      - {{name: order_due, help: Due., value: due, from: timestamp, labels: {{region: "tags[key=region].value"}}}}
      - {{name: order_net, help: Net., value: extra.sum.net}}
      - {{name: order_points, help: Points., value: extensions.cost.points}}
""")
        with Exporter(config, tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            assert exporter.samples("order_pages") == [({}, 40.0)], exporter.log
            assert exporter.samples("orders") == [({}, 1.0)]
            states = exporter.samples("order_state")
            assert sorted((labels["id"], labels["state"], value) for labels, value in states) == [
                ("1", "DONE", 0), ("1", "OPEN", 1), ("2", "DONE", 1), ("2", "OPEN", 0)
            ]  # fmt: skip
            assert exporter.samples("order_due") == [({"region": "eu"}, 1780185600.0)]
            assert exporter.samples("order_net") == [({}, 12.5)]
            assert exporter.samples("order_points") == [({}, 7.0)]
        assert {len(request["variables"]["since"]) for request in api.requests} == {len("2026-05-31")}


# ---------------------------------------------------------------------------------------------- odd rows

ODD_ROWS = """
- name: q
  document: "{ shops { name items { id n word state: s } } }"
  rows: shops.items
  on_bad_row: skip
  labels: {id: id}
  metrics:
    - {name: a, help: A., value: n}
    - {name: words, help: W., value: word, aggregate: sum, labels: {shop: name}}
    - {name: state, help: S., value: state, states: [UP, DOWN]}
"""


def item(name: str, **more: Json) -> dict[str, Json]:
    return {"id": name, "n": 1, "word": 2, "state": "UP", **more}


def without(row: dict[str, Json], *names: str) -> Json:
    return {name: value for name, value in row.items() if name not in names}


def test_an_odd_row_costs_a_row(loader: Loader) -> None:
    """Each row that can be read is published; a row that several metrics lack counts once, and the first is quoted."""
    made = loader(ODD_ROWS)
    items: list[Json] = [item("1"), without(item("2"), "n", "word"), item("3", n={"x": 1}), item("4", id=["4"]), "text"]
    data: dict[str, Json] = {"shops": [{"name": "s", "items": [*items, item("5")]}, {"name": "t"}]}
    found = result(made, data)
    assert series(found)["a"] == {("1",): 1, ("5",): 1}
    assert series(found)["words"] == {("1", "s"): 2, ("3", "s"): 2, ("5", "s"): 2}
    assert series(found)["state"] == {
        (name, word): float(word == "UP") for name in ("1", "2", "3", "5") for word in ("UP", "DOWN")
    }
    assert found.skipped_rows == {"absent_field": 2, "wrong_form": 3}
    assert found.first_skipped_row == '{"name":"t"}'
    assert not found.skipped


def test_rows_with_the_same_labels_leave_the_first(loader: Loader) -> None:
    """The others count once each, however many metrics and states they have."""
    found = result(loader(ODD_ROWS), {"shops": [{"name": "s", "items": [item("1"), item("1", n=7), item("1", n=8)]}]})
    assert series(found)["a"] == {("1",): 1}
    assert series(found)["words"] == {("1", "s"): 6}
    assert found.skipped_rows == {"duplicate_series": 2}
    assert found.first_skipped_row == '{"id":"1","n":7,"word":2,"state":"UP"}'


def test_entries_of_one_family_leave_the_first(loader: Loader) -> None:
    """What another entry of the family has published already is left out, too."""
    made = loader("""
    - name: q
      document: "{ items { id kind n } }"
      rows: items
      on_bad_row: skip
      labels: {id: id}
      metrics:
        - {name: a, help: A., value: n, where: {kind: x}}
        - {name: a, help: A., value: n, where: {kind: y}}
    """)
    found = result(made, {"items": [{"id": "1", "kind": "x", "n": 4}, {"id": "1", "kind": "y", "n": 5}]})
    assert (series(found), found.skipped_rows) == ({"a": {("1",): 4}}, {"duplicate_series": 1})


@pytest.mark.parametrize(
    "items", [[item("1"), without(item("2"), "n")], [item("1", n={})], [item("1", id=[])], [item("1"), item("1")]]
)
def test_without_a_word_an_odd_row_fails_the_poll(loader: Loader, items: list[Json]) -> None:
    """As it always was: nothing of such an answer is published."""
    with pytest.raises(ResultFailure):
        result(loader(ODD_ROWS.replace("skip", "fail")), {"shops": [{"name": "s", "items": items}]})


def test_the_data_itself_is_no_row(loader: Loader) -> None:
    """An answer that has nothing of what was asked for is still a failure."""
    with pytest.raises(ResultFailure):
        result(loader(ODD_ROWS), {})


def test_what_could_not_be_read_is_not_missing(loader: Loader) -> None:
    """A row that the answer names is not published as 0; where it does not say which, nothing is."""
    made = loader("""
    - {name: all, document: "{ all { id } }", rows: all}
    - name: q
      document: "{ items { id n } }"
      rows: items
      on_bad_row: skip
      metrics: [{name: a, help: A., value: n, labels: {id: id}, missing: {rows_of: all, labels: {id: id}}}]
    """)
    rows = {"all": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}
    assert series(result(made, {"items": [{"id": "1", "n": 4}, {"id": "2"}]}, rows)) == {"a": {("1",): 4, ("3",): 0}}
    assert series(result(made, {"items": [{"id": "1", "n": 4}, {"n": 5}]}, rows)) == {"a": {("1",): 4}}


def test_rows_for_others_are_left_out_too(loader: Loader) -> None:
    """A target is made of each row that says what the other query needs."""
    made = loader("""
    - {name: all, document: "{ all { id } }", rows: all, on_bad_row: skip}
    - name: q
      for_each: {one: all}
      document: "query ($id: ID!) { one(id: $id) { n } }"
      variables: {id: "{{ one.id }}"}
      metrics: [{name: a, help: A., value: one.n, labels: {id: "{{ one.id }}"}}]
    """)
    data: dict[str, Json] = {"all": [{"id": "1"}, {"name": "2"}, {"id": ["3"]}]}
    found = extract(made.queries[0], [Response(data)], Surroundings(), Moment())
    assert found.rows == ({"id": "1"},)
    assert found.skipped_rows == {"absent_field": 1, "wrong_form": 1}


def test_a_count_goes_on_without_odd_rows(loader: Loader) -> None:
    """Teams whose list cannot be read have no count; those with an empty one have 0."""
    made = loader("""
    - name: q
      document: "{ teams { name incidents { id } } }"
      rows: teams
      on_bad_row: skip
      metrics: [{name: a, help: A., value: incidents, aggregate: count, labels: {team: name}}]
    """)
    teams: list[Json] = [
        {"name": "a", "incidents": []},
        {"name": "b"},
        {"incidents": []},
        {"name": ["c"], "incidents": []},
    ]
    found = result(made, {"teams": teams})
    assert series(found) == {"a": {("a",): 0}}
    assert found.skipped_rows == {"absent_field": 2, "wrong_form": 1}


@pytest.mark.parametrize(("kind", "open_ones"), [("BigInt", 1), ("Int", 0)])
def test_a_scalar_that_may_be_text_is_named(loader: Loader, kind: str, open_ones: int) -> None:
    """Whether a BigInt comes as text is not in the schema; `from: string` reads text and numbers."""
    queries = """
    - {name: q, document: "{ n }", metrics: [{name: a, help: A., value: n MORE}]}
    """
    sdl = f"scalar BigInt\ntype Query {{ n: {kind} }}"
    made = loader(queries.replace("MORE", ""), sdl)
    assert len(made.unproved) == open_ones
    assert all("from: string reads both" in str(problem) for problem in made.unproved)
    if kind == "BigInt":
        made = loader(queries.replace("MORE", ", from: string"), sdl)
        assert not made.unproved
        assert [series(result(made, {"n": n})) for n in ("12", 12)] == [{"a": {(): 12}}] * 2


# ---------------------------------------------------------------------------------------------- nulls

NULLS = """
- name: q
  document: "{ shops { name items { id n } extra @include(if: true) { id } } total { n } }"
  rows: shops.items
  on_null: HOW
  metrics:
    - {name: a, help: A., value: n, labels: {id: id}}
    - {name: total, help: T., value: total.n}
"""


@pytest.mark.parametrize(
    ("shops", "nulls"),
    [
        (None, {"shops": 1}),
        ([{"items": None}, {"items": [{"id": "1", "n": None}]}, {"items": None}], {"shops.items": 2}),
        ([{"items": [None, {"id": "1", "n": 1}, None]}], {"shops.items.*": 2}),
        ([None, {"items": [{"id": "1", "n": 1}]}], {"shops.*": 1}),
        ([], {}),
        ([{"items": []}], {}),
    ],
)
def test_a_null_on_the_way_to_the_rows_is_counted(loader: Loader, shops: Json, nulls: dict[str, int]) -> None:
    """A list that is empty is none, nor is a value that is null; what else there is, is published. It may be declared
    a failure, which names the path."""
    data: dict[str, Json] = {"shops": shops, "total": {"n": 5}}
    found = result(loader(NULLS.replace("HOW", "publish")), data)
    assert (found.nulls, series(found)["total"]) == (nulls, {(): 5})
    strict = loader(NULLS.replace("HOW", "fail"))
    if not nulls:
        assert result(strict, data).nulls == {}
        return
    with pytest.raises(ResultFailure, match=f"^{re.escape(next(iter(nulls)))} is null where rows are expected"):
        result(strict, data)


def test_a_null_on_the_way_to_a_value_is_counted(loader: Loader) -> None:
    """A query without rows says so, too; what a condition leaves out of an answer is no null."""
    made = loader("""
    - name: q
      document: "{ usage { n } more @include(if: false) { n } }"
      metrics:
        - {name: a, help: A., value: usage.n}
        - {name: b, help: B., value: more.n}
    """)
    assert result(made, {"usage": None}).nulls == {"usage": 1}
    assert result(made, {"usage": {"n": None}}).nulls == {}


# ---------------------------------------------------------------------------------------------- label text


def test_a_label_is_made_of_several_fields(loader: Loader) -> None:
    """Fields of the row and of what is around it, constants, references and lookups stand one after the other."""
    made = loader("""
    - name: q
      for_each: {site: [{name: Main}]}
      document: "{ shop { name items { sku kind n on } } }"
      rows: shop.items
      metrics:
        - name: a
          help: A.
          value: n
          labels:
            id: {of: [name, {const: /}, sku, {const: ":"}, on]}
            site: {of: [{const: "S-"}, "{{ site.name }}"], as: upper}
            kind: {of: {of: [kind], as: lower}, as: upper}
    """)
    items: list[Json] = [
        {"sku": 1.5, "kind": "straße", "n": 1, "on": True},
        {"sku": None, "kind": None, "n": 2, "on": 1},
    ]
    found = result(made, {"shop": {"name": "Bern", "items": items}}, target={"site.name": "Main"})
    assert series(found) == {"a": {("Bern/1.5:true", "STRASSE", "S-MAIN"): 1, ("Bern/:1", "", "S-MAIN"): 2}}


def test_a_label_of_several_fields_stands_where_labels_do(loader: Loader) -> None:
    """Lookups in it are found, counts of nothing are 0, and what is missing has its constant parts."""
    made = loader("""
    - {name: all, document: "{ all { id name } }", rows: all}
    - name: q
      document: "{ teams { id items { n } } }"
      rows: teams
      metrics:
        - {name: a, help: A., value: items, aggregate: count, labels: {team: {of: [{const: t-}, id]}}}
        - {name: b, help: B., value: 1, missing: {rows_of: all, labels: {id: id}},
           labels: {id: id, who: {of: [{const: a}, {const: b}], as: upper}}}
    """)
    found = result(made, {"teams": [{"id": "1", "items": []}]}, {"all": [{"id": "2"}]})
    assert series(found) == {"a": {("t-1",): 0}, "b": {("1", "AB"): 1, ("2", "AB"): 0}}


def test_parts_of_a_label_are_proved(loader: Loader) -> None:
    """Each part is looked up in the document as a label of its own would be."""
    queries = """
    - {name: q, document: "{ a { b } }", rows: a, metrics: [{name: x, help: X., value: 1, labels: {l: {of: [b, c]}}}]}
    """
    assert refusal(lambda: loader(queries)) == [
        "5: queries[0].metrics[0].labels.l: c is not selected by the document; selected there: a, b;"
        " or write {const: c} for that very text"
    ]


# ---------------------------------------------------------------------------------------------- names and operations


def test_names_of_histograms_are_valid_in_both_formats(loader: Loader) -> None:
    """What a dashboard of another exporter wants is read by the reference parsers as gauges, with a warning."""
    made = loader("""
    - name: q
      document: "{ rows { n q } }"
      rows: rows
      metrics:
        - {name: x, help: X., value: n, aggregate: sum}
        - {name: x_count, help: X., value: n, aggregate: sum}
        - {name: x_sum, help: X., value: n, aggregate: sum}
        - {name: x_bucket, help: X., value: n, labels: {le: q}}
        - {name: latency, help: L., value: n, labels: {quantile: q}}
    """)
    assert len(made.warnings) == 5
    store = Store(100)
    found = result(made, {"rows": [{"n": 1, "q": "0.5"}, {"n": 2, "q": "0.9"}]})
    store.fold(Owner("q", "api", ""), Target({}), PollOutcome(0.1, found), at=0.0, time=0.0)
    text = b"".join(store.page().raw(Format.TEXT)).decode()
    openmetrics = b"".join(store.page().raw(Format.OPENMETRICS)).decode() + "# EOF\n"
    for parsed in (parse_text_format(text), parse_openmetrics(openmetrics)):  # type: ignore[no-untyped-call]
        samples = {(one.name, *one.labels.values()): one.value for family in parsed for one in family.samples}
        assert samples == {
            ("x",): 3, ("x_count",): 3, ("x_sum",): 3, ("x_bucket", "0.5"): 1, ("x_bucket", "0.9"): 2,
            ("latency", "0.5"): 1, ("latency", "0.9"): 2,
        }  # fmt: skip


def test_extensions_are_read_where_the_document_has_no_such_field(loader: Loader) -> None:
    """Labels and values lead into them; where they lack, there is no sample. The last page has the word."""
    queries = """
    - name: q
      document: "{ n DOC }"
      metrics: [{name: a, help: A., value: extensions.cost.n, labels: {l: 'extensions["id"]'}}]
    """
    made = loader(queries.replace("DOC", ""))
    query, moment = made.queries[0], Moment()
    pages = [Response({"n": 1}, extensions={"id": number, "cost": {"n": number}}) for number in (1, 2)]
    assert series(extract(query, pages[:1], Surroundings(), moment)) == {"a": {("1",): 1}}
    assert series(extract(query, [Response({"n": 1})], Surroundings(), moment)) == {"a": {}}
    assert [str(problem).partition(": ")[2] for problem in made.unproved] == [
        "queries[0].metrics[0].value: extensions.cost.n goes inside JSON",
        'queries[0].metrics[0].labels.l: extensions["id"] goes inside JSON',
    ]
    rows = loader(queries.replace("DOC", "x { m }").replace("metrics:", "rows: x\n      metrics:"))
    responses = [Response({"x": [{"m": 1}]}, extensions=page.extensions) for page in pages]
    assert series(extract(rows.queries[0], responses, Surroundings(), moment)) == {"a": {("2",): 2}}
    own = loader(queries.replace("DOC", "extensions { cost { n } id }").replace('["id"]', ".id"))
    data: dict[str, Json] = {"n": 1, "extensions": {"id": "own", "cost": {"n": 5}}}
    found = extract(own.queries[0], [Response(data, extensions={"id": 1, "cost": {"n": 9}})], Surroundings(), moment)
    assert series(found) == {"a": {("own",): 5}}
    assert not own.unproved


def test_a_named_operation_is_sent_alone(loader: Loader) -> None:
    """Of a document with several, one is sent with what it uses; its variables alone count, and its lines are right."""
    queries = """
    - name: q
      operation: Totals
      document: |
        query Names($a: ID!) { names(a: $a) }
        query Totals { ...Top }
        fragment Top on Query { shops { ...Figures } }
        fragment Other on Query { names }
        fragment Figures on Shop { name FIELD }
      rows: shops
      metrics: [{name: a, help: A., value: orders, labels: {shop: name}}]
    """
    sdl = "type Query { shops: [Shop!] names(a: ID): [ID] } type Shop { name: String orders: Int }"
    made = loader(queries.replace("FIELD", "orders"), sdl)
    sent = made.queries[0].document.text
    assert all(word in sent for word in ("query Totals", "fragment Top", "fragment Figures"))
    assert not any(word in sent for word in ("Names", "Other", "$a"))
    assert series(result(made, {"shops": [{"name": "b", "orders": 3}]})) == {"a": {("b",): 3}}
    assert refusal(lambda: loader(queries.replace("FIELD", "oders"), sdl))[0].startswith("12: queries[0].document")
