"""Pages that are dear to make."""

from __future__ import annotations

import asyncio
import time

from exporter.web.messages import Answer
from exporter.web.shared_pages import FRESH_SECONDS, MAX_WAITING, SharedPages


def test_a_page_is_made_once_for_all_who_ask() -> None:
    """A thousand askers within a second cost one page."""

    async def run() -> None:
        made: list[str] = []

        async def make(key: str) -> Answer:
            made.append(key)
            return Answer.of(key.encode())

        turns = SharedPages(make)
        answers = await asyncio.gather(*(turns.page("a") for _ in range(1000)))
        assert {answer.body for answer in answers} == {b"a"}
        assert (await turns.page("a")).body == b"a"
        assert made == ["a"]
        assert (await turns.page("b")).body == b"b"
        assert made == ["a", "b"]

    asyncio.run(run())


def test_nothing_is_made_for_those_who_have_gone() -> None:
    """Searches of clients that went away are not made, and take nobody's turn; too many at once are refused."""

    async def run() -> None:
        made: list[str] = []
        go_on = asyncio.Event()

        async def make(key: str) -> Answer:
            made.append(key)
            await go_on.wait()
            return Answer.of(key.encode())

        turns = SharedPages(make)
        asking = [asyncio.create_task(turns.page(f"{number}")) for number in range(MAX_WAITING)]
        await asyncio.sleep(0)
        assert (await turns.page("one more")).status.value == 429
        for task in asking[1:]:
            task.cancel()
        await asyncio.gather(*asking[1:], return_exceptions=True)
        last = asyncio.create_task(turns.page("last"))
        go_on.set()
        assert (await asking[0]).body == b"0"
        assert (await last).body == b"last"
        assert made == ["0", "last"]

    asyncio.run(run())


def test_a_page_that_is_given_up_counts() -> None:
    """Who asks and goes, again and again, has no more than one page a second made, and no old page taken for new."""

    async def run() -> None:
        begun: list[float] = []
        is_begun, go_on = asyncio.Event(), asyncio.Event()

        async def make(key: str) -> Answer:
            begun.append(time.monotonic())
            if key == "given up":
                is_begun.set()
                await go_on.wait()
            return Answer.of(b"%d" % len(begun))

        turns = SharedPages(make)
        assert (await turns.page("wanted")).body == b"1"
        asking = asyncio.create_task(turns.page("given up"))
        await is_begun.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await turns.page("wanted")).body == b"3"
        assert begun[2] - begun[1] >= FRESH_SECONDS * 0.95

    asyncio.run(run())


def test_a_page_that_cannot_be_made_fails_for_its_askers_alone() -> None:
    """The next asker has a new try."""

    async def run() -> None:
        async def make(key: str) -> Answer:
            if key == "bad":
                raise ValueError(key)
            return Answer.of(b"")

        turns = SharedPages(make)
        results = await asyncio.gather(*(turns.page("bad") for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError] * 3
        assert (await turns.page("good")).body == b""

    asyncio.run(run())
