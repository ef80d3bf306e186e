"""Rows of files that are no files any more, and of an event loop that stands still."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.daemon.test_app import command
from tests.faults.configuration import query, source_of, written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.faults.test_reloads import hup, polls
from tests.faults.test_stops import stopped
from tests.support.configurations import ROOT
from tests.support.memory_limits import memory_bytes, memory_limit
from tests.support.processes import PATIENCE_SECONDS, Exporter, eventually, get, program
from tests.support.upstream import Upstream, answer

GIB: Final = 2**30
REFUSED_SECONDS: Final = 20  # ten are promised, on a machine that does nothing else
MANY: Final = "many values"


class Mount:
    """A folder that hangs when the test wants it to: whoever opens or looks at a file in it waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mount"
        self.folder.mkdir()
        self._now = folder / "hung_now"
        library, source = folder / "hung_mount.so", Path(__file__).with_name("hung_mount.c")
        subprocess.run([program("gcc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.environ = {"LD_PRELOAD": str(library), "HUNG_FOLDER": str(self.folder), "HUNG_NOW": str(self._now)}

    def hang(self, _file: Path | None = None) -> None:
        self._now.touch()

    def go_on(self) -> None:
        self._now.unlink(missing_ok=True)


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


def become_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def become_device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def become_giant(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(GIB)


def become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


BECOME: Final[dict[str, Callable[[Path], None]]] = {
    "a pipe": become_fifo,
    "a device": become_device,
    "a gigabyte": become_giant,
    "a folder": become_folder,
}


def restore(file: Path, text: str) -> None:
    if file.is_dir():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)
    file.write_text(text)


def sources_of_files(upstream: Upstream, folder: Path, canary: str) -> list[dict[str, Any]]:
    """A sound source, and one for each way in which a credential comes from a file, all of whose files work."""
    for name in ("bearer", "password", "header", "value", "param"):
        (folder / name).write_text(canary)
    found: list[dict[str, Any]] = [source_of(upstream)]
    more: dict[str, dict[str, Any]] = {
        "bearer": {"authorization": {"credentials_file": str(folder / "bearer")}},
        "password": {"basic_auth": {"username": "a", "password_file": str(folder / "password")}},
        "value": {"secret_values": {"key": {"file": str(folder / "value")}}},
        "param": {"params": {"key": {"file": str(folder / "param")}}},
    }
    for name, keys in more.items():
        route = upstream.api_route(f"/{name}")
        route.always(answer({"data": {"value": 1}}))
        found.append({"name": name, "url": upstream.origin + route.path, "labels": {"of": name}, **keys})
    return found


NAMES: Final = ("bearer", "password", "value", "param")
SOUND: Final = query("sound", "2s", sources=["api"])
WATCHED: Final = query(
    "watched",
    "1s",
    sources=[name for name in NAMES if name != "value"],
)
OF_VALUE: Final = query(
    "of_value",
    "1s",
    sources=["value"],
    document="query of_value($key: String) { value(key: $key) }",
    variables={"key": "{{ source.key }}"},
)


def check_neighbour(exporter: Exporter) -> None:
    """A source without files is polled as ever, and pages are served in time."""
    before = polls(exporter)
    eventually(lambda: polls(exporter) > before + 1, "polls of the sound source", 20)
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None
    began = time.monotonic()
    assert get(f"{exporter.url}/metrics").status_code == 200
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("what", [*BECOME, "a hung mount"])
def test_row_95_secret_file_is_no_file(what: str, start: Start, upstream: Upstream, mount: Mount, canary: str) -> None:
    """Where a secret's file is a pipe, a device, a gigabyte, or on a mount that hangs, its source alone fails, in its
    time and in words; scrapes and other sources go on; it works again with its file, and the end takes no longer."""
    exporter = start(
        sources_of_files(upstream, mount.folder, canary), [SOUND, WATCHED, OF_VALUE], environ=mount.environ
    )
    exporter.wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 1 + len(NAMES), "good start")
    resident = memory_bytes(exporter, "VmHWM")
    files = [mount.folder / name for name in NAMES]
    if what in BECOME:
        for file in files:
            BECOME[what](file)
    else:
        mount.hang()
    for name in NAMES:
        eventually(lambda name=name: exporter.value(f"{OWN}poll_failures_total", source=name, reason="secret"), name)  # type: ignore[misc]
    check_neighbour(exporter)
    assert memory_bytes(exporter, "VmHWM") - resident < 50 * 2**20
    mount.go_on()
    if what in BECOME:
        for file in files:
            restore(file, canary)
    eventually(lambda: exporter.value(f"{OWN}query_up") == 1 + len(NAMES), "recovery", 60)
    if what not in BECOME:
        mount.hang()
        check_neighbour(exporter)
    stopped(exporter)


def test_row_95_secret_file_is_no_file_of_the_token_endpoint(
    start: Start, upstream: Upstream, mount: Mount, canary: str
) -> None:
    """A client secret on a mount that hangs fails the polls that need a token, and nothing else."""
    secret = mount.folder / "secret"
    secret.write_text(canary)
    apart = source_of(upstream, "apart", client_secret_file=str(secret))
    del apart["oauth2"]["client_secret"]
    token, api = upstream.token_route("/apart/token"), upstream.api_route("/apart")
    apart["oauth2"]["token_url"], apart["url"] = upstream.origin + token.path, upstream.origin + api.path
    queries = [SOUND, query("apart", "1s", sources=["apart"], timeout="1s")]
    exporter = start([source_of(upstream), apart], queries, environ=mount.environ).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    mount.hang()
    upstream.revoke_all()
    eventually(lambda: exporter.value(f"{OWN}token_renewals_total", source="apart", reason="secret"), "failed renewal")
    check_neighbour(exporter)
    mount.go_on()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "recovery", 60)
    mount.hang()
    stopped(exporter)


def spreading(levels: int) -> str:
    """A document whose fragments each spread the next twice."""
    parts = [f"fragment f{level} on Query {{ ...f{level + 1} ...f{level + 1} }}" for level in range(levels)]
    return "\n".join(["query { ...f0 }", *parts, f"fragment f{levels} on Query {{ value }}"])


def put_spreading(config: Path, good: dict[str, Any]) -> None:
    queries = [{**good["queries"][0], "document": spreading(40)}]
    config.write_text(json.dumps({**good, "queries": queries}))


def put_large(text: str) -> Callable[[Path, dict[str, Any]], None]:
    def put(config: Path, _good: dict[str, Any]) -> None:
        with config.open("w") as stream:
            for _ in range(100):
                stream.write(text * (2**20 // len(text)))

    return put


def put_many_values(config: Path, _good: dict[str, Any]) -> None:
    config.write_text("sources: [" + "a, " * 2**21 + "a]")


def put_schema(become: Callable[[Path], None]) -> Callable[[Path, dict[str, Any]], None]:
    def put(config: Path, good: dict[str, Any]) -> None:
        schema = config.with_name("schema.graphql")
        schema.write_text("type Query { value: Int }")
        become(schema)
        sources = [{**good["sources"][0], "schema": str(schema)}]
        config.write_text(json.dumps({**good, "sources": sources}))

    return put


def put_authority(config: Path, good: dict[str, Any]) -> None:
    authority = config.with_name("authority.pem")
    authority.unlink(missing_ok=True)
    os.mkfifo(authority)
    sources = [{**good["sources"][0], "tls_config": {"ca_file": str(authority)}}]
    config.write_text(json.dumps({**good, "sources": sources}))


CONFIGURATIONS: Final[dict[str, Callable[[Path, dict[str, Any]], None]]] = {
    "a pipe": lambda config, _: become_fifo(config),
    "a device": lambda config, _: become_device(config),
    "a gigabyte": lambda config, _: become_giant(config),
    "a hundred megabytes": put_large("# a comment\n"),
    MANY: put_many_values,
    "fragments that spread each other": put_spreading,
    "a schema that is a pipe": put_schema(become_fifo),
    "a schema of a gigabyte": put_schema(become_giant),
    "an authority that is a pipe": put_authority,
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_row_96_configuration_is_no_configuration(
    what: str, start: Start, upstream: Upstream, stack: ExitStack, tmp_path: Path
) -> None:
    """What the configuration names is a pipe, a device, too large, or explodes: refused in words within ten seconds,
    in 300 MiB, while the old one goes on; the next good file is loaded."""
    prefix = stack.enter_context(memory_limit(300 * 2**20))
    exporter = start([source_of(upstream)], [SOUND], prefix=prefix).wait_until_ready()
    config = tmp_path / "config.yaml"
    text = config.read_text()
    CONFIGURATIONS[what](config, json.loads(text))
    hup(exporter)
    seconds = PATIENCE_SECONDS if what == MANY else REFUSED_SECONDS  # a busy machine takes long to read a million
    eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 0, "refusal", seconds)
    assert "the new configuration is not used" in exporter.log
    check_neighbour(exporter)
    assert memory_bytes(exporter, "VmHWM") < 300 * 2**20
    restore(config, text)
    hup(exporter)
    eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 1, "good load")
    stopped(exporter)


def test_row_96_configuration_is_no_configuration_on_a_hung_mount(
    start: Start, upstream: Upstream, mount: Mount, tmp_path: Path
) -> None:
    """A configuration on a mount that hangs is given up in words; watching its files goes on when the mount does, and
    the end takes no longer."""
    schema = mount.folder / "schema.graphql"
    schema.write_text("type Query { value: Int }")
    source = {**source_of(upstream), "schema": str(schema)}
    exporter = start([source], [SOUND], "--config.auto-reload", environ=mount.environ)
    exporter.wait_until_ready()
    mount.hang()
    hup(exporter)
    eventually(lambda: exporter.value(f"{OWN}config_last_reload_successful") == 0, "refusal", REFUSED_SECONDS)
    check_neighbour(exporter)
    mount.go_on()
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace('"name": "sound"', '"name": "other"'))
    eventually(lambda: exporter.value("other") == 1, "the changed file")
    mount.hang()
    hup(exporter)
    check_neighbour_of(exporter, "other")
    stopped(exporter)


def check_neighbour_of(exporter: Exporter, name: str) -> None:
    before = polls(exporter, name)
    eventually(lambda: polls(exporter, name) > before + 1, "polls")


BLOCKS: Final = {"asleep": "time.sleep(60)", "busy": "while True: pass"}
HOOK: Final = """
import gc, os, threading, time

def block():
    open({blocked!r}, "w").close()
    {how}

def wait():
    while not os.path.exists({wanted!r}):
        time.sleep(0.05)
    import uvloop
    for found in gc.get_objects():
        if isinstance(found, uvloop.Loop) and found.is_running():
            found.call_soon_threadsafe(block)

threading.Thread(target=wait, daemon=True).start()
"""


@pytest.mark.parametrize("how", BLOCKS.values(), ids=BLOCKS)
def test_row_107_event_loop_stands_still(how: str, start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """Where the event loop stands still, for whatever reason, SIGTERM ends the exporter within five seconds."""
    wanted, blocked, hooks = tmp_path / "wanted", tmp_path / "blocked", tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK.format(blocked=str(blocked), wanted=str(wanted), how=how))
    environ = {"PYTHONPATH": f"{hooks}{os.pathsep}{ROOT}"}
    exporter = start([source_of(upstream)], [query("sound", "1s")], environ=environ).wait_until_ready()
    wanted.touch()
    eventually(blocked.exists, "standstill")
    stopped(exporter)


@pytest.mark.parametrize("limit", [10, 16, 30])
def test_row_108_few_files(limit: int, upstream: Upstream, tmp_path: Path) -> None:
    """With a limit of open files that is too low, the exporter says so in one line, and does not start."""
    config = written(tmp_path / "config.yaml", [source_of(upstream)], [query("value", "1s")])
    run = limited(limit, f"--config.file={config}")
    assert run.returncode == 1
    assert run.stderr == f"error: only {limit} files may be open (ulimit -n), and 40 are needed; raise that limit\n"
    assert not upstream.token.journal


def limited(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished run of the command line under a limit of open files."""
    shell = f'ulimit -n {limit} && exec "$@"'
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "exporter", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("kind", ["line end", "mark", "NUL"])
def test_row_102_what_stands_around_a_secret(
    kind: str, start: Start, upstream: Upstream, canary: str, tmp_path: Path
) -> None:
    """A line end or a byte-order mark around a secret is not sent; the check refuses a NUL in words."""
    around = {"line end": ("", "\n"), "mark": ("\ufeff", "\r\n"), "NUL": ("", "\0")}[kind]
    text = f"{around[0]}{canary}{around[1]}"
    secret = tmp_path / "secret"
    secret.write_text(text, encoding="utf-8", newline="")
    of_file = source_of(upstream, "of_file", client_secret_file="secret")
    del of_file["oauth2"]["client_secret"]
    token = upstream.token_route("/other/token")
    of_file["oauth2"]["token_url"] = upstream.origin + token.path
    sources, queries = [source_of(upstream), of_file], [query("sound", "1s")]
    if kind == "NUL":
        config = written(tmp_path / "config.yaml", sources, queries)
        run = command("--config.check", f"--config.file={config}", environ={"CANARY_SECRET": canary})
        assert f"client_secret_file: {secret} is no text: it has a NUL character" in run.stderr
        assert canary not in run.stderr
        return
    exporter = start(sources, queries, environ={"CANARY_SECRET": text}).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    assert upstream.token.journal[0].basic == ("faults", canary)
    assert token.journal[0].basic == ("faults", canary)
