"""Pages of configurations that are far larger than usual."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.plan import Target
from exporter.series.store import Owner
from exporter.web.pages import ExporterSite
from tests.support.sites import CONFIG, home, site_of

QUERIES: Final = 1000


@pytest.fixture(scope="module")
def great_site(tmp_path_factory: pytest.TempPathFactory) -> ExporterSite:
    """That of a great configuration, which takes long to load."""
    sources, _, entry = CONFIG.partition("queries:\n")
    queries = "".join(entry.replace("orders", f"orders_{at}").replace("_open_", f"_{at}_") for at in range(QUERIES))
    return site_of(tmp_path_factory.mktemp("great"), config=f"{sources}queries:\n{queries}")


def test_the_page_of_a_great_configuration_stays_small(great_site: ExporterSite) -> None:
    """Of thousands of queries those are shown that fail first, each with no more than its last polls."""
    site = great_site
    for at in range(QUERIES):
        owner = Owner(f"orders_{at}", "acme", "")
        for poll in range(50):
            site.counts.of(*owner[:2]).add(PollOutcome(0.001 * poll, reason=Reason.TIMEOUT), 0)
        site.polling.store.fold(owner, Target({}), PollOutcome(0.1, reason=Reason.TIMEOUT), 1.0, 2.0)
    page = home(site)
    assert page.count("<svg") == 500
    assert len(page) < 700_000


def test_a_great_configuration_holds_up_nothing_while_it_is_rendered(great_site: ExporterSite) -> None:
    """Whoever asks for `/config` of thousands of queries waits alone: the event loop goes on meanwhile."""

    async def turns_meanwhile() -> int:
        asking, turns = asyncio.create_task(great_site.configuration()), 0
        while not asking.done():
            await asyncio.sleep(0)
            turns += 1
        assert (await asking).body.count(b"shop_") == QUERIES
        return turns

    assert asyncio.run(turns_meanwhile()) > 10
