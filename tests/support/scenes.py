"""Running exporters in the states that a person may find them in, for tests and for the pictures of the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from exporter.simulator import Settings, Simulator
from tests.support.configurations import APIS, ENVIRONMENTS, ROOT, TRAFFIC, choreo_environ, choreo_source
from tests.support.processes import Exporter, eventually, get

WIDTHS: Final = (320, 360, 390, 768, 810, 1024, 1280, 1920)  # pixels
BAD: Final = """
  - name: bad
    interval: 1s
    document: "query ($org: OrgFilter!) { listEnvironments(org: $org) { id } }"
    variables: {org: {orgId: "{{ source.org_id }}"}}
    rows: listEnvironments
    metrics:
      - {name: same_for_all, help: Without a label., value: 1}
"""


@contextmanager
def well(folder: Path) -> Iterator[str]:
    """The whole catalogue on the simulated API: the page's address."""
    config = ROOT / "config.example.yaml"
    with Simulator() as insights, Exporter(config, folder / "well", environ=choreo_environ(insights)) as exporter:
        exporter.wait_until_ready(200)
        yield exporter.url


@contextmanager
def failing(folder: Path) -> Iterator[str]:
    """Four queries, one of which fails."""
    config = folder / "failing.yaml"
    queries = ENVIRONMENTS + APIS + TRAFFIC + BAD
    config.write_text(choreo_source() + queries.replace("interval: 1s", "interval: 10s"))  # the deadline as well
    with (
        Simulator(Settings(delay_seconds=0)) as insights,
        Exporter(config, folder / "failing", environ=choreo_environ(insights)) as exporter,
    ):
        yield exporter.wait_until_ready().url


@contextmanager
def paused(folder: Path) -> Iterator[str]:
    """The whole catalogue on an API that takes twenty requests a minute and then asks for a pause."""
    config = ROOT / "config.example.yaml"
    with (
        Simulator(Settings(limit=20)) as insights,
        Exporter(config, folder / "paused", environ=choreo_environ(insights)) as exporter,
    ):
        eventually(lambda: exporter.answers() and "paused until" in get(exporter.url).text, "a pause")
        yield exporter.url


@contextmanager
def unasked(folder: Path) -> Iterator[str]:
    """The whole catalogue on an API that does not answer yet: nothing has been polled."""
    config = ROOT / "config.example.yaml"
    with (
        Simulator() as insights,
        Exporter(config, folder / "unasked", environ=choreo_environ(insights)) as exporter,
    ):
        insights.faults.set(api="hang", token_endpoint="hang")
        eventually(exporter.answers, "its page")
        yield exporter.url


SCENES: Final[dict[str, Callable[[Path], AbstractContextManager[str]]]] = {
    "well": well,
    "failing": failing,
    "paused": paused,
    "unasked": unasked,
}
