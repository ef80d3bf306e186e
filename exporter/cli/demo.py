"""The commands `simulate` and `demo`: the simulated Insights API, and the exporter on it."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
from importlib.resources import as_file, files
from typing import Any

import click
import structlog

from exporter.cli.options import (
    epilog,
    listen_address_option,
    log_format_option,
    log_level_option,
    telemetry_path_option,
    web_config_file_option,
)
from exporter.cli.run import run
from exporter.daemon.logs import configure_logging
from exporter.daemon.options import Options
from exporter.daemon.process import exit_at_once
from exporter.simulator import Settings, Simulator, serve

_log = structlog.get_logger()


def _settings_options(function: Any) -> Any:
    """A flag for each setting of the simulated API, with its own default and help text."""
    for setting in reversed(dataclasses.fields(Settings)):
        default = setting.default
        many = isinstance(default, tuple)
        function = click.option(
            f"--{setting.name.replace('_', '-')}{f'/--no-{setting.name}'.replace('_', '-') if default is True else ''}",
            setting.name,
            type=str if many else type(default),
            is_flag=isinstance(default, bool),
            multiple=many,
            default=default,
            show_default=True,
            help=setting.metadata.get("help"),
        )(function)
    return function


@click.command(
    short_help="Serve a simulated Choreo Insights API.",
    epilog=epilog("simulate --port=8080", "simulate --apis=50 --error-share=0.1"),
    help="Serves a simulated Choreo Insights API, with a token endpoint, until it is stopped. On standard output it"
    " prints the environment variables with which the exporter reaches it.",
)
@log_level_option
@log_format_option
@_settings_options
def simulate(log_level: str, log_format: str, **settings: Any) -> None:
    """Runs the simulator in this process."""
    configure_logging(log_level, log_format)
    try:
        made = Settings(**settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(made, _print_variables)
    except OSError as error:
        where = f"{made.host}:{made.port}"
        raise click.ClickException(f"cannot listen on {where}: {error.strerror}; give another --port") from None


def _print_variables(simulator: Simulator) -> None:
    _log.info("the simulated Insights API is listening", url=f"{simulator.base_url}/")
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in simulator.variables().items())
    click.echo(f"export {variables}")


@click.command(
    short_help="Run the exporter on a simulated API, without an account.",
    epilog=epilog("demo", "demo --web.listen-address=localhost:9999"),
)
@listen_address_option
@web_config_file_option
@telemetry_path_option
@log_level_option
@log_format_option
def demo(**flags: Any) -> None:
    """Runs the exporter on the simulated Insights API: no account, no network."""
    log_level, log_format = flags["log_level"], flags["log_format"]
    configure_logging(log_level, log_format)
    for number in (signal.SIGTERM, signal.SIGHUP):  # not without the simulator, which is ended below
        signal.signal(number, lambda *_: sys.exit(0))
    simulator = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "exporter", "simulate", f"--log.level={log_level}", f"--log.format={log_format}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which then stops the other
    )
    try:
        os.environ.update(_read_variables(simulator))
        _log.info("a demo with simulated traffic")
        with as_file(files("exporter.choreo") / "demo.yaml") as config_file:
            code = run(Options(config_file, reload_on_hangup=False, **flags), _print_address)
    finally:
        simulator.terminate()
        simulator.wait()
    exit_at_once(code)


def _print_address(url: str) -> None:
    click.echo(f"Open {url} in a browser. Stop the demo with Ctrl-C.", err=True)


def _read_variables(simulator: subprocess.Popen[str]) -> dict[str, str]:
    """The environment variables that `simulate` tells once it listens."""
    assert simulator.stdout is not None
    words = shlex.split(simulator.stdout.readline())
    if not words:
        raise click.ClickException("the simulated API did not start")
    return dict(word.split("=", 1) for word in words[1:])
