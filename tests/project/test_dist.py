"""What a release hands out: archives that are the same for everybody and work where nothing else is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from exporter import __version__
from exporter.model.program_version import program_version
from tests.support.configurations import ROOT


def built(folder: Path) -> dict[str, Path]:
    """The archives that `make dist` builds, by the end of their names."""
    subprocess.run(["sh", "scripts/dist.sh", str(folder)], cwd=ROOT, check=True, capture_output=True)
    wheel, archive = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"whl": next(wheel), "tar.gz": next(archive), "sums": folder / "SHA256SUMS"}


def test_the_archives_are_the_same_bytes_and_work_alone(tmp_path: Path) -> None:
    """Two builds agree; the wheel, where this checkout is not, checks a configuration with the catalogue."""
    first, second = built(tmp_path / "one"), built(tmp_path / "two")
    assert {name: file.read_bytes() for name, file in first.items()} == {
        name: file.read_bytes() for name, file in second.items()
    }
    inside = zipfile.ZipFile(first["whl"]).namelist()
    with tarfile.open(first["tar.gz"]) as archive:
        inside += archive.getnames()
    assert not [name for name in inside if "__pycache__" in name or "/tests/" in name or name.startswith("tests/")]
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(first["whl"])], check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(
        sysconfig.get_path("purelib")
    )  # the locked ones, of the environment here
    program = str(environment / "bin" / "insights-exporter")

    def output(*arguments: str) -> str:
        variables = dict.fromkeys(("CHOREO_CONSUMER_KEY", "CHOREO_CONSUMER_SECRET", "CHOREO_ORG_HANDLE"), "x")
        environ = {"PATH": os.environ["PATH"], "CHOREO_ORG_ID": "x", **variables}
        run = subprocess.run(
            [program, *arguments], cwd=tmp_path, env=environ, check=False, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert output("--version") == f"insights-exporter, version {program_version()}\n"
    assert ": fine (" in output("--config.check", f"--config.file={ROOT / 'config.example.yaml'}")
    output("generate", "files", str(tmp_path / "files"))
    for name, place in (("dashboards", "grafana/dashboards"), ("rules", "prometheus/rules")):
        found_names = sorted(file.name for file in (tmp_path / "files" / name).iterdir())
        assert found_names == sorted(file.name for file in (ROOT / place).iterdir())
    assert (environment / "share/man/man1/insights-exporter.1").is_file()
    where = [str(environment / "bin" / "python"), "-c", "import exporter; print(exporter.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(packages))


@pytest.mark.long
@pytest.mark.timeout(400)
def test_every_way_to_install_in_the_readme_works(tmp_path: Path) -> None:
    """pipx, uv and pip, each with the line of the README, give a command that shows its version and writes its
    files."""
    built(tmp_path / "dist")
    tools = tmp_path / "tools" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(tools.parent)], check=True)
    pip = [str(tools / "python"), "-m", "pip", "install", "--quiet", "pipx", "uv"]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        pytest.skip("needs pipx and uv from a package index")
    lines = re.findall(r"^(?:pipx|uv tool|python3 -m pip) install \S+\.whl$", (ROOT / "README.md").read_text(), re.M)
    assert len(lines) == 3
    for number, line in enumerate(lines):
        home = tmp_path / f"home-{number}"
        environ = {**os.environ, "HOME": str(home), "PATH": f"{home / '.local/bin'}:{tools}:{os.environ['PATH']}"}
        for name in ("PIPX_HOME", "PIPX_BIN_DIR", "UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "XDG_DATA_HOME", "XDG_BIN_HOME"):
            environ.pop(name, None)
        home.mkdir()
        script = f"{line} && insights-exporter --version && insights-exporter generate files {home / 'files'}"
        run = subprocess.run(
            script, shell=True, cwd=tmp_path / "dist", env=environ, check=False, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"insights-exporter, version {program_version()}\n" in run.stdout
        assert (home / "files/dashboards").is_dir()


@pytest.mark.long
def test_the_bill_of_materials_names_what_is_locked(tmp_path: Path) -> None:
    """`make sbom` lists every package that a user gets, with version and licence, and who needs it."""
    subprocess.run(["sh", "scripts/dist.sh", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["sh", "scripts/sbom.sh", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "insights-exporter.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("insights-exporter", __version__)
    locked = {
        line.partition("==")[0].replace("_", "-").lower(): line.partition("==")[2].split()[0]
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and line[0].isalnum()
    }
    named = {part["name"].replace("_", "-").lower(): part["version"] for part in bill["components"]}
    assert {"httpx", "bcrypt", "pydantic", "uvloop"} <= named.keys()
    assert named.items() <= locked.items()
    assert all(part.get("licenses") for part in bill["components"])
    assert any(each["ref"] == root["bom-ref"] and each.get("dependsOn") for each in bill["dependencies"])
    assert str(tmp_path) not in json.dumps(bill)
