"""The command line: what it checks, what it lists, and what it refuses before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter import __version__
from exporter.cli.main import command

CONFIG = """\
sources:
  - {name: acme, url: "https://api.example/", authorization: {credentials: "${TOKEN_OF_A_TEST}"}}
queries:
  - {name: q, document: "{ n m }", metrics: [{name: n, help: N., value: n}, {name: m, help: M., value: m}]}
"""


def invoked(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(command, arguments, prog_name="insights-exporter", env=dict(environ))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    return file


def test_a_check_says_what_a_configuration_takes(config: Path) -> None:
    """Its calls a minute and its sources, queries and families; nothing is asked."""
    run = invoked("--config.check", f"--config.file={config}", TOKEN_OF_A_TEST="x")
    assert (run.exit_code, run.stderr) == (0, "")
    first, *_, last = run.stdout.splitlines()
    assert first == "calls per minute to acme:"
    assert last == f"{config}: fine (1 sources, 1 queries, 2 metric families)"


def test_a_check_warns_of_what_is_missing_and_refuses_what_is_wrong(config: Path) -> None:
    """An unset variable is a warning; a fault of the configuration, or of the web configuration, is an error."""
    run = invoked("--config.check", f"--config.file={config}", TOKEN_OF_A_TEST="")
    assert run.exit_code == 0
    assert run.stderr.startswith(f"warning: {config}:2: sources[0].authorization.credentials: the environment variable")
    config.write_text(CONFIG.replace("value: n", "value: x"))
    run = invoked("--config.check", f"--config.file={config}", TOKEN_OF_A_TEST="x")
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith(f"error: {config}:4: ")
    web = config.with_name("web.yml")
    web.write_text("tls: {}\n")
    run = invoked("--config.check", f"--config.file={config}", f"--web.config.file={web}")
    assert run.exit_code == 1
    assert run.stderr.startswith(f"error: {web}:1: tls: unknown key")


def test_the_help_lists_every_command() -> None:
    """Each with its first sentence."""
    run = invoked("--help")
    names = ["backfill", "demo", "generate", "init", "query", "schema", "simulate", "token", "verify"]
    lines = [line.split(maxsplit=1) for line in run.stdout.partition("Commands:\n")[2].splitlines()]
    assert [line[0] for line in lines if line[0] in names] == names
    assert all(len(line) == 2 for line in lines)
    assert invoked("-h").stdout == run.stdout
    for name in names:
        assert invoked(name, "--help").exit_code == 0


def test_the_version_is_told() -> None:
    """In one line."""
    assert invoked("--version").stdout == f"insights-exporter, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard=9", "--shards=2"), "--shard"),
        (("--shard=x", "--shards=2"), "--shard"),
        (("--shards=2",), "--shard"),
        (("--shards=0",), "--shards"),
        (("nothing",), "No such command 'nothing'"),
        (("--colour=blue",), "No such option"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(arguments: tuple[str, ...], said: str) -> None:
    """With exit code 2, and the flag that is wrong."""
    run = invoked(*arguments)
    assert run.exit_code == 2
    assert said in run.stderr
