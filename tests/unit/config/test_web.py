"""Web configuration files: the good ones load; each bad one is refused with exactly the lines that it states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config.web import load_web
from exporter.model.errors import ConfigError
from exporter.web.web_config import WebConfiguration

FILES = Path(__file__).parents[2] / "data" / "web_config"
EXPECTED = re.compile(r"^# error: (.*)$", re.MULTILINE)


@pytest.mark.parametrize("file", sorted((FILES / "good").iterdir()), ids=lambda file: file.stem)
def test_a_good_file_loads(file: Path) -> None:
    """What the toolkit takes is taken."""
    WebConfiguration(file).close()


@pytest.mark.parametrize("file", sorted((FILES / "bad").iterdir()), ids=lambda file: file.stem)
def test_a_bad_file_is_told_every_fault(file: Path) -> None:
    """Line, key, what is wrong and what would be right; never a password or its hash."""
    with pytest.raises(ConfigError) as refused:
        WebConfiguration(file)
    faults = [str(problem).removeprefix(f"{file}:").strip() for problem in refused.value.problems]
    assert faults == EXPECTED.findall(file.read_text(encoding="utf-8"))
    assert not any(secret in str(refused.value) for secret in ("hunter2", "$2", "$apr1"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The flag names a file that cannot be read."""
    with pytest.raises(ConfigError, match=r"web\.yml: cannot be read: No such file or directory; name a file"):
        load_web(tmp_path / "web.yml")


def test_files_that_cannot_be_read_are_told_by_their_key(tmp_path: Path) -> None:
    """A certificate is looked for beside the file, and missed by its path and key."""
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: /nowhere/server.key\n")
    with pytest.raises(ConfigError) as refused:
        load_web(file)
    assert [str(problem) for problem in refused.value.problems] == [
        f"{file}:2: tls_server_config.cert_file: {tmp_path}/server.crt cannot be read: No such file or directory;"
        " name a PEM file that this user can read",
        f"{file}:3: tls_server_config.key_file: /nowhere/server.key cannot be read: No such file or directory;"
        " name a PEM file that this user can read",
    ]
