"""Fixtures: the simulated Insights API, real exporters, a real Prometheus."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from exporter.model.secret import forget, known_texts, use_variables
from exporter.simulator import Settings, Simulator
from tests.support.configurations import choreo_environ, choreo_source
from tests.support.processes import Exporter, Prometheus

# Whatever the environment says: a module of tests is compiled once, and not in each worker of each run.
sys.dont_write_bytecode = False

# The same examples in every run, so that nothing fails but by what was changed; `make test-all` looks for new ones.
# No deadline: timings are for bench/, not for tests.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None, derandomize=False)
hypothesis.settings.load_profile("same")

# Within a hook of Git these name the project's repository, also for a test in a folder of its own.
for _variable in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[_variable]

_TESTS = Path(__file__).parent
StartInsights = Callable[[Settings], Simulator]
StartExporter = Callable[..., Exporter]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More workers than a small machine has processors, as tests mostly wait. The unit tests do not, and each worker
    imports all of them first."""
    processors = os.cpu_count() or 1
    of_units = all(f"{argument}/".startswith("tests/unit/") for argument in config.args)
    return processors if of_units else max(4, processors)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begins with the files whose tests may take longest, then with those that run whole systems, and ends with the
    unit tests, whose files are short, so that no worker is left with a long file when the others have ended
    (pytest-xdist hands out files in this order)."""
    rooms = {"system": 0, "faults": 0, "unit": 2}
    longest: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        seconds = float(mark.args[0] if mark else config.getini("timeout"))
        longest[item.path] = max(seconds, longest.get(item.path, 0))
    items.sort(key=lambda item: (-longest[item.path], rooms.get(item.path.relative_to(_TESTS).parts[0], 1)))


@pytest.fixture(autouse=True)
def no_secret_of_another_test() -> Iterator[None]:
    """What one test reads as a secret is plain text in the next, as each process begins with none."""
    before = frozenset(known_texts())
    yield
    use_variables(())
    for text in frozenset(known_texts()) - before:
        forget(text)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Everything that a test starts, ended in the opposite order."""
    with ExitStack() as started:
        yield started


@pytest.fixture
def start_insights(stack: ExitStack) -> StartInsights:
    """Starts a simulated Insights API with these settings."""
    return lambda settings: stack.enter_context(Simulator(settings))


@pytest.fixture
def insights(start_insights: StartInsights) -> Simulator:
    """A simulated Insights API whose data is never late."""
    return start_insights(Settings(delay_seconds=0))


@pytest.fixture
def start_exporter(stack: ExitStack, tmp_path: Path) -> StartExporter:
    """Starts an exporter on a simulated API, with the queries given as YAML (or a whole configuration)."""

    def start(simulator: Simulator, queries: str, *flags: str, source: str | None = None) -> Exporter:
        config = tmp_path / "config.yaml"
        config.write_text((choreo_source() if source is None else source) + queries)
        environ = choreo_environ(simulator)
        return stack.enter_context(Exporter(config, tmp_path / "exporter.log", *flags, environ=environ))

    return start


@pytest.fixture
def start_prometheus(stack: ExitStack, tmp_path: Path) -> Callable[[Exporter], Prometheus]:
    """Starts a Prometheus that scrapes an exporter every second."""
    return lambda exporter: stack.enter_context(Prometheus(tmp_path, f"127.0.0.1:{exporter.port}"))
