"""`overrides`: what becomes of an included query in which some keys are other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from exporter.config.load import Loaded, load

SOURCE = """\
sources: [{name: choreo, url: "https://api.example/graphql", schema: choreo, values: {org_id: o}}]
include: [choreo/overview, choreo/latency]
"""


def loaded(folder: Path, overrides: str = "") -> Loaded:
    file = folder / "config.yaml"
    file.write_text(SOURCE + overrides)
    return load(file, {})


def queries(of: Loaded) -> dict[str, dict[str, Any]]:
    return {query["name"]: query for query in of.tree["queries"]}


def test_only_the_keys_that_it_names_are_other(tmp_path: Path) -> None:
    """Mappings are merged at any depth, lists and scalars replaced; every other key, and every other query, is as it is
    shipped."""
    shipped = queries(loaded(tmp_path))
    changed = loaded(
        tmp_path,
        """\
overrides:
  overview:
    interval: 5m
    window: {delay: 5m}
    metrics: [{name: requests, help: Requests., value: recent_requests}]
  api_latency: {pack: null}
""",
    )
    assert "overrides" not in changed.tree
    found = queries(changed)
    assert list(found) == list(shipped)
    overview = shipped["overview"]
    assert found.pop("overview") == {
        **overview,
        "interval": "5m",
        "window": {**overview["window"], "delay": "5m"},
        "metrics": [{"name": "requests", "help": "Requests.", "value": "recent_requests"}],
    }
    assert found.pop("api_latency") == {**shipped["api_latency"], "pack": None}
    assert found == {name: shipped[name] for name in found}


def test_a_fault_is_told_where_it_is_written(tmp_path: Path) -> None:
    """What an override says is the file's; what the query says without it is the shipped file's."""
    places = loaded(tmp_path, "overrides:\n  overview:\n    window: {delay: 5m}\n").places
    names = [query["name"] for query in loaded(tmp_path).tree["queries"]]
    entry = ("queries", names.index("overview"))
    assert str(places.problem((*entry, "window", "delay"), "bad")).endswith(
        "yaml:5: overrides.overview.window.delay: bad"
    )
    assert str(places.problem(entry, "bad")).endswith("config.yaml:4: overrides.overview: bad")
    assert str(places.problem((*entry, "window", "length"), "bad")).startswith("choreo/overview.yaml:")


def test_an_override_has_types_and_merged_keys_as_everything_has(tmp_path: Path) -> None:
    """A variable without quotes has the type that it looks like, and an anchor may hold what overrides share."""
    file = tmp_path / "config.yaml"
    file.write_text(
        SOURCE
        + """\
x-shared: &shared
  interval: 3m
  variables:
    first: ${N}
    text: "${N}"
overrides:
  overview:
    <<: *shared
    max_series: ${N}
  api_latency:
    <<: *shared
    interval: 4m
"""
    )
    found = {query.name: query for query in load(file, {"N": "5"}).config.queries}
    for name, minutes in (("overview", 3), ("api_latency", 4)):
        assert found[name].interval == timedelta(minutes=minutes)
        assert (found[name].variables["first"], found[name].variables["text"]) == (5, "5")
    assert found["overview"].max_series == 5
