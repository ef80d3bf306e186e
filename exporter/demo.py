"""The commands `simulate` and `demo`: the simulated Insights API, and the exporter on it."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click
import structlog

from exporter.cli import (
    listen_address_option,
    log_format_option,
    log_level_option,
    run,
    telemetry_path_option,
    web_config_file_option,
)
from exporter.ending import exit_at_once
from exporter.logs import configure_logging
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


@click.command(help="Serves a simulated Choreo Insights API, with a token endpoint, until it is stopped.")
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
    if made.port == 0:
        made = dataclasses.replace(made, port=_free_port())
    _log.info("the simulated Insights API is listening", url=f"http://{made.host}:{made.port}/")
    serve(made)


@click.command()
@listen_address_option
@web_config_file_option
@telemetry_path_option
@log_level_option
@log_format_option
def demo(
    listen_addresses: tuple[str, ...],
    web_config_file: Path | None,
    telemetry_path: str,
    log_level: str,
    log_format: str,
) -> None:
    """Runs the exporter on the simulated Insights API: no account, no network."""
    configure_logging(log_level, log_format)
    settings = Settings(port=_free_port())
    for number in (signal.SIGTERM, signal.SIGHUP):  # not without the simulator, which is ended below
        signal.signal(number, lambda *_: sys.exit(0))
    simulator = subprocess.Popen(  # noqa: S603 - our own program
        [
            *(sys.executable, "-m", "exporter", "simulate"),
            *(f"--port={settings.port}", f"--log.level={log_level}", f"--log.format={log_format}"),
        ],
        start_new_session=True,  # Ctrl-C is for this process, which then stops the other
    )
    try:
        _wait_for_port(settings.host, settings.port, simulator)
        os.environ.update(_environment(settings))
        _log.info("a demo with simulated traffic")
        with as_file(files("exporter.choreo") / "demo.yaml") as config_file:
            code = run(
                config_file,
                listen_addresses,
                telemetry_path,
                log_level,
                log_format,
                web_config_file,
                reload_on_hangup=False,
            )
    finally:
        simulator.terminate()
        simulator.wait()
    exit_at_once(code)


def _environment(settings: Settings) -> dict[str, str]:
    """What the demo's configuration takes from the environment."""
    organization = Simulator(settings).model.organizations[0]
    base = f"http://{settings.host}:{settings.port}"
    return {
        "CHOREO_INSIGHTS_URL": f"{base}/93tu/insights/1.0.0/query-api",
        "CHOREO_TOKEN_URL": f"{base}/oauth2/token",
        "CHOREO_REVOCATION_URL": f"{base}/oauth2/revoke",
        "CHOREO_CONSUMER_KEY": settings.client_id,
        "CHOREO_CONSUMER_SECRET": settings.client_secret,
        "CHOREO_ORG_HANDLE": organization.handle,
        "CHOREO_ORG_ID": organization.uuid,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for_port(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.terminate()
    raise click.ClickException("the simulated API did not start")
