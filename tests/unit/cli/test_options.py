"""Flags that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from exporter.cli import options
from exporter.cli.main import command as main
from exporter.model.errors import ConfigError, Problem
from exporter.model.listen_address import ListenAddress


def given(option: Callable[..., Any], *arguments: str) -> Any:
    """What a flag becomes; fails with what the command line says of it."""
    seen: list[Any] = []

    @click.command()
    @option
    def command(**flags: Any) -> None:
        seen.extend(flags.values())

    run = CliRunner().invoke(command, arguments)
    assert run.exit_code in (0, 2), run.output
    return seen[0] if run.exit_code == 0 else run.output


@pytest.mark.parametrize(
    ("option", "arguments", "value"),
    [
        (options.config_file_option, (), Path("config.yaml")),
        (options.config_file_option, ("--config.file=a.yaml",), Path("a.yaml")),
        (options.log_level_option, (), "info"),
        (options.log_level_option, ("--log.level=warn",), "warn"),
        (options.log_format_option, (), "logfmt"),
        (options.log_format_option, ("--log.format=json",), "json"),
        (options.listen_address_option, (), (ListenAddress(None, 10093),)),
        (
            options.listen_address_option,
            ("--web.listen-address=[::1]:1", "--web.listen-address=a:2"),
            (ListenAddress("::1", 1), ListenAddress("a", 2)),
        ),
        (options.web_config_file_option, (), None),
        (options.web_config_file_option, ("--web.config.file=w.yml",), Path("w.yml")),
        (options.telemetry_path_option, (), "/metrics"),
        (options.telemetry_path_option, ("--web.telemetry-path=/a/b",), "/a/b"),
        (options.route_prefix_option, (), ""),
        (options.route_prefix_option, ("--web.route-prefix=/a/",), "/a"),
        (options.route_prefix_option, ("--web.route-prefix=/a/b",), "/a/b"),
    ],
)
def test_a_flag_becomes_what_it_means(option: Callable[..., Any], arguments: tuple[str, ...], value: object) -> None:
    """Spelled as Prometheus spells it, with its default."""
    assert given(option, *arguments) == value


@pytest.mark.parametrize(
    ("option", "argument", "said"),
    [
        (options.log_level_option, "--log.level=loud", "'loud' is not one of"),
        (options.log_format_option, "--log.format=xml", "'xml' is not one of"),
        (options.listen_address_option, "--web.listen-address=nonsense", "write :PORT, HOST:PORT or [IPv6]:PORT"),
        (options.listen_address_option, "--web.listen-address=:70000", "ports end at 65535"),
        (options.telemetry_path_option, "--web.telemetry-path=metrics", "must begin with / and have more characters"),
        (options.telemetry_path_option, "--web.telemetry-path=/", "must begin with / and have more characters"),
        (options.route_prefix_option, "--web.route-prefix=insights", "must begin with /"),
    ],
)
def test_a_bad_flag_is_refused_with_what_would_be_right(option: Callable[..., Any], argument: str, said: str) -> None:
    """In the words of the flag that is wrong."""
    output = str(given(option, argument))
    assert said in output
    assert argument.partition("=")[0] in output


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("inner",), "config.yaml"),
        (("--config.file=a", "inner"), "a"),
        (("inner", "--config.file=b"), "b"),
        (("--config.file=a", "inner", "--config.file=b"), "b"),
    ],
)
def test_the_configuration_may_be_named_before_the_command(arguments: tuple[str, ...], file: str) -> None:
    """Wherever the flag stands it holds; what stands behind the command holds more."""
    seen: list[Path] = []

    @click.group()
    @options.config_file_option
    def outer(config_file: Path) -> None:
        """Has commands."""

    @outer.command()
    @options.config_file_option
    def inner(config_file: Path) -> None:
        seen.append(config_file)

    run = CliRunner().invoke(outer, arguments)
    assert (run.exit_code, seen) == (0, [Path(file)])


def test_every_problem_is_a_line_and_the_exit_code_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, in the order that they have."""
    problems = (Problem("c.yaml", 1, "a", "is wrong", "mend it"), Problem("c.yaml", None, "", "is empty"))
    with pytest.raises(SystemExit) as ended:
        options.refuse(ConfigError(problems))
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: c.yaml:1: a: is wrong; mend it\nerror: c.yaml: is empty\n")


@pytest.mark.parametrize("arguments", [["--config.check"], ["query", "name"], ["generate", "dashboard"]])
def test_a_second_configuration_does_not_replace_the_first(arguments: list[str]) -> None:
    """Both are read, by every command."""
    result = CliRunner().invoke(main, [*arguments, "--config.file=a.yaml", "--config.file=b.yaml"])
    assert result.exit_code == 1
    assert "error: a.yaml: cannot be read" in result.output
    assert "error: b.yaml: cannot be read" in result.output
