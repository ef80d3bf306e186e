"""The command line: `insights-exporter`, its flags spelled as Prometheus spells them, and its commands."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from exporter.cli.options import (
    config_file_option,
    epilog,
    file_names,
    listen_address_option,
    log_format_option,
    log_level_option,
    refuse,
    route_prefix_option,
    telemetry_path_option,
    web_config_file_option,
)
from exporter.cli.run import run
from exporter.daemon.logs import configure_logging
from exporter.daemon.options import Options
from exporter.daemon.process import STOP_SIGNALS, enough_descriptors, exit_at_once
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import ConfigError, Problem
from exporter.model.program_version import program_version
from exporter.polling.shard import Shard, shard_of_flags


class _LazyGroup(click.Group):
    """A group that imports a command's module only when the command is named, so that a plain run starts fast."""

    modules: Mapping[str, str] = {
        "backfill": "exporter.cli.backfill.command",
        "demo": "exporter.cli.demo",
        "generate": "exporter.cli.generate",
        "init": "exporter.cli.init.command",
        "query": "exporter.cli.query.command",
        "schema": "exporter.cli.schema",
        "simulate": "exporter.cli.demo",
        "token": "exporter.cli.token",
        "verify": "exporter.cli.verify.command",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self.modules.get(cmd_name)
        return None if module is None else getattr(import_module(module), cmd_name)


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(
        "demo",
        "--config.check --config.file=config.yaml",
        "--config.file=config.yaml",
        "COMMAND --help",
        codes="0: stopped by a signal, or the configuration is fine. 1: it could not start. 2: a flag is wrong.",
    ),
)
@config_file_option
@click.option("--config.check", "check", is_flag=True, help="Check the configuration and exit.")
@click.option(
    "--config.auto-reload",
    "auto_reload",
    is_flag=True,
    help="Reload the configuration when its file, or a schema file that it names, changes.",
)
@listen_address_option
@click.option(
    "--web.systemd-socket",
    "systemd_socket",
    is_flag=True,
    help="Listen on the sockets that systemd passes, not on the addresses.",
)
@web_config_file_option
@telemetry_path_option
@route_prefix_option
@click.option(
    "--web.enable-lifecycle",
    "enable_lifecycle",
    is_flag=True,
    help="Allow POST to /-/reload, which loads the configuration, and to /-/renew-token.",
)
@click.option(
    "--shard",
    "shard_index",
    metavar="NUMBER|auto",
    help="Number of this shard, from 0; auto takes the number at the end of the host name.",
)
@click.option(
    "--shards",
    "shard_count",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="Number of exporters that share this configuration.",
)
@log_level_option
@log_format_option
@click.version_option(program_version(), prog_name="insights-exporter")
@click.pass_context
def command(context: click.Context, /, check: bool, shard_index: str | None, shard_count: int, **flags: Any) -> None:
    """Polls GraphQL APIs behind OAuth 2.0 client credentials and publishes their answers as Prometheus metrics."""
    if context.invoked_subcommand is not None:
        _check_flags_before(context, context.invoked_subcommand)
        return
    options = Options(shard=_shard(shard_index, shard_count), **flags)
    configure_logging(options.log_level, options.log_format)
    if check:
        _check(options.config_file, options.web_config_file)
    else:
        STOP_SIGNALS.take()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        exit_at_once(run(options))


def _check_flags_before(context: click.Context, name: str) -> None:
    """Raises `UsageError` for a flag before the name of a command, which does not see it. --config.file it does."""
    assert isinstance(context.command, click.Group)
    called = context.command.get_command(context, name)
    assert called is not None  # else click has refused it
    own = {option for each in called.params for option in each.opts}
    for flag in context.command.params:
        seen = flag.opts[0] == "--config.file" and (flag.opts[0] in own or isinstance(called, click.Group))
        if context.get_parameter_source(str(flag.name)) is ParameterSource.COMMANDLINE and not seen:
            remedy = f"write it behind {name}" if flag.opts[0] in own else f"{name} has no such flag; leave it out"
            raise click.UsageError(f"{flag.opts[0]}: has no effect before the command {name}; {remedy}")


def _shard(index: str | None, count: int) -> Shard:
    try:
        return shard_of_flags(index, count, socket.gethostname())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from None


def _check(config_file: ConfigFiles, web_config_file: Path | None) -> None:
    from exporter.daemon.check import check
    from exporter.polling.demand import demand_report
    from exporter.web.web_config import web_configuration

    problems: tuple[Problem, ...] = ()
    try:
        web_configuration(web_config_file)
    except ConfigError as error:
        problems = error.problems
    try:
        found = check(config_file, os.environ)
    except ConfigError as error:
        refuse(ConfigError((*problems, *error.problems)))
    if problems:
        refuse(ConfigError(problems))
    for problem in (*found.unmet, *found.plan.warnings):
        click.echo(f"warning: {problem}", err=True)
    for problem in found.plan.unproved:
        click.echo(f"unproved: {problem}", err=True)
    for line in demand_report(found.plan):
        click.echo(line)
    sources, queries, families = len(found.plan.sources), len(found.plan.queries), len(found.plan.families)
    click.echo(f"{file_names(config_file)}: fine ({sources} sources, {queries} queries, {families} metric families)")


def _open_missing_streams() -> None:
    """Puts /dev/null where a standard stream is closed; else a socket would get its number, and the log's lines."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open as long as the process lives


def main() -> None:
    """The console script."""
    _open_missing_streams()
    if problem := enough_descriptors():
        click.echo(f"error: {problem}", err=True)
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal in ASCII or Latin-1 gets an escape for what it lacks
            stream.reconfigure(errors="backslashreplace")
    command(prog_name="insights-exporter")
