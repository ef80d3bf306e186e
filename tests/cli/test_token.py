"""`insights-exporter token revoke`: a token in wrong hands goes out of use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.configuration import query, source_of, written
from tests.support.upstream import Upstream, reply, status

SECRET = "correct-horse-battery"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


def revoke(config: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command `token revoke`, with this on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", "token", "revoke", f"--config.file={config}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, "CANARY_SECRET": SECRET},
        timeout=60,
        check=False,
    )


def refused(run: subprocess.CompletedProcess[str]) -> str:
    """The only line of a command's error."""
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1, run.stderr
    return run.stderr


def test_the_command_revokes_a_stolen_token(upstream: Upstream, tmp_path: Path) -> None:
    """`token revoke` takes the token from standard input, revokes it, and shows that the API answers 401 to it."""
    stolen = upstream.new_token(upstream.token.path, 3600)
    oauth2 = {"revocation_url": upstream.revocation_url}
    config = written(tmp_path / "c.yaml", [source_of(upstream, **oauth2)], [query("value", "30s")])
    run = revoke(config, f"{stolen}\n")
    assert run.returncode == 0, run.stderr
    confirmed = "api: the server confirmed the revocation (servers also confirm unknown tokens)"
    assert run.stdout == f"{confirmed}\napi: the API answers 401 to it\n"
    assert not upstream.granted
    assert upstream.api.journal[-1].bearer == stolen
    assert not upstream.token.journal
    assert stolen not in run.stdout + run.stderr


def test_the_command_says_what_does_not_work(upstream: Upstream, tmp_path: Path) -> None:
    """The API still takes it, the revocation fails, there is no token, or no choice of source: a line, exit code 1."""
    source = source_of(upstream, revocation_url=upstream.revocation_url)
    one = written(tmp_path / "one.yaml", [source], [query("value", "30s")])
    two = written(
        tmp_path / "two.yaml", [source, {**source, "name": "b", "labels": {"of": "b"}}], [query("value", "30s")]
    )
    bare = written(tmp_path / "bare.yaml", [source_of(upstream)], [query("value", "30s")])
    upstream.revocation.always(reply())  # says so, and does not do it
    stolen = upstream.new_token(upstream.token.path, 3600)
    assert "the API still accepts it" in refused(revoke(one, stolen))
    assert "--source: api, b" in refused(revoke(two, stolen))
    assert "the API still accepts it" in refused(revoke(two, stolen, "--source=b"))
    assert "no oauth2.revocation_url" in refused(revoke(bare, stolen))
    assert "no token on standard input" in refused(revoke(one, "\n"))
    assert "not an access token" in refused(revoke(one, "a b\n"))
    upstream.revocation.always(status(503))
    line = refused(revoke(one, stolen))
    assert "does not confirm" in line
    assert "http_5xx: the revocation endpoint answered 503" in line
