"""The one place that wires everything: configuration to clients, scheduler, telemetry and web server."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from exporter.checking import Checked
from exporter.notify import keep_watchdog_calm, notify
from exporter.reporter import Reporter
from exporter.scheduler import Scheduler
from exporter.store import Store
from exporter.telemetry import Running, SourceView, Telemetry
from exporter.upstreams import upstream
from exporter.web import ListenAddress, WebServer
from exporter.web_config import WebConfiguration
from exporter.web_pages import ExporterSite, metrics_url

_STOP_SECONDS: Final = 4.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides."""

    config_file: Path
    listen_addresses: tuple[ListenAddress, ...]
    telemetry_path: str = "/metrics"


async def serve(options: Options, found: Checked, web_config: WebConfiguration | None = None) -> None:
    """Runs the exporter until SIGTERM or SIGINT. Raises `ListenError` where it cannot."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(found.plan.max_series)
    telemetry = Telemetry()
    upstreams = {source.name: upstream(source) for source in found.plan.sources}
    clients = {name: each.client for name, each in upstreams.items()}
    scheduler = Scheduler(found.plan, clients, store, Reporter(telemetry, store))
    web = WebServer(
        ExporterSite(options.telemetry_path, store, telemetry, scheduler),
        listen_addresses=options.listen_addresses,
        telemetry_path=options.telemetry_path,
        tls=None if web_config is None else web_config.tls,
        guard=None if web_config is None else web_config.guarded,
    )
    telemetry.running = Running(
        found.plan,
        store,
        scheduler,
        {
            name: SourceView(
                each.token.status if each.token is not None else None,
                each.transports[0].requests_by_code,
            )
            for name, each in upstreams.items()
        },
        web.requests_by_code,
        lambda: web.connections,
        lambda: len(asyncio.all_tasks(loop)),
        None if web_config is None else lambda: web_config.status,
    )
    await web.start()
    async with AsyncExitStack() as stack:
        for each in upstreams.values():
            for transport in each.transports:
                stack.push_async_callback(transport.close)
        stack.push_async_callback(web.stop)
        tasks = [asyncio.create_task(scheduler.run()), asyncio.create_task(keep_watchdog_calm())]
        tasks += [asyncio.create_task(up.token.keep_renewed()) for up in upstreams.values() if up.token is not None]
        if web_config is not None:
            stack.callback(web_config.close)
            tasks.append(asyncio.create_task(web_config.keep_current()))
        for address in web.addresses:
            url = metrics_url(
                address, options.telemetry_path, tls=web_config is not None and web_config.tls is not None
            )
            _log.info("listening; the metrics are at this address", url=url)
        _log.info("polling", queries=len(found.plan.queries), sources=len(found.plan.sources))
        notify("READY=1")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_SECONDS / 2)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
    _log.info("stopped")
