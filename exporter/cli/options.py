"""Flags that several commands have, and how a command refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn, cast

import click
from click.core import ParameterSource

from exporter.daemon.logs import FORMATS, LEVELS
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import ConfigError
from exporter.model.listen_address import ListenAddress

_CODES = "0: it worked. 1: it did not; standard error says why. 2: a flag is wrong."


def epilog(*examples: str, codes: str = _CODES) -> str:
    """What stands at the end of a command's `--help`: examples, and what its exit codes say."""
    lines = "\n".join(f"  insights-exporter {example}" for example in examples)
    return f"\b\nExamples:\n{lines}\n\nExit codes: {codes}"


DEFAULT_CONFIG = Path("config.yaml")
DEFAULT_ADDRESS = ":10093"


def _config_files(context: click.Context, option: click.Parameter, values: tuple[Path, ...]) -> ConfigFiles:
    """The values of a flag, which may also stand before the commands' names."""
    name, own = str(option.name), values or (DEFAULT_CONFIG,)
    if context.get_parameter_source(name) is ParameterSource.DEFAULT and context.parent is not None:
        return cast("ConfigFiles", context.find_root().params.get(name, own[0]))
    return own if len(own) > 1 else own[0]


def file_names(files: ConfigFiles) -> str:
    """What a flag named, as it was written."""
    return ", ".join(map(str, files)) if isinstance(files, tuple) else str(files)


def query_names(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The queries of the configuration whose names begin so, for the completion of a shell."""
    from exporter.config.load import load  # not at each start, which it would make slower

    file = context.params.get("config_file") or context.find_root().params.get("config_file") or DEFAULT_CONFIG
    try:
        found = load(file if isinstance(file, tuple) else Path(file), os.environ).config.queries
    except ConfigError:
        return []
    return [query.name for query in found if query.name.startswith(begun)]


class _ListenAddressType(click.ParamType["ListenAddress"]):
    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ListenAddress:
        try:
            return value if isinstance(value, ListenAddress) else ListenAddress.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _path_of_metrics(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.startswith("/") or value == "/":
        raise click.BadParameter("must begin with / and have more characters")
    return value


def _prefix(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.startswith("/"):
        raise click.BadParameter("must begin with /")
    return value.rstrip("/")


config_file_option = click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(DEFAULT_CONFIG,),
    show_default=True,
    callback=_config_files,
    help="The configuration: a file, or a folder of *.yaml and *.yml files; several times for several of them.",
)
queries_option = click.option(
    "--query",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=query_names,
    help="Only this query; may be given several times.",
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
    type=_ListenAddressType(),
    metavar="ADDRESS",
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="Address to serve on, HOST:PORT; may be given several times.",
)
web_config_file_option = click.option(
    "--web.config.file",
    "web_config_file",
    type=click.Path(path_type=Path),
    help="File with TLS and users for the exporter's pages, in the format of the exporter-toolkit.",
)
telemetry_path_option = click.option(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    callback=_path_of_metrics,
    help="Path of the metrics.",
)
route_prefix_option = click.option(
    "--web.route-prefix",
    "route_prefix",
    default="/",
    show_default=True,
    callback=_prefix,
    help="Prefix of all paths, for a proxy that keeps it in the requests.",
)


def refuse(error: ConfigError) -> NoReturn:
    """Tells every problem and ends with exit code 1."""
    for problem in error.problems:
        click.echo(f"error: {problem}", err=True)
    sys.exit(1)
