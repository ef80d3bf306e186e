"""Real containers, by Debian's buildah and podman, in a storage of their own that goes with its folder.

No image can be relied on to be at hand, so each base image has a stand-in: a small Debian with Python, or a file system
that holds one of this machine's programs and busybox, as Prometheus' own images do.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.support.configurations import ROOT
from tests.support.processes import program

BASE: Final = "docker.io/library/python:3.11.14-slim-bookworm"
IMAGE: Final = "insights-exporter"

_NOBODY: Final = 65534
_PROGRAMS: Final = ("podman", "buildah", "runc", "dnsmasq", "iptables", "mmdebstrap", "busybox")
_SOURCES: Final = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_DEBIAN: Final = "bookworm"


def containers() -> Containers:
    """Containers of this machine; the test is skipped, saying so, where this machine or user cannot run any."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to build and run containers")
    for name in _PROGRAMS:
        program(name)
    return Containers()


class Containers:
    """Images, containers, networks and volumes of one test module."""

    def __init__(self) -> None:
        # Not below pytest's folder, from which a later run could not remove what a killed one leaves mounted.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="containers-"))
        storage = folder / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"\n'
        )
        engine = folder / "containers.conf"
        engine.write_text(
            f"""\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder / "libpod"}"
[network]
network_config_dir = "{folder / "networks"}"
"""
        )
        (folder / "networks").mkdir()
        self.environ = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(engine),
            "BUILDAH_ISOLATION": "chroot",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for arguments in (("rm", "-fa", "-t", "0"), ("volume", "prune", "-f"), ("network", "prune", "-f")):
            self._done("podman", *arguments, check=False)
        for mounted in ("graph/overlay", "graph", "run"):
            subprocess.run(["umount", "-q", "--lazy", str(self._folder / mounted)], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def podman(self, *arguments: str, seconds: float = 120) -> str:
        """What podman prints. Fails with what it says where it fails."""
        return self._done("podman", *arguments, seconds=seconds).stdout.strip()

    def exit_code(self, *arguments: str) -> int:
        """Podman's own exit code."""
        return self._done("podman", *arguments, check=False).returncode

    def inspected(self, name: str) -> Any:
        """What podman knows of a container or an image."""
        return json.loads(self.podman("inspect", name))[0]

    def build(self, tag: str, *arguments: str) -> None:
        """Builds this project's image. What package clients need on this machine is lent to the build, not copied."""
        lent = [Path.home() / ".config/pip/pip.conf", Path("/etc/pip.conf")]
        settings = next((file for file in lent if file.exists()), None)
        volumes = [f"--volume={settings}:/etc/pip.conf:ro"] if settings else []
        volumes += ["--volume=/etc/ssl:/etc/ssl:ro"] if Path("/etc/ssl/certs").is_dir() else []
        command = ("bud", "--format=docker", "--pull=never", "--network=host", *volumes, f"--tag={tag}", *arguments)
        self._done("buildah", *command, str(ROOT), seconds=540)

    def import_python(self, tag: str) -> None:
        """A small Debian with Python stands in for Python's image. Made once, it is kept beside the other caches."""
        kept = ROOT / ".cache/containers" / f"{_DEBIAN}-python3.tar"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = kept.with_name(f"{os.getpid()}.tar")  # beside it, so that another worker never finds half of it
            sources = [str(file) for file in _SOURCES if file.exists() and _DEBIAN in file.read_text()][:1]
            left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
            packages = "--include=python3,python3-venv,ca-certificates"
            command = ("--quiet", "--variant=minbase", packages, *left_out, _DEBIAN, str(fresh), *sources)
            self._done("mmdebstrap", *command, seconds=540)
            fresh.rename(kept)
        self.podman("import", "--quiet", str(kept), tag)

    def import_program(self, tag: str, name: str, data_folder: str, *needed: Path) -> None:
        """A program of this machine, and the files that it needs, stand in for its image, with busybox beside them."""
        path = Path(program(name))
        entry = f"/bin/{data_folder.strip('/')}"
        archive = self._folder / f"{path.name}.tar"
        with tarfile.open(archive, "w", dereference=True) as tar:
            for folder in ("tmp", "etc", data_folder.strip("/")):
                tar.addfile(_owned_by_nobody(folder))
            tar.addfile(*_text_file("etc/passwd", f"nobody:x:{_NOBODY}:{_NOBODY}::/:/bin/sh\n"))
            for file in (path, *_libraries(path), *needed):
                tar.add(file, entry.lstrip("/") if file == path else str(file).lstrip("/"))
            tar.add(program("busybox"), "bin/busybox")
            for applet in ("sh", "wget"):
                tar.addfile(_link(f"bin/{applet}", "busybox"))
        changes = [f"ENTRYPOINT [{json.dumps(entry)}]", f"USER {_NOBODY}:{_NOBODY}", f"VOLUME {data_folder}"]
        self.podman("import", "--quiet", *(f"--change={change}" for change in changes), str(archive), tag)
        archive.unlink()

    def _done(
        self, command: str, *arguments: str, check: bool = True, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [command, *arguments], env=self.environ, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert not check or done.returncode == 0, f"{command} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done


def confined(*arguments: str) -> tuple[str, ...]:
    """The arguments of a container that may do nothing but what it needs."""
    return ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=256m", *arguments)


def _libraries(file: Path) -> Sequence[Path]:
    """The shared libraries that a program loads; none for a static one."""
    words = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout.split()
    return [Path(word) for word in words if word.startswith("/")]


def _owned_by_nobody(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o755, _NOBODY, _NOBODY
    return info


def _text_file(name: str, text: str) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text.encode()), 0o644
    return info, io.BytesIO(text.encode())


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info
