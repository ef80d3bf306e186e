"""The command line: `insights-exporter`, its flags spelled as Prometheus spells them, and its commands."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn, cast

import click
from click.core import ParameterSource

from exporter import __version__
from exporter.ending import exit_at_once
from exporter.errors import ConfigError
from exporter.lean import structlog
from exporter.logs import FORMATS, LEVELS, configure_logging
from exporter.shard import NOT_SPLIT, Shard, parsed_shard

DEFAULT_ADDRESS = ":10093"
_log = structlog.get_logger()


def _given(context: click.Context, option: click.Parameter, value: Path) -> Path:
    """The value of a flag, which may also stand before the commands' names."""
    name = str(option.name)
    if context.get_parameter_source(name) is ParameterSource.DEFAULT and context.parent is not None:
        return cast("Path", context.find_root().params.get(name, value))
    return value


config_file_option = click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    show_default=True,
    callback=_given,
    help="The configuration.",
)
log_level_option = click.option(
    "--log.level", "log_level", type=click.Choice(list(LEVELS)), default="info", show_default=True
)
log_format_option = click.option(
    "--log.format", "log_format", type=click.Choice(FORMATS), default="logfmt", show_default=True
)
listen_address_option = click.option(
    "--web.listen-address",
    "listen_addresses",
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="Address to serve on, HOST:PORT; may be given several times.",
)
web_config_file_option = click.option(
    "--web.config.file",
    "web_config_file",
    type=click.Path(path_type=Path),
    help="TLS and users of the exporter's own pages, as every exporter of Prometheus has them.",
)
telemetry_path_option = click.option(
    "--web.telemetry-path", "telemetry_path", default="/metrics", show_default=True, help="Path of the metrics."
)


class _LazyGroup(click.Group):
    """A group that imports a command's module only when the command is named, so that a plain run starts fast."""

    modules: Mapping[str, str] = {
        "backfill": "exporter.commands.backfill",
        "demo": "exporter.demo",
        "generate": "exporter.commands.generate",
        "init": "exporter.commands.init",
        "query": "exporter.commands.query",
        "schema": "exporter.commands.schema",
        "simulate": "exporter.demo",
        "token": "exporter.commands.token",
        "verify": "exporter.commands.verify",
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
)
@config_file_option
@click.option("--config.check", "check", is_flag=True, help="Check the configuration and exit.")
@click.option(
    "--config.auto-reload",
    "auto_reload",
    is_flag=True,
    help="Load the configuration again whenever its file, or a schema file that it names, has changed.",
)
@listen_address_option
@web_config_file_option
@telemetry_path_option
@click.option(
    "--web.route-prefix",
    "route_prefix",
    default="/",
    show_default=True,
    help="Prefix of every path of the exporter's pages, for a proxy that passes requests on with it.",
)
@click.option(
    "--web.enable-lifecycle",
    "enable_lifecycle",
    is_flag=True,
    help="Let who reaches the web server POST to /-/reload, for a new configuration, and to /-/renew-token.",
)
@click.option(
    "--shard",
    "shard_index",
    metavar="NUMBER|auto",
    help="Which of the shards this exporter is, from 0; auto takes the number at the end of the host's name.",
)
@click.option(
    "--shards",
    "shard_count",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="Among how many exporters the polling of this configuration is split.",
)
@log_level_option
@log_format_option
@click.version_option(__version__, prog_name="insights-exporter")
@click.pass_context
def command(
    context: click.Context,
    config_file: Path,
    check: bool,
    auto_reload: bool,
    listen_addresses: tuple[str, ...],
    web_config_file: Path | None,
    telemetry_path: str,
    route_prefix: str,
    enable_lifecycle: bool,
    shard_index: str | None,
    shard_count: int,
    log_level: str,
    log_format: str,
) -> None:
    """Polls GraphQL APIs behind OAuth 2.0 client credentials and publishes their answers as Prometheus metrics."""
    if context.invoked_subcommand is not None:
        return
    configure_logging(log_level, log_format)
    if check:
        _check(config_file, web_config_file)
    else:
        signal.signal(signal.SIGTERM, lambda *_: exit_at_once(0))  # until the event loop takes them over
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        code = run(
            config_file,
            listen_addresses,
            telemetry_path,
            log_level,
            log_format,
            web_config_file,
            route_prefix=route_prefix,
            enable_lifecycle=enable_lifecycle,
            auto_reload=auto_reload,
            shard=_shard(shard_index, shard_count),
        )
        exit_at_once(code)


def _shard(index: str | None, count: int) -> Shard:
    try:
        return parsed_shard(index, count, socket.gethostname())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from None


def _check(config_file: Path, web_config_file: Path | None) -> None:
    from exporter.checking import checked
    from exporter.demand import told
    from exporter.web_config import web_configuration

    try:
        web_configuration(web_config_file)
        found = checked(config_file, os.environ)
    except ConfigError as error:
        refuse(error)
    for problem in found.unmet:
        click.echo(f"warning: {problem}", err=True)
    for line in told(found.plan):
        click.echo(line)
    sources, queries = len(found.plan.sources), len(found.plan.queries)
    click.echo(
        f"{config_file}: fine ({sources} sources, {queries} queries, {len(found.plan.families)} metric families)"
    )


def run(
    config_file: Path,
    listen_addresses: tuple[str, ...],
    telemetry_path: str,
    log_level: str,
    log_format: str,
    web_config_file: Path | None = None,
    *,
    route_prefix: str = "/",
    enable_lifecycle: bool = False,
    auto_reload: bool = False,
    shard: Shard = NOT_SPLIT,
    reload_on_hangup: bool = True,
) -> int:
    """Runs the exporter until it is stopped, and returns its exit code. What still hangs then is left to itself, so
    the process must be ended at once."""
    import uvloop

    from exporter.app import Options, serve
    from exporter.checking import hidden_texts, ready_to_start
    from exporter.memory import tune
    from exporter.web import ListenAddress, ListenError
    from exporter.web_config import web_configuration

    try:
        addresses = tuple(ListenAddress.parse(text) for text in listen_addresses)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--web.listen-address") from None
    if not telemetry_path.startswith("/") or telemetry_path == "/":
        raise click.BadParameter("must begin with / and be more than that", param_hint="--web.telemetry-path")
    if not route_prefix.startswith("/"):
        raise click.BadParameter("must begin with /", param_hint="--web.route-prefix")
    try:
        web_config = web_configuration(web_config_file)
        found = ready_to_start(config_file, os.environ)
    except ConfigError as error:
        refuse(error)
    configure_logging(log_level, log_format, hidden_texts(found.plan.sources))
    tune()
    options = Options(
        config_file,
        addresses,
        telemetry_path,
        enable_lifecycle=enable_lifecycle,
        auto_reload=auto_reload,
        route_prefix=route_prefix.rstrip("/"),
        shard=shard,
        reload_on_hangup=reload_on_hangup,
    )
    try:
        uvloop.new_event_loop().run_until_complete(serve(options, found, web_config))
    except ListenError as error:
        _log.error("cannot listen", detail=error.strerror, remedy="give another --web.listen-address")
        return 1
    return 0


def refuse(error: ConfigError) -> NoReturn:
    """Tells every problem and ends with exit code 1."""
    for problem in error.problems:
        click.echo(f"error: {problem}", err=True)
    sys.exit(1)


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
    command(prog_name="insights-exporter")
