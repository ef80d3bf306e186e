"""The command line: what it checks, what it lists, and what it refuses before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from exporter.cli.main import command
from exporter.model.program_version import program_version

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
    first, second, *_ = run.stderr.splitlines()
    assert first.startswith(f"error: {web}:1: tls: unknown key")
    assert second.startswith(f"error: {config}:2: ")


def test_the_help_lists_every_command() -> None:
    """Each with its first sentence."""
    run = invoked("--help")
    names = ["backfill", "demo", "generate", "init", "query", "schema", "simulate", "token", "verify"]
    lines = [
        line.split(maxsplit=1) for line in run.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    ]
    assert [line[0] for line in lines if line[0] in names] == names
    assert all(len(line) == 2 for line in lines)
    assert invoked("-h").stdout == run.stdout
    for name in names:
        assert invoked(name, "--help").exit_code == 0


def every_command(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from every_command(found, (*words, name))
            else:
                yield (*words, name)


@pytest.mark.parametrize("words", list(every_command(command)), ids=" ".join)
def test_the_help_of_every_command_is_whole_at_80_columns(words: tuple[str, ...]) -> None:
    """No summary is cut, no line is longer, and a terminal in ASCII can show all of it; whoever reads on finds examples
    and what the exit codes say."""
    run = CliRunner().invoke(command, [*words, "--help"], terminal_width=80)
    assert run.exit_code == 0
    assert run.stdout.isascii()
    assert "..." not in run.stdout.replace("[ARGS]...", "")
    assert max(map(len, run.stdout.splitlines())) <= 80
    if not words or words[-1] not in ("generate", "token"):  # which only have commands
        assert "Examples:\n    insights-exporter " in run.stdout
        assert "Exit codes: 0: " in run.stdout


def test_a_shell_completes_the_names_of_queries(config: Path, tmp_path: Path) -> None:
    """Of the configuration that is named, or of config.yaml; of a broken one, nothing."""
    for words in (("query", "q"), ("verify", "--query", "q"), ("backfill", "--query", "q")):
        for file, found in ((config, "plain,q"), (tmp_path / "none.yaml", "")):
            line = " ".join(("insights-exporter", f"--config.file={file}", *words))
            environ = {"_INSIGHTS_EXPORTER_COMPLETE": "bash_complete", "COMP_WORDS": line}
            environ["COMP_CWORD"] = str(len(line.split()) - 1)
            run = CliRunner().invoke(command, [], env=environ, prog_name="insights-exporter")
            assert run.stdout.strip() == found


def test_the_version_is_told() -> None:
    """In one line."""
    assert invoked("--version").stdout == f"insights-exporter, version {program_version()}\n"


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
