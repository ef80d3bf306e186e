"""Everything that polls, wired: upstreams, targets, scheduler and store, for one configuration after another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set

import structlog

from exporter.model.errors import SecretUnreadable, TokenFailure
from exporter.plan.plan import Plan
from exporter.polling.audit import Auditor
from exporter.polling.clock_watch import ClockWatch
from exporter.polling.lanes import Lanes
from exporter.polling.observer import Observer
from exporter.polling.results import Results
from exporter.polling.scheduler import Scheduler
from exporter.polling.shard import NOT_SPLIT, Shard
from exporter.polling.targets import Targets
from exporter.series.store import Store
from exporter.upstream.access_token import TokenSource
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import Transport
from exporter.upstream.upstream import Upstream, upstreams

_log = structlog.get_logger()


class Polling:
    """Polls what a plan says, and goes over to another plan when told. `targets` holds the plan."""

    def __init__(self, plan: Plan, observer: Observer, shard: Shard = NOT_SPLIT) -> None:
        """Raises `OSError` for TLS files that cannot be used."""
        self.upstreams = upstreams(plan.sources, {})
        self.store = Store(plan.max_series)
        self.lanes = Lanes(self.store.surroundings)
        self.lanes.follow(plan.sources, _clients(self.upstreams), _named_tokens(self.upstreams))
        self.targets = Targets(plan, self.store, observer, shard)
        self._observer = observer
        self.clock_watch = ClockWatch(self.store, observer)
        self._results = Results(self.targets, self.store, observer, self.clock_watch)
        self._scheduler = Scheduler(self.targets, self.lanes, self._results, self.store, observer, self.clock_watch)
        self.auditor = Auditor(self.targets, self.lanes, self.store, observer)
        self._renewals: dict[TokenSource, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def plan(self) -> Plan:
        """The plan that is followed now."""
        return self.targets.plan

    async def run(self) -> None:
        """Polls for ever; ends only by being cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._keep_renewed()
            self._group.create_task(self._scheduler.run())
            self._group.create_task(self._results.keep_expiring())
            self._group.create_task(self.auditor.run())

    def follow(self, plan: Plan) -> None:
        """Goes over to another plan at once, or not at all: raises `OSError` for TLS files that cannot be used."""
        after = upstreams(plan.sources, self.upstreams)
        retired = set(self.upstreams.values()) - set(after.values())
        self.upstreams = after
        moved = self.lanes.follow(plan.sources, _clients(after), _named_tokens(after))
        self.targets.follow(plan, moved)
        self._results.make_page_soon()
        self.auditor.follow(plan)
        self._observer.on_plan(plan)
        self._keep_renewed()
        for token in self._renewals.keys() - self._tokens():
            self._renewals.pop(token).cancel()
        kept = frozenset(transport for upstream in after.values() for transport in upstream.transports)
        for upstream in retired:
            if self._group is not None:
                self._group.create_task(_close(upstream, kept))

    async def replace_tokens(self) -> Mapping[str, str | None]:
        """Revokes and replaces the access token of every source that has one; by source, what was wrong, if anything.

        A token stays in use until its revocation is confirmed.
        """
        tokens = self._tokens()
        names = [token.sources for token in tokens]
        problems = await asyncio.gather(*map(_problem_in_replacing, tokens))
        found = {name: problem for of_one, problem in zip(names, problems, strict=True) for name in of_one}
        for name, problem in found.items():
            if problem is None:
                _log.info("the access token was revoked and replaced", source=name)
            else:
                _log.error("the access token was not replaced", source=name, detail=problem)
        return found

    async def close(self) -> None:
        """Revokes the tokens for which that is configured, and closes all connections to the upstreams."""
        by_token = {upstream.token: upstream for upstream in self.upstreams.values() if upstream.revokes_on_exit}
        await asyncio.gather(*map(_revoke, by_token.values()))
        await asyncio.gather(*map(_close, self.upstreams.values()))

    def _tokens(self) -> Set[TokenSource]:
        """The tokens of all sources, each once, in the order of the sources."""
        return dict.fromkeys(_named_tokens(self.upstreams).values()).keys()

    def _keep_renewed(self) -> None:
        """Starts the early renewals of tokens that have none yet."""
        assert self._group is not None
        for token in self._tokens():
            if token not in self._renewals:
                self._renewals[token] = self._group.create_task(_keep_renewed(token))


async def _keep_renewed(token: TokenSource) -> None:
    await token.until_wanted()
    await token.keep_renewed()


async def _problem_in_replacing(token: TokenSource) -> str | None:
    if not token.can_revoke:
        return "there is no revocation_url, so the token was neither revoked nor renewed"
    try:
        failure = await token.replace()
    except (TokenFailure, SecretUnreadable) as error:
        return f"the token was revoked, but there is no other yet: {error.reason}: {error.detail}"
    if failure is None:
        return None
    return f"the revocation was not confirmed; the old token stays in use: {failure.reason}: {failure.detail}"


async def _revoke(upstream: Upstream) -> None:
    failure, source = await upstream.revoke_at_exit(), upstream.source.name
    if failure is None:
        _log.info("the access token was revoked", source=source)
        return
    about = {"source": source, "reason": failure.reason.value, "detail": failure.detail}
    _log.warning("the revocation of the access token was not confirmed", **about)


async def _close(upstream: Upstream, kept: Set[Transport] = frozenset()) -> None:
    try:
        await upstream.close(kept)
    except OSError:  # it is gone, which is all that is wanted
        return


def _clients(known: Mapping[str, Upstream]) -> dict[str, GraphQLClient]:
    return {name: upstream.client for name, upstream in known.items()}


def _named_tokens(known: Mapping[str, Upstream]) -> dict[str, TokenSource]:
    return {name: upstream.token for name, upstream in known.items() if upstream.token is not None}
