"""An exporter and its upstream at a moment at which all clocks stand still, so that every figure is known before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Settings, Simulator
from tests.support.configurations import choreo_environ, choreo_source
from tests.support.figures import Figures
from tests.support.processes import Exporter, eventually, get, post, stopped_clock

NOW: Final = datetime(2026, 3, 18, 1, 17, 30, tzinfo=UTC)  # windows end at 01:15, 24 hours at 01:00


def including(groups: Iterable[str]) -> str:
    """A configuration with the source of the simulated API and these groups of the catalogue."""
    source = choreo_source("secret_values: {on_prem_key: {env: CHOREO_ON_PREM_KEY}}").removesuffix("queries:")
    return f"{source}include: [{', '.join(f'choreo/{group}' for group in groups)}]\n"


@contextmanager
def standstill(
    settings: Settings, configuration: str, folder: Path, now: datetime = NOW, seconds: float = 90
) -> Iterator[tuple[Simulator, Exporter]]:
    """The simulated API and an exporter that has tried each of its queries, both at `now`."""
    config = folder / "config.yaml"
    config.write_text(configuration)
    with Simulator(settings, now=now.timestamp) as insights:
        environ = {**choreo_environ(insights), **stopped_clock(now)}
        with Exporter(config, folder / "log", environ=environ) as exporter:
            eventually(exporter.answers, "start", 60)
            eventually(lambda: get(f"{exporter.url}/-/ready").status_code == 200, "first round", seconds)
            yield insights, exporter


@contextmanager
def answered(
    settings: Settings, configuration: str, folder: Path, now: datetime = NOW, seconds: float = 90
) -> Iterator[tuple[Simulator, Exporter]]:
    """The same once every query has been answered well."""
    with standstill(settings, configuration, folder, now, seconds) as (insights, exporter):
        eventually(lambda: _is_answered(exporter.page()), f"good answers; the log is: {exporter.log}", seconds)
        yield insights, exporter


def _is_answered(page: str) -> bool:
    """Whether every query has been answered, and well: one without targets is up with the one that feeds it."""
    up = re.findall(r"^insights_exporter_query_up\{.*\} (\d)", page, re.MULTILINE)
    good = re.findall(r"^insights_exporter_query_last_success_timestamp_seconds\{", page, re.MULTILINE)
    return "0" not in up and len(good) == len(up)


def shown(page: str) -> Figures:
    """Every series of the catalogue on the page, by name and labels."""
    found: Figures = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.startswith("choreo_"):
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def differences(found: Figures, wanted: Figures) -> list[str]:
    """What is missing, too much, or another value; three of each metric."""
    told = []
    for name in sorted(found.keys() | wanted.keys()):
        here, there = found.get(name, {}), wanted.get(name, {})
        wrong = [labels for labels in here.keys() | there.keys() if here.get(labels) != there.get(labels)]
        told += [f"{name}{dict(k)}: {here.get(k)} and not {there.get(k)} ({len(wrong)} so)" for k in wrong[:3]]
    return told


def access_token(insights: Simulator) -> str:
    """A token of the first organization."""
    form = {"grant_type": "client_credentials", "scope": "apim:api_manage"}
    form["orgHandle"] = insights.model.organizations[0].handle
    client = (insights.settings.client_id, insights.settings.client_secret)
    return str(post(insights.token_url, data=form, auth=client).json()["access_token"])
