"""Rows of reloads: from bad files, in a storm, and to other metrics."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.configuration import query, source_of, written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, Snapshot, eventually
from tests.support.upstream import Upstream, after, answer

ALIASES = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 20))
BROKEN = {
    "bad YAML": "sources: [",
    "a duplicate key": "sources: []\nsources: []\n",
    "an unknown key": '{"sources": [], "queries": [], "colour": "blue"}',
    "an alias bomb": f"a0: &a0 [x]\n{ALIASES}",
    "nothing": "",
    "no text": "\0\1\2",
}


def reload_count(exporter: Exporter) -> float:
    """When the configuration was last loaded."""
    return exporter.value(f"{OWN}config_last_reload_success_timestamp_seconds") or 0


def polls(exporter: Exporter, name: str = "sound") -> float:
    return exporter.value(f"{OWN}polls_total", query=name) or 0


def hup(exporter: Exporter) -> None:
    exporter.popen.send_signal(signal.SIGHUP)


def started(start: Start, upstream: Upstream, *queries: dict[str, Any]) -> Exporter:
    exporter = start([source_of(upstream)], [query("sound", "2s"), *queries]).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 1 + len(queries), "good start")
    return exporter


def test_row_73_bad_reload(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """Whatever is wrong with the file, or if it is gone, the old configuration goes on and a metric says so."""
    exporter = started(start, upstream)
    config = tmp_path / "config.yaml"
    good = config.read_text()
    for what, text in {**BROKEN, "no file": None}.items():
        said = exporter.log.count("the new configuration is not used")
        if text is None:
            config.unlink()
        else:
            config.write_text(text)
        hup(exporter)
        eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 0, f"notice of {what}")
        eventually(lambda said=said: exporter.log.count("the new configuration is not used") > said, f"line for {what}")  # type: ignore[misc]
        before = polls(exporter)
        eventually(lambda before=before: polls(exporter) > before, f"polls after {what}")  # type: ignore[misc]
        assert exporter.value("sound") == 1
        config.write_text(good)
        hup(exporter)
        eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 1, f"recovery from {what}")
    assert len(upstream.token.journal) == 1
    assert exporter.value(f"{OWN}poll_failures_total") is None


@pytest.mark.parametrize("rounds", [pytest.param(1, id="quick"), pytest.param(10, id="full", marks=pytest.mark.long)])
def test_row_74_reload_storm(rounds: int, start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """A hundred reloads at once, while a poll is under way, are few; they leave no task behind and disturb no poll."""
    upstream.operation("slow").always(after(0.5, answer({"data": {"value": 1}})))
    exporter = started(start, upstream, query("slow", "2s"))
    eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 1, "reload metric")
    config = tmp_path / "config.yaml"
    good = json.loads(config.read_text())
    tasks = exporter.value(f"{OWN}tasks") or 0
    for number in range(rounds):
        loaded = exporter.log.count("was reloaded")
        asked = len(upstream.operation("slow").journal)
        eventually(lambda asked=asked: len(upstream.operation("slow").journal) > asked, "poll under way")  # type: ignore[misc]
        changed = query("changed", "2s", labels={"number": {"const": str(number)}})
        written(config, good["sources"], [*good["queries"], changed])
        for _ in range(100):
            hup(exporter)
        eventually(lambda: exporter.value("changed", number=str(number)), "the new query")  # noqa: B023
        assert exporter.log.count("was reloaded") - loaded <= 20
    written(config, good["sources"], good["queries"])
    hup(exporter)
    eventually(lambda: exporter.value("changed") is None, "end of the new query")
    eventually(lambda: (exporter.value(f"{OWN}tasks") or 0) <= tasks + 1, "end of the tasks")
    assert exporter.value(f"{OWN}poll_failures_total") is None
    assert exporter.value(f"{OWN}polls_in_flight", query="slow") in (0, 1)
    assert len(upstream.token.journal) == 1


def test_row_75_metric_removed_by_reload(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """Metrics come, go and change their labels by reloads; each scrape has each family once, and whole."""
    items = [{"id": str(number), "value": 1} for number in range(100)]
    upstream.operation("items").always(answer({"data": {"items": items}}))
    config = tmp_path / "config.yaml"

    def rows(metric: str, label: str) -> dict[str, Any]:
        shape = {"name": metric, "help": "Items.", "value": "value", "labels": {label: "id"}}
        document = "query items { items { id value } }"
        return {"name": "items", "interval": "2s", "document": document, "rows": "items", "metrics": [shape]}

    exporter = started(start, upstream, rows("one", "id"))
    for metric, label in (("two", "id"), ("two", "other"), ("one", "other"), ("one", "id")):
        written(config, [source_of(upstream)], [query("sound", "2s"), rows(metric, label)])
        hup(exporter)
        while True:
            page = exporter.page()
            found = Snapshot(page)
            heads = [line.split(" ")[2] for line in page.splitlines() if line.startswith("# TYPE ")]
            assert len(heads) == len(set(heads)), "a family stands there twice"
            both = found.samples("one") + found.samples("two")
            assert len(both) in (0, 100), f"{len(both)} series"
            assert len(found.samples("sound")) == 1
            if len(found.samples(metric)) == 100 and all(label in labels for labels, _ in found.samples(metric)):
                break
    assert exporter.value(f"{OWN}poll_failures_total") is None
