"""The exporter itself: from flags to a running process."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import structlog

from exporter.cli.options import refuse
from exporter.daemon.options import Options
from exporter.model.errors import ConfigError

_log = structlog.get_logger()


def run(options: Options, on_listening: Callable[[str], None] = lambda _: None) -> int:
    """Runs the exporter until it is stopped, and returns its exit code. What still hangs then is left to itself, so
    the process must be ended at once. `on_listening` is called with the address of the status page once it listens."""
    gc.disable()  # what imports make stays: to look for cycles in it takes a tenth of the start
    import uvloop

    from exporter.daemon.app import serve
    from exporter.daemon.check import ready_to_start
    from exporter.daemon.process import Collector, tune
    from exporter.web.server import ListenError
    from exporter.web.web_config import web_configuration

    gc.freeze()
    Collector().put_off()
    gc.enable()  # the trees of documents are garbage with cycles, and many
    try:
        web_config = web_configuration(options.web_config_file)
        found = ready_to_start(options.config_file, os.environ)
    except ConfigError as error:
        refuse(error)
    tune()
    serving = serve(options, found, web_config, on_listening)
    del found  # a reload puts another plan in place of this one
    try:
        uvloop.new_event_loop().run_until_complete(serving)
    except ListenError as error:
        flag = "start it from a .socket unit, or leave --web.systemd-socket out"
        remedy = flag if options.systemd_socket else "give another --web.listen-address, such as :10094"
        _log.error("cannot listen", detail=error.strerror, remedy=remedy)
        return 1
    return 0
