"""Polling as a whole, over real connections: what is polled, over a change of the plan, with its tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from exporter.exposition import Format, Joiner
from exporter.plan.plan import Plan
from exporter.polling.polling import Polling
from tests.support.plans import planned
from tests.support.polls import Recorder
from tests.support.upstream import Upstream, answer, grants, revokes, status
from tests.support.wiring import until

QUERY = '- {name: q, interval: 30d, document: "{ n }", metrics: [{name: n, help: N., value: n}]}\n'
OTHER = '- {name: r, interval: 30d, document: "{ m }", metrics: [{name: m, help: M., value: m}]}\n'


def source(upstream: Upstream, name: str = "acme", more: str = "") -> str:
    return f'  - {{name: {name}, url: "{upstream.api_url}", labels: {{s: {name}}}{more}}}\n'


def plan(*sources: str, queries: str = QUERY) -> Plan:
    return planned(queries, "sources:\n" + "".join(sources))


def lines(polling: Polling) -> list[str]:
    text = Joiner().join(polling.store.page(), b"", Format.TEXT, gzip=False).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def poll(first: Plan, work: Callable[[Polling, Recorder], Awaitable[None]]) -> None:
    """Does the work while the plan is polled."""

    async def run() -> None:
        recorder = Recorder()
        polling = Polling(first, recorder)
        task = asyncio.create_task(polling.run())
        try:
            await work(polling, recorder)
        finally:
            task.cancel()
            await asyncio.wait({task})
            await polling.close()

    asyncio.run(run())


def test_what_a_plan_says_is_polled_and_published() -> None:
    """Each query on each source, at once."""
    with Upstream() as one, Upstream() as two:
        one.api.always(answer({"data": {"n": 1}}))
        two.api.always(answer({"data": {"n": 2}}))

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 2)
            assert sorted(lines(polling)) == ['n{s="one"} 1', 'n{s="two"} 2']

        poll(plan(source(one, "one"), source(two, "two")), work)


def test_another_plan_polls_what_is_new_and_leaves_the_rest_alone() -> None:
    """The source that did not change keeps its connections, and the query that did not change is not polled again."""
    with Upstream() as upstream:
        upstream.api.always(answer({"data": {"n": 1, "m": 2}}))

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 1)
            before, after = dict(polling.upstreams), plan(source(upstream), queries=QUERY + OTHER)
            polling.follow(after)
            assert polling.plan is after
            assert recorder.named("plan") == [(after,)]
            assert polling.upstreams == before
            await until(lambda: len(recorder.named("poll")) == 2)
            assert sorted(lines(polling)) == ['m{s="acme"} 2', 'n{s="acme"} 1']
            assert [owner.query for owner, *_ in recorder.named("poll")] == ["q", "r"]

        poll(plan(source(upstream)), work)


def test_a_source_at_another_address_is_asked_there_and_its_old_connections_are_closed() -> None:
    """Its old series stay until the new address has answered."""
    with Upstream() as old, Upstream() as new:
        old.api.always(answer({"data": {"n": 1}}))
        new.api.once(status(500))
        new.api.always(answer({"data": {"n": 2}}))

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 1)
            polling.follow(plan(source(new)))
            await until(lambda: len(recorder.named("poll")) == 2)
            assert lines(polling) == ['n{s="acme"} 1']
            await until(lambda: old.open_connections == 0)
            polling.follow(plan(source(new), queries=QUERY.replace("help: N.", "help: M.")))
            await until(lambda: len(recorder.named("poll")) == 3)
            assert lines(polling) == ['n{s="acme"} 2']

        poll(plan(source(old)), work)


def test_a_source_that_is_gone_takes_its_series_along() -> None:
    """At once, with what was known of it."""
    with Upstream() as one, Upstream() as two:
        for upstream in (one, two):
            upstream.api.always(answer({"data": {"n": 1}}))

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 2)
            polling.follow(plan(source(one, "one")))
            assert lines(polling) == ['n{s="one"} 1']
            assert polling.upstreams.keys() == {"one"}

        poll(plan(source(one, "one"), source(two, "two")), work)


def oauth(upstream: Upstream, *, revocation: bool = True) -> str:
    url = f', revocation_url: "{upstream.revocation_url}"' if revocation else ""
    return f', oauth2: {{token_url: "{upstream.token_url}"{url}, client_id: a, client_secret: b}}'


def test_tokens_are_replaced_where_they_can_be_revoked() -> None:
    """Each source that has one says what was wrong, if anything; one without a token is not among them."""
    with Upstream() as good, Upstream() as bare, Upstream() as bad:
        for upstream in (good, bare, bad):
            upstream.api.always(answer({"data": {"n": 1}}))
        good.revocation.always(revokes)
        bad.revocation.always(status(503))
        sources = (
            source(good, "good", oauth(good)),
            source(bare, "bare", oauth(bare, revocation=False)),
            source(bad, "bad", oauth(bad)),
            source(good, "open"),
        )

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 4)
            found = await polling.replace_tokens()
            assert found == {
                "good": None,
                "bare": "there is no revocation_url, so the token was neither revoked nor renewed",
                "bad": "the revocation was not confirmed; the old token stays in use: "
                "http_5xx: the revocation endpoint answered 503",
            }
            assert len(good.token.journal) == 2
            assert len(bare.token.journal) == len(bad.token.journal) == 1

        poll(plan(*sources), work)


def test_a_token_that_cannot_be_renewed_after_its_revocation_is_said() -> None:
    """The reason is that of the token endpoint."""
    with Upstream() as upstream:
        upstream.api.always(answer({"data": {"n": 1}}))
        upstream.revocation.always(revokes)
        upstream.token.once(grants())
        upstream.token.always(status(500))

        async def work(polling: Polling, recorder: Recorder) -> None:
            await until(lambda: len(recorder.named("poll")) == 1)
            (problem,) = (await polling.replace_tokens()).values()
            assert problem is not None
            assert problem.startswith("the token was revoked, but there is no other yet: http_5xx: ")

        poll(plan(source(upstream, "acme", oauth(upstream))), work)


def test_at_the_end_all_connections_are_closed_and_tokens_revoked_where_that_is_asked_for() -> None:
    """A token that others may share is left alone otherwise."""
    for more, revoked in ((", revoke_on_exit: true}", 1), ("}", 0)):
        with Upstream() as upstream:
            upstream.api.always(answer({"data": {"n": 1}}))
            upstream.revocation.always(revokes)

            async def work(polling: Polling, recorder: Recorder) -> None:
                await until(lambda: len(recorder.named("poll")) == 1)

            poll(plan(source(upstream, "acme", oauth(upstream).removesuffix("}") + more)), work)
            assert len(upstream.revocation.journal) == revoked
            upstream.api.wait_for(1)
            asyncio.run(until(lambda upstream=upstream: upstream.open_connections == 0))  # type: ignore[misc]
