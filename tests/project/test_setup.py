"""The set-up: what is locked, what is installed, and what a second call does."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME = "requirements.lock"
BUILD = "requirements-build.lock"
DEV = "requirements-dev.lock"
LOCKS = (RUNTIME, BUILD, DEV)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(lock: str) -> dict[str, Requirement]:
    """The requirements of a lock file by name, without their hashes."""
    lines = (ROOT / lock).read_text().splitlines()
    pins = [Requirement(line.removesuffix(" \\")) for line in lines if line[:1].isalnum()]
    return {canonicalize_name(pin.name): pin for pin in pins}


def version_of(pin: Requirement) -> str:
    return next(iter(pin.specifier)).version


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (RUNTIME, pyproject()["project"]["dependencies"]),
        (BUILD, pyproject()["build-system"]["requires"]),
        (DEV, pyproject()["dependency-groups"]["dev"]),
    ],
)
def test_the_lock_files_hold_what_pyproject_asks_for(lock: str, wanted: list[str]) -> None:
    """A dependency that is added or raised in pyproject.toml is locked as well; if not: `make lock`."""
    pins = locked(lock)
    asked = [Requirement(line) for line in wanted]
    unlocked = [
        str(requirement)
        for requirement in asked
        if (pin := pins.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version_of(pin), prereleases=True)
    ]
    assert not unlocked


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_exact_versions_with_hashes_and_nothing_else(lock: str) -> None:
    """Two machines install the same files, wherever each gets them from: no address and no path is written down."""
    for block in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
        head, *rest = [line for line in block.splitlines() if not line.lstrip().startswith("#")] or [""]
        if not head:
            continue
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;@/]+( ; [^@/]+)? \\", head)
        assert rest
        assert all(HASH.fullmatch(line.removesuffix(" \\")) for line in rest), head


def test_a_package_has_one_version_in_all_lock_files() -> None:
    """The tests run with the very versions that users get."""
    pins = [(name, version_of(pin)) for lock in LOCKS for name, pin in locked(lock).items()]
    assert len(dict(pins)) == len(set(pins))


def test_the_installed_versions_are_the_locked_ones() -> None:
    """What was tested is what is locked."""
    environment = {key: str(value) for key, value in default_environment().items()}
    pins = {name: pin for lock in LOCKS for name, pin in locked(lock).items()}
    here = {name: pin for name, pin in pins.items() if pin.marker is None or pin.marker.evaluate(environment)}
    assert {name: version(name) for name in here} == {name: version_of(pin) for name, pin in here.items()}


def test_a_second_set_up_does_nothing() -> None:
    """The second `make demo` or `make test` has at most two seconds of set-up work, by the processor's clock."""
    assert Path(sys.prefix) == ROOT / ".venv", "run the tests with `make test`"
    subprocess.run(["sh", "scripts/setup.sh", "--check", "dev"], cwd=ROOT, check=True)
    stamps = {path: path.stat().st_mtime_ns for path in (ROOT / ".venv").glob("*.stamp")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for level in ("runtime", "dev"):
        subprocess.run(["sh", "scripts/setup.sh", level], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2 * 2
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.parametrize("changed", [*LOCKS, "pyproject.toml"])
def test_a_change_of_content_calls_for_a_new_set_up(changed: str, tmp_path: Path) -> None:
    """A new lock or a new entry point is installed by the next `make`; a new date of a file alone changes nothing."""
    here = tmp_path / "project"
    shutil.copytree(ROOT / "scripts", here / "scripts")
    for name in (*LOCKS, "pyproject.toml", "exporter/__init__.py"):
        (here / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, here / name)
    stamps = here / ".venv"
    (stamps / "bin").mkdir(parents=True)
    (stamps / "bin" / "python").symlink_to(sys.executable)

    def is_current() -> bool:
        return subprocess.run(["sh", "scripts/setup.sh", "--check", "dev"], cwd=here, check=False).returncode == 0

    texts = {name: (here / name).read_text() for name in LOCKS}
    runtime = f"{here}\n{texts[RUNTIME]}{texts[BUILD]}"
    (stamps / "runtime.stamp").write_text(runtime)
    (stamps / "dev.stamp").write_text(runtime + texts[DEV])
    version_line = next(
        line for line in (here / "exporter/__init__.py").read_text().splitlines() if line.startswith("__version__")
    )
    (stamps / "project.stamp").write_text((here / "pyproject.toml").read_text() + version_line + "\n")

    (here / changed).touch()
    assert is_current()
    with (here / changed).open("a") as file:
        file.write("# changed\n")
    assert not is_current()


def test_without_a_recent_python_one_line_says_what_is_needed(tmp_path: Path) -> None:
    """A newcomer whose Python is absent or too old reads one line, not a traceback."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    sh = shutil.which("sh")
    assert sh is not None
    run = subprocess.run(
        [sh, str(ROOT / "scripts/python.sh")], env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert "Python 3.11 or later is needed" in run.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_read_by_any_posix_shell(script: Path) -> None:
    """macOS and Debian have different shells behind `sh`."""
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert script.read_text().startswith("#!/bin/sh\n")


def test_make_alone_lists_every_target() -> None:
    """`make` explains itself and starts nothing."""
    listed = subprocess.run(["make", "-s"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in ("demo", "run", "test", "test-all", "lint", "format", "lock", "dist", "sbom", "audit", "clean"):
        assert re.search(rf"^  make {target} +\S", listed, re.MULTILINE), target


PASSING = """
import pytest
def test_plain(): pass
@pytest.mark.xfail
def test_known(): assert False
"""
SKIPPED = """
import pytest
@pytest.fixture
def tea(): pytest.skip('no tea 1')
def test_by_fixture(tea): pass
def test_by_call(): pytest.skip('no tea 2')
@pytest.mark.skip(reason='no tea 3')
def test_by_mark(): pass
"""
SKIPPED_FILE = "import pytest; pytest.skip('no tea 4', allow_module_level=True)"


@pytest.mark.parametrize(
    ("files", "exit_code", "reasons"),
    [((PASSING,), 0, set()), ((PASSING, SKIPPED), 1, set("123")), ((PASSING, SKIPPED_FILE), 1, set("4"))],
    ids=["none", "tests", "file"],
)
def test_on_ci_a_skipped_test_has_failed(
    files: tuple[str, ...], exit_code: int, reasons: set[str], tmp_path: Path
) -> None:
    """A test that cannot run on CI is noticed, with its reason, and not passed over."""
    for number, text in enumerate(files):
        (tmp_path / f"test_{number}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-n", "1", "-p", "tests.support.no_skips", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == exit_code, run.stdout
    assert set(re.findall(r"skipped on CI: no tea (\d)", run.stdout)) == reasons
