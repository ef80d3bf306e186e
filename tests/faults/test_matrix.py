"""The rows of the fault matrix that run side by side: one exporter, each fault on a query of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.faults import access, answers, connections
from tests.faults.experiment import FULL, QUICK, Case, Experiment
from tests.faults.rows import ROWS

CASES: Final[tuple[Case, ...]] = (*answers.CASES, *access.CASES, *connections.CASES)
NUMBERS: Final = sorted({case.row for case in CASES})
IN_FULL: Final = pytest.mark.long
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session", params=[pytest.param(QUICK, id="quick"), pytest.param(FULL, id="full", marks=IN_FULL)])
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The experiment, when it is over."""
    return Experiment(CASES, Path(tmp_path_factory.mktemp("experiment")), request.param).run()


@pytest.mark.parametrize("number", [pytest.param(number, id=ROWS[number].id) for number in NUMBERS])
def test_row(number: int, experiment: Experiment) -> None:
    """While its fault lasts, a query shows what is wrong, keeps its last good values, and harms no other; after it,
    everything is as before. No secret is shown anywhere, and no more tokens are asked for than are needed."""
    experiment.check(number)


def test_row_66_scrapes_meanwhile(experiment: Experiment) -> None:
    """Ten scrapers that scrape all the while get every page, in time."""
    experiment.check_scrapes()
