"""A month of simulated traffic of one environment, as `backfill` writes it, in steps of five minutes."""

from __future__ import annotations

import subprocess
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeAlias

from exporter.cli.backfill.history import History
from exporter.model.outcome import Result
from exporter.model.samples import Family, LabelValues, MetricType, Number, Samples
from exporter.simulator import Simulator
from exporter.simulator.model import Request
from tests.support.figures import code
from tests.support.processes import program

STEP_SECONDS: Final = 300
DELAY_SECONDS: Final = 120
DAY_SECONDS: Final = 86_400

Key: TypeAlias = Callable[[Request], LabelValues | None]  # the labels that a request counts under, if it does
_API: Final = ("api_id", "api", "version")
_APPLICATION: Final = ("application_id", "application")


@dataclass(frozen=True)
class Counted:
    """What is counted, as the gauge of five minutes and as the counter since midnight; `always` if 0 is published."""

    name: str
    label_names: tuple[str, ...]
    key: Key
    always: bool = False


def _api(one: Request) -> LabelValues:
    return one.api.id, one.api.name, one.api.version


def _application(one: Request) -> LabelValues:
    return one.application.id, one.application.name


def _failed(side: str, key: Key) -> Key:
    return lambda one: key(one) if one.error_side == side else None


def _code_class(one: Request) -> LabelValues:
    return (f"{code(one) // 100}xx",)


def _api_and_code(one: Request) -> LabelValues:
    return (*_api(one), str(code(one)))


COUNTED: Final = (
    Counted("requests", (), lambda one: (), always=True),
    Counted("errors", (), lambda one: () if one.failed else None, always=True),
    Counted("api_requests", _API, _api, always=True),
    Counted("api_application_requests", (*_API, *_APPLICATION), lambda one: (*_api(one), *_application(one))),
    Counted("resource_requests", (*_API, "resource", "method"), lambda one: (*_api(one), one.resource, one.method)),
    Counted(
        "errors_by_reason",
        (*_API, *_APPLICATION, "reason"),
        lambda one: (*_api(one), *_application(one), one.reason) if one.reason is not None else None,
    ),
    *(Counted(f"{side}_errors", ("code_class",), _failed(side, _code_class)) for side in ("proxy", "target")),
    *(Counted(f"api_{side}_errors", (*_API, "code"), _failed(side, _api_and_code)) for side in ("proxy", "target")),
)


def write_month(
    insights: Simulator, environment: str, start: int, end: int, folder: Path, labels: Mapping[str, str]
) -> Path:
    """Writes the OpenMetrics file of an environment of the first organization, from start to end (Unix seconds, both
    at a step); `labels` stand on every series."""
    organization = insights.model.organizations[0]
    home = organization.environment(environment)
    begin = start // DAY_SECONDS * DAY_SECONDS - DAY_SECONDS
    minutes = (end - begin) // 60
    counts: dict[str, dict[LabelValues, array[int]]] = {
        one.name: defaultdict(lambda: array("I", bytes(4 * minutes))) for one in COUNTED
    }
    for request in insights.model.requests(home.id, organization.tenants[0], begin, end):
        minute = int(request.time - begin) // 60
        for one in COUNTED:
            key = one.key(request)
            if key is not None:
                counts[one.name][key][minute] += 1
    sums = {
        name: {key: array("I", accumulate(of, initial=0)) for key, of in series.items()}
        for name, series in counts.items()
    }
    history = History(folder / "month")
    before = 0
    for step in range(start, end + 1, STEP_SECONDS):
        window_end = counted_until = step - DELAY_SECONDS
        if before and before // DAY_SECONDS != (window_end - 1) // DAY_SECONDS and before % DAY_SECONDS:
            counted_until = (before // DAY_SECONDS + 1) * DAY_SECONDS  # a counter never jumps over the end of a day
        samples = tuple(_samples(sums, begin, window_end, counted_until))
        history.save("month", step, Result(samples, period_start_time=_midnight(counted_until)))
        before = counted_until
    history.commit()
    file = folder / "month.om"
    place = {"organization": organization.handle, "environment_id": home.id, "environment": home.name}
    with file.open("wb") as out:
        history.write(out, {**place, "tenant": organization.tenants[0], **labels})
    history.close()
    return file


def write_blocks(file: Path, folder: Path) -> None:
    """Puts what `write_month` wrote into the data of a Prometheus that starts in the folder."""
    # promtool reads the whole file once for each block: in two blocks it takes seconds, in those of two hours minutes
    create = [program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
    subprocess.run([*create, str(file), str(folder / "data")], check=True, capture_output=True)


def _midnight(window_end: int) -> int:
    return (window_end - 1) // DAY_SECONDS * DAY_SECONDS


def _samples(
    sums: Mapping[str, Mapping[LabelValues, array[int]]], begin: int, window_end: int, counted_until: int
) -> Iterator[Samples]:
    for one in COUNTED:
        for name, kind, since, until in (
            (f"choreo_window_{one.name}", MetricType.GAUGE, window_end - STEP_SECONDS, window_end),
            (f"choreo_{one.name}_total", MetricType.COUNTER, _midnight(counted_until), counted_until),
        ):
            first, last = (since - begin) // 60, (until - begin) // 60
            values: dict[LabelValues, Number] = {key: of[last] - of[first] for key, of in sums[one.name].items()}
            shown = values if one.always else {key: value for key, value in values.items() if value}
            yield Samples.of(Family(name, kind, "", one.label_names), shown)
