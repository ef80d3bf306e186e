"""What the tests of `insights-exporter query` have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC, choreo_source

PATIENT = (ENVIRONMENTS + APIS + TRAFFIC).replace("interval: 1s", "interval: 1m")  # a poll may take ten seconds


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with environments, their APIs and their traffic."""
    file = tmp_path / "config.yaml"
    file.write_text(choreo_source() + PATIENT)
    return file
