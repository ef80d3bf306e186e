"""Configuration files: the good ones load and plan; each bad one is refused with exactly the lines that it states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.daemon.check import check, ready_to_start
from exporter.model.errors import ConfigError
from exporter.plan.planner import plan
from tests.support.certificates import authority_file

FILES = Path(__file__).parents[2] / "data" / "config"
ENVIRON = {"EMPTY": "", "ORG": "o-1"}
EXPECTED = re.compile(r"^# error: (.*)$", re.MULTILINE)
WARNED = re.compile(r"^# warning: (.*)$", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def few_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The system knows one authority; to read its own takes longer than the rest of a check."""
    with pytest.MonkeyPatch.context() as changes:
        changes.setenv("SSL_CERT_FILE", str(authority_file(tmp_path_factory.mktemp("authority"))))
        yield


def faults(file: Path) -> list[str]:
    """The faults that keep a configuration from starting, without the file's name and the folder of the files."""
    with pytest.raises(ConfigError) as refused:
        ready_to_start(file, ENVIRON)
    told = (str(problem).removeprefix(f"{file}:").strip() for problem in refused.value.problems)
    return [line.replace(f"{file.parent}/../", "") for line in told]


@pytest.mark.parametrize("file", sorted((FILES / "good").iterdir()), ids=lambda file: file.stem)
def test_a_good_file_can_start(file: Path) -> None:
    """What the file's first line promises can be written so."""
    found = plan(load(file, ENVIRON))
    assert found.queries
    assert found.families
    assert not check(file, ENVIRON).unmet
    assert ready_to_start(file, ENVIRON)
    assert not found.warnings


@pytest.mark.parametrize("file", sorted((FILES / "bad").iterdir()), ids=lambda file: file.stem)
def test_a_bad_file_is_told_every_fault(file: Path) -> None:
    """Each fault is told once, in the order of the file: its line, its key, what is wrong and what would be right."""
    assert faults(file) == EXPECTED.findall(file.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.parametrize("file", sorted((FILES / "warned").iterdir()), ids=lambda file: file.stem)
def test_what_is_hardly_meant_is_warned_of(file: Path) -> None:
    """A file that can run, but hardly as it is meant, starts; each warning has its line, its key and a remedy."""
    told = (str(problem).removeprefix(f"{file}:").strip() for problem in check(file, ENVIRON).plan.warnings)
    assert list(told) == WARNED.findall(file.read_text(encoding="utf-8"))
    assert ready_to_start(file, ENVIRON)
