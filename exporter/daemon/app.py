"""The one place that wires everything: configuration to polling and web server, signals to both."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from exporter.config.named_files import watched
from exporter.daemon.check import Ready, ready_to_start
from exporter.daemon.log_limit import LIMIT
from exporter.daemon.options import Options
from exporter.daemon.process import STOP_SIGNALS, exit_within, keep_returning
from exporter.daemon.reload import Reloading, keep_watching
from exporter.daemon.systemd import keep_watchdog_calm, notify, passed_sockets
from exporter.document.schema import schema_patterns
from exporter.model.censor import EVERYTHING
from exporter.model.config_files import ConfigFiles
from exporter.model.file_watch import FileWatch
from exporter.model.secret import use_variables
from exporter.polling.polling import Polling
from exporter.telemetry.metrics import Telemetry, WebFigures
from exporter.telemetry.reload_status import ReloadStatus
from exporter.telemetry.reporter import Reporter
from exporter.web.lifecycle import lifecycle_routes
from exporter.web.pages import ExporterSite, metrics_url
from exporter.web.server import ListenError, WebServer
from exporter.web.web_config import WebConfiguration

_STOP_SECONDS: Final = 4.5
_CANCEL_SECONDS: Final = 1.0
_log = structlog.get_logger()


async def serve(
    options: Options,
    found: Ready,
    web_config: WebConfiguration | None = None,
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Runs the exporter until SIGTERM or SIGINT. Raises `ListenError` where it cannot. `on_listening` is called once it
    listens, with the address of the status page; its port is the one that the system chose for a port 0."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    STOP_SIGNALS.take(partial(_stop_soon, loop, stop))
    reporter, config_status = Reporter(), ReloadStatus()
    reporter.on_plan(found.plan)
    use_variables(found.confidential_texts)
    polling = Polling(found.plan, reporter, options.shard)
    site = ExporterSite(
        options.telemetry_path,
        polling,
        reporter.counts,
        found.shown,
        lambda openmetrics: telemetry.render(openmetrics=openmetrics),  # which is made last: it reads the web server
        EVERYTHING.clean,
    )
    reloading = Reloading(partial(_load, options.config_file), partial(_take_over, site), config_status)
    web = WebServer(
        site,
        listen_addresses=options.listen_addresses,
        listeners=_passed_sockets() if options.systemd_socket else (),
        telemetry_path=options.telemetry_path,
        route_prefix=options.route_prefix,
        routes={
            "/config": {"GET": site.configuration},
            **lifecycle_routes(reloading.reload, polling.replace_tokens, enabled=options.enable_lifecycle),
        },
        tls=None if web_config is None else web_config.tls,
        guard=None if web_config is None else web_config.guarded,
    )
    web_status = None if web_config is None else web_config.status
    figures = WebFigures(web.requests_by_code, lambda: web.connections, web_status)
    telemetry = Telemetry(polling, reporter.counts, config_status, figures)
    await web.start()
    tasks = [
        asyncio.create_task(stop.wait()),
        asyncio.create_task(polling.run()),
        asyncio.create_task(keep_watchdog_calm()),
        asyncio.create_task(keep_returning()),
        asyncio.create_task(LIMIT.keep_reporting()),
    ]
    loop.add_signal_handler(signal.SIGHUP, reloading.request if options.reload_on_hangup else stop.set)
    watch = FileWatch(partial(_files, options, polling, reloading), lambda: reloading.sought.states)
    is_needed = partial(_follows_files, options, polling)
    tasks.append(asyncio.create_task(keep_watching(watch, reloading, is_needed)))
    if web_config is not None:
        tasks.append(asyncio.create_task(web_config.keep_current()))
    url = partial(metrics_url, tls=web_config is not None and web_config.tls is not None)
    for address in web.addresses:
        path = options.route_prefix + options.telemetry_path
        _log.info("listening; the metrics are at this address", url=url(address, path))
    for address in web.addresses[:1]:
        on_listening(url(address, f"{options.route_prefix}/"))
    _warn(found)
    _log.info("polling", queries=len(found.plan.queries), sources=len(found.plan.sources))
    del found  # a reload puts another plan in place of this one
    notify("READY=1")
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    notify("STOPPING=1")
    await _stop(tasks, web, polling)
    if web_config is not None:
        web_config.close()
    _log.info("stopped")


def _stop_soon(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Has the loop end everything, and the process end in time if the loop stands still."""
    exit_within(_STOP_SECONDS, 0)
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stop.set)


async def _stop(tasks: list[asyncio.Task[Any]], web: WebServer, polling: Polling) -> None:
    """Ends everything, in any state. Raises what a task failed with; the process ends within its time in any case."""
    exit_within(_STOP_SECONDS, 0)
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
    await asyncio.gather(web.stop(), polling.close())
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _passed_sockets() -> tuple[socket.socket, ...]:
    try:
        return passed_sockets()
    except OSError as error:
        raise ListenError(error.errno, f"--web.systemd-socket: {error.strerror}") from error


def _load(files: ConfigFiles) -> Ready:
    """The configuration, read while the exporter runs. Raises `ConfigError`."""
    return ready_to_start(files, os.environ)


def _take_over(site: ExporterSite, found: Ready) -> None:
    site.polling.follow(found.plan)
    use_variables(found.confidential_texts)
    site.shown = found.shown
    _warn(found)


def _warn(found: Ready) -> None:
    """Says in the log what `--config.check` warns of."""
    for problem in found.plan.warnings:
        _log.warning("the configuration is probably not what you meant", problem=str(problem))


def _follows_files(options: Options, polling: Polling) -> bool:
    """Whether there are files that are followed: files with targets are always, as Prometheus' file_sd does."""
    return options.auto_reload or bool(polling.plan.target_patterns)


def _files(options: Options, polling: Polling, reloading: Reloading) -> Iterator[Path]:
    """The files that are followed: all of which the plan was made, or those with targets alone. Where the last
    configuration was refused, all that it names, too: it may want a file that comes later."""
    configuration = options.config_file if isinstance(options.config_file, tuple) else (options.config_file,)
    if not options.auto_reload:
        yield from watched(polling.plan.target_patterns)
        if reloading.is_refused:  # a target may name a file that comes later
            yield from reloading.sought.states.keys() - {*configuration, *polling.plan.files}
        return
    yield from configuration
    yield from polling.plan.files
    yield from watched(polling.plan.file_patterns)
    for source in polling.plan.sources:
        if source.schema_ is not None:
            yield from watched(schema_patterns(source.schema_))
    if reloading.is_refused:
        yield from tuple(reloading.sought.states)
        yield from watched(tuple(reloading.sought.patterns))
