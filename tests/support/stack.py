"""The whole stack in small, for tests of what is built on it (dashboards, rules): the simulated Insights API, an
exporter that polls the whole shipped catalogue, and a real Prometheus; every duration of the catalogue divided, so that
what takes an hour takes a few minutes.

    with running_stack(tmp_path, rule_files=[rules]) as stack:
        stack.insights.faults.set(error_ratio=0.2)
        eventually(lambda: stack.prometheus.query('ALERTS{alertname="…"}'), "alert")

One stack serves all tests of a module: start it in a fixture with `scope="module"` (`tmp_path_factory.mktemp(…)`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config.include import catalogue_names
from exporter.model.duration import duration_seconds, duration_text
from exporter.simulator import Settings, Simulator
from tests.support.configurations import choreo_environ, choreo_source
from tests.support.processes import Exporter, Prometheus, eventually

DIVISOR: Final = 20
JOB: Final = "insights-exporter"
# Figures that are never late, in every series there is, and no more than that: the simulated API works for its answers.
LIVELY: Final = Settings(
    delay_seconds=0, apis=4, applications=3, rate=3, daily_rhythm=False, error_share=0.1, alerts_per_day=2_000
)
# What some groups need, and a limit so high that nothing waits for it, as the source's metrics tell of limits.
_MORE_OF_THE_SOURCE: Final = {
    "secret_values": {"on_prem_key": {"env": "CHOREO_ON_PREM_KEY"}},
    "rate_limit": {"requests": 100_000, "per": "1m"},
}
_SECONDS_OF: Final = {"day": 86_400.0, "month": 2_592_000.0}


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs: its parts, and the file of the exporter's configuration."""

    insights: Simulator
    exporter: Exporter
    prometheus: Prometheus
    config: Path


@contextmanager
def running_stack(
    folder: Path,
    settings: Settings = LIVELY,
    *,
    divisor: float = DIVISOR,
    groups: Iterable[str] | None = None,
    period: str | None = None,
    rule_files: Sequence[Path] = (),
    alertmanager: str | None = None,
    alert_relabel_configs: Sequence[Mapping[str, Any]] = (),
    others: str = "",
) -> Iterator[Stack]:
    """A running stack in which every query has been polled, and that Prometheus has scraped; it ends with the block.

    `groups` are those of the catalogue that are polled, all if none is given. `period` is what its counters count
    from, if not the divided day: the shorter it is, the less the simulated API has to count. `alertmanager` is an
    address, HOST:PORT. `others` is the job of another program (Prometheus itself), if there shall be one.
    """
    config = folder / "config.yaml"
    config.write_text(fast_configuration(divisor, groups, period), "utf-8")
    web_config = folder / "web.yaml"  # of no restriction, but then its metrics are there
    web_config.write_text("{}")
    flags = [f"--web.config.file={web_config}"]
    with ExitStack() as started:
        insights = started.enter_context(Simulator(settings))
        log = folder / "exporter.log"
        exporter = started.enter_context(Exporter(config, log, *flags, environ=choreo_environ(insights)))
        exporter.wait_until_ready(200)  # the whole catalogue, which takes a busy machine more than a minute
        prometheus = started.enter_context(
            Prometheus(
                folder,
                f"127.0.0.1:{exporter.port}",
                job=JOB,
                itself=others,
                rule_files=rule_files,
                alertmanager=alertmanager,
                alert_relabel_configs=alert_relabel_configs,
            )
        )
        eventually(lambda: prometheus.query(f'up{{job="{JOB}"}} == 1'), "scrape", 90)
        yield Stack(insights, exporter, prometheus, config)


def fast_configuration(divisor: float = DIVISOR, groups: Iterable[str] | None = None, period: str | None = None) -> str:
    """A configuration of the simulated API with these groups of the catalogue (all, if none is given), every interval,
    window, period and staleness in them divided, though none below a second.

    The API's shortest buckets are a minute long, so what comes in buckets of a quarter of an hour comes in these.
    """
    contents = [catalogue(name) for name in _with_names(groups)]
    sections: dict[str, Any] = yaml.safe_load(choreo_source() + " []")
    sections["sources"][0] |= _MORE_OF_THE_SOURCE
    sections["queries"] = [_fast(query, divisor, period) for content in contents for query in content["queries"]]
    sections["lookups"] = [lookup for content in contents for lookup in content.get("lookups", ())]
    return json.dumps(sections, ensure_ascii=False, indent=1)


def _with_names(groups: Iterable[str] | None) -> list[str]:
    return list(dict.fromkeys(["choreo/names", *(catalogue_names() if groups is None else groups)]))


def catalogue(group: str) -> Any:
    """What stands in a group of the catalogue."""
    file = files("exporter.choreo").joinpath("catalogue", f"{group.removeprefix('choreo/')}.yaml")
    return yaml.safe_load(file.read_text("utf-8"))


def _fast(query: dict[str, Any], divisor: float, period: str | None) -> dict[str, Any]:
    if any("bucket" in metric for metric in query.get("metrics", ())):
        query = _by_the_minute(query)
        window = query["window"] | {"delay": "0s"}
    elif window := query.get("window"):
        window = {key: _divided(value, divisor) for key, value in window.items()}
    interval = duration_seconds(query["interval"])
    timing = {
        "interval": _divided(query["interval"], divisor),
        "stale_after": _divided(query.get("stale_after", duration_text(max(600, 5 * interval))), divisor),
        "timeout": _divided(query["interval"], divisor),
        **({"window": window} if window else {}),
        **({"period": period or _divided(query["period"], divisor)} if "period" in query else {}),
    }
    return query | timing


def _by_the_minute(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _by_the_minute(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_by_the_minute(item) for item in value]
    return "1m" if value == "15m" else value.replace('"15m"', '"1m"') if isinstance(value, str) else value


def _divided(duration: str, divisor: float) -> str:
    seconds = _SECONDS_OF.get(duration) or duration_seconds(duration)
    return duration_text(max(1, round(seconds / divisor)))
