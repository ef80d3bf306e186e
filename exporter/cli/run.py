"""The exporter itself: from flags to a running process."""

from __future__ import annotations

import os
from pathlib import Path

import click

from exporter.cli.options import refuse
from exporter.daemon.logs import configure_logging, structlog
from exporter.model.errors import ConfigError
from exporter.polling.shard import NOT_SPLIT, Shard

_log = structlog.get_logger()


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

    from exporter.daemon.app import Options, serve
    from exporter.daemon.check import hidden_texts, ready_to_start
    from exporter.daemon.process import tune
    from exporter.web.server import ListenAddress, ListenError
    from exporter.web.web_config import web_configuration

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
