"""Parts of a configuration: what is sound of them is kept, and each fault is told once."""

from __future__ import annotations

from exporter.config.parts import Part, read_part
from exporter.config.query import Query
from exporter.config.source import Source
from exporter.model.response_path import parse_path

STAND_INS = {"document": "{ unknown }", "name": "unnamed", "value": "unknown", "help": "unknown", "rows": "unknown"}


def query(**keys: object) -> Part[Query]:
    written = {"name": "q", "document": "{ a }", "rows": "a"} | keys
    return read_part(Query, written, context={}, stand_ins=STAND_INS)


def places(part: Part[Query] | Part[Source]) -> list[tuple[str | int, ...]]:
    return [fault.place for fault in part.faults]


def test_what_is_sound_is_kept_and_the_rest_is_unknown() -> None:
    """Of a mapping the sound items are kept, of a list the items with what is sound of them."""
    part = query(
        labels={"a": "b", "c-d": "e"},
        interval="5",
        metrics=[{"name": "n", "value": "x", "help": 1}, "y", {"name": "m", "help": "M.", "value": "z"}],
    )
    assert part.value is not None
    assert places(part) == [("metrics", 0, "help"), ("metrics", 1), ("interval",), ("labels", "c-d")]
    assert part.unknown == {"labels", "interval", "metrics"}
    assert part.below == {("metrics", 0): {"help"}, ("metrics", 1): frozenset()}
    assert part.kept == {"metrics": (0, 2)}
    assert [metric.value for metric in part.value.metrics] == [parse_path("x"), parse_path("z")]
    assert list(part.value.labels) == ["a"]


def test_a_rule_over_keys_with_faults_says_nothing() -> None:
    """Only with what is known can keys contradict each other; other rules are held to."""
    assert places(query(timeout="2m", interval="5")) == [("interval",)]
    assert places(query(timeout="2m", interval="1m", intervall="5m")) == [("intervall",), ()]
    assert places(query(window={"color": "5m"}, period="day")) == [("window", "length"), ("window", "color")]


def test_a_key_with_another_name_is_not_missing_too() -> None:
    """The unknown key says what it was meant to be, so that the same fault is not told twice."""
    assert places(query(window={"size": "5m"}, period="day")) == [("window", "size")]
    assert places(query(window={"lenght": "5m"}, period="day")) == [("window", "lenght")]
    source = {"name": "s", "url": "https://a.example/", "authorization": {"token": "x"}}
    assert places(read_part(Source, source, context={}, stand_ins={})) == [("authorization", "token")]


def test_a_fault_for_which_nothing_can_stand_in_is_told() -> None:
    """Where the stand-in of a key is of another type, and where no item of a mapping is sound."""
    for missing in ({"labels": {"api": "id"}, "value": "none"}, {"labels": {"api-id": "id"}}):
        metric = {"name": "n", "help": "N.", "value": "x", "missing": {"rows_of": "apis", **missing}}
        part = query(metrics=[metric])
        (place,) = places(part)
        assert place[:3] == ("metrics", 0, "missing")
        assert part.below == {("metrics", 0): {"missing"}}


def test_a_part_with_rules_of_its_own_is_looked_into() -> None:
    """A fault of form beside the fault of a rule."""
    oauth2 = {"token_url": "https://a.example/", "client_id": "a", "scope": "b", "timeout": 3}
    source = {"name": "s", "url": "https://a.example/", "oauth2": oauth2}
    part = read_part(Source, source, context={}, stand_ins={})
    assert places(part) == [("oauth2", "timeout"), ("oauth2", "scope"), ("oauth2",)]
    assert part.value is not None
    assert part.value.oauth2 is None


def test_what_is_refused_already_is_not_read() -> None:
    """Whatever stands there instead."""
    written = {"name": "q", "document": "{ a }", "rows": "a", "labels": {"a": None, "b": "c"}, "period": None}
    part = read_part(Query, written, context={}, stand_ins={}, faulty=[("labels", "a"), ("period",)])
    assert part.value is not None
    assert not part.faults
    assert part.unknown == {"labels", "period"}
    assert list(part.value.labels) == ["b"]


def test_what_is_no_mapping_has_no_value() -> None:
    """It is told, and no more."""
    part = read_part(Query, "q", context={}, stand_ins=STAND_INS)
    assert (part.value, places(part)) == (None, [()])
