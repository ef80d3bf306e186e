"""The row of private authorities, on every Python of this machine that is supported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authorities import KINDS, PROVES_NOTHING, REFUSED_STRICTLY, write_kinds
from tests.support.configurations import ROOT

HANDSHAKES = ROOT / "tests/support/handshakes.py"


def _pythons() -> Iterator[str]:
    """This Python, and those of other versions that the machine has, pyenv's among them."""
    yield sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(11, 20):
        name = f"python3.{minor}"
        candidates = [shutil.which(name), *sorted(map(str, versions.glob(f"3.{minor}.*/bin/{name}")))]
        runs = (each for each in candidates if each is not None and _runs(each))
        if minor != sys.version_info.minor and (found := next(runs, None)) is not None:
            yield found


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", "import ssl"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("python", list(_pythons()), ids=lambda python: Path(python).name)
@pytest.mark.parametrize("strict", [False, True], ids=["as in Prometheus", "strict"])
def test_row_101_private_authorities(tmp_path: Path, python: str, strict: bool) -> None:
    """Each kind of private authority gets the same verdict on each Python, though they begin with different rules."""
    write_kinds(tmp_path)
    command = [python, str(HANDSHAKES), str(tmp_path), *(["strict"] if strict else [])]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    refused = PROVES_NOTHING | REFUSED_STRICTLY if strict else PROVES_NOTHING
    names = {kind.__name__.strip("_") for kind in KINDS}
    assert json.loads(run.stdout) == {name: name not in refused for name in names}
