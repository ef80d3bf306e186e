"""Everything that polls, wired: upstreams, scheduler, store and telemetry, for one configuration after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from exporter.plan.plan import Plan
from exporter.polling.audit import Auditor
from exporter.polling.scheduler import Scheduler
from exporter.polling.shard import Shard
from exporter.series.store import Store
from exporter.telemetry.metrics import Running, SourceView, Telemetry
from exporter.telemetry.reload_status import ReloadStatus
from exporter.telemetry.reporter import Reporter
from exporter.upstream.access_token import TokenSource
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.upstream import Upstream, upstreams

_log = structlog.get_logger()


class Polling:
    """Polls what a plan says, and goes over to another plan when told."""

    def __init__(self, plan: Plan, shard: Shard) -> None:
        """Raises `OSError` for TLS files that cannot be used."""
        self.plan = plan
        self.store = Store(plan.max_series)
        self.telemetry = Telemetry()
        self.upstreams = upstreams(plan.sources, {})
        self._reporter = Reporter(self.telemetry, self.store)
        self.scheduler = Scheduler(plan, _clients(self.upstreams), self.store, self._reporter, shard=shard)
        self.auditor = Auditor(self.scheduler, self.store, self._reporter)
        self._renewals: dict[Upstream, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def running(
        self,
        web_requests_by_code: Mapping[str, int],
        web_connections: Callable[[], int],
        web_config_status: Callable[[], ReloadStatus] | None,
    ) -> Running:
        """What telemetry reads, beside a web server's figures."""
        return Running(
            self.plan,
            self.store,
            self.scheduler,
            self.auditor,
            _views(self.upstreams),
            web_requests_by_code,
            web_connections,
            lambda: len(asyncio.all_tasks()),
            web_config_status,
        )

    async def run(self) -> None:
        """Polls for ever; ends only by being cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._keep_renewed()
            self._group.create_task(self.scheduler.run())
            self._group.create_task(self.auditor.run())

    def follow(self, plan: Plan) -> None:
        """Goes over to another plan at once, or not at all: raises `OSError` for TLS files that cannot be used."""
        after = upstreams(plan.sources, self.upstreams)
        retired = set(self.upstreams.values()) - set(after.values())
        self.plan, self.upstreams = plan, after
        self.scheduler.follow(plan, _clients(after))
        self.auditor.follow(plan)
        self._reporter.follow(plan)
        if self.telemetry.running is not None:
            self.telemetry.running = replace(self.telemetry.running, plan=plan, sources=_views(after))
        self._keep_renewed()
        for upstream in retired:
            if (renewal := self._renewals.pop(upstream, None)) is not None:
                renewal.cancel()
            if self._group is not None:
                self._group.create_task(_closed(upstream))

    def _keep_renewed(self) -> None:
        """Starts the early renewals of tokens that have none yet."""
        assert self._group is not None
        for upstream in self.upstreams.values():
            if upstream.token is not None and upstream not in self._renewals:
                self._renewals[upstream] = self._group.create_task(_kept_renewed(upstream.token))

    async def close(self) -> None:
        """Revokes the tokens for which that is configured, and closes all connections to the upstreams."""
        await asyncio.gather(*map(_left, self.upstreams.values()))


async def _kept_renewed(token: TokenSource) -> None:
    await token.until_wanted()
    await token.keep_renewed()


async def _left(upstream: Upstream) -> None:
    confirmed = await upstream.revoke_at_exit()
    if confirmed:
        _log.info("the access token was revoked", source=upstream.source.name)
    elif confirmed is not None:
        _log.warning("the revocation of the access token was not confirmed", source=upstream.source.name)
    await _closed(upstream)


async def _closed(upstream: Upstream) -> None:
    try:
        await upstream.close()
    except OSError:  # it is gone, which is all that is wanted
        return


def _clients(known: Mapping[str, Upstream]) -> dict[str, GraphQLClient]:
    return {name: upstream.client for name, upstream in known.items()}


def _views(known: Mapping[str, Upstream]) -> dict[str, SourceView]:
    return {
        name: SourceView(
            upstream.token.status if upstream.token is not None else None,
            upstream.transports[0].requests_by_code,
        )
        for name, upstream in known.items()
    }
