"""What the web server shows of a running exporter."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import Format
from exporter.model.errors import Reason
from exporter.model.listen_address import ListenAddress
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Samples
from exporter.plan.plan import Target
from exporter.series.store import Owner
from exporter.web.messages import Answer
from exporter.web.negotiation import Representation
from exporter.web.pages import ExporterSite, metrics_url
from tests.support.sites import CONFIG, OWN, home, site_of

OWNER = Owner("orders", "acme", "")


def fold(site: ExporterSite, outcome: PollOutcome) -> None:
    site.polling.store.fold(OWNER, Target({}), outcome, time.monotonic(), time.time())


def good(site: ExporterSite, window_end_time: float = 1_795_478_400.0) -> PollOutcome:
    (family,) = site.polling.targets.plan.families
    result = Result((Samples.of(family, {(): 7.0}),), window_end_time=window_end_time, window_seconds=300.0)
    return PollOutcome(0.25, result)


def test_the_metrics_are_the_polled_ones_and_our_own(tmp_path: Path) -> None:
    """Each scrape has both, in the form that was asked for."""
    site = site_of(tmp_path)
    fold(site, good(site))
    page = site.metrics(Representation(Format.TEXT, "text/plain", gzip=False))
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(page.decode())}
    assert found == {"shop_open_orders": 7.0, "own": 1.0}
    openmetrics = site.metrics(Representation(Format.OPENMETRICS, "application/openmetrics-text", gzip=False))
    assert OWN + b"x" in openmetrics
    assert openmetrics.endswith(b"# EOF\n")
    assert site.metrics(Representation(Format.TEXT, "text/plain", gzip=True)).startswith(b"\x1f\x8b")


def test_it_is_not_ready_before_all_has_been_tried_and_stays_ready_then(tmp_path: Path) -> None:
    """A reload with a query that has not been tried does not take the page away."""
    site = site_of(tmp_path)
    assert site.healthy()
    assert not site.ready()
    site.was_ready = True
    assert site.ready()


def test_the_page_says_how_each_query_is(tmp_path: Path) -> None:
    """Its window in its own time zone, what is wrong with it, and its source; texts are looked at before they are
    shown."""
    site = site_of(tmp_path, censor=lambda text: text.replace("secret", "<hidden>"))
    page = home(site)
    assert "orders" in page
    assert "https://api.example/&lt;hidden&gt;-path" in page
    assert "none is needed" in page
    assert "secret" not in page
    site = site_of(tmp_path, censor=lambda text: text.replace("secret", "<hidden>"))
    fold(site, good(site))
    fold(site, PollOutcome(1.0, reason=Reason.TIMEOUT, detail="secret is late"))
    page = home(site)
    assert 'title="as sent: 2026-11-24T05:25:00.000+05:30 to 2026-11-24T05:30:00.000+05:30"' in page
    assert "&lt;hidden&gt; is late" in page
    assert "shop_open_orders" in page


def test_the_page_shows_how_long_the_last_polls_took(tmp_path: Path) -> None:
    """A small chart of the last polls, with the same in words; a query that was polled once has only the figure."""
    site = site_of(tmp_path)
    fold(site, good(site))
    counts = site.counts.of("orders", "acme")
    counts.add(good(site), 0)
    assert "<svg" not in home(site)
    site = site_of(tmp_path)
    fold(site, good(site))
    counts = site.counts.of("orders", "acme")
    for outcome in (good(site), PollOutcome(10.0, reason=Reason.TIMEOUT), good(site)):
        counts.add(outcome, 0)
    page = home(site)
    assert "<title>The last 3 polls, the newest on the right: 0.25 s to 10 s, 1 failed</title>" in page
    assert page.count('<path class="failed"') == 1


def test_what_is_sought_is_found_and_cut(tmp_path: Path) -> None:
    """Only families with that in their name are shown; a search of a megabyte is not carried on."""
    site = site_of(tmp_path)
    fold(site, good(site))
    assert "shop_open_orders" in home(site, "open_orders")
    site = site_of(tmp_path)
    fold(site, good(site))
    assert "shop_open_orders" not in home(site, "nothing")
    site = site_of(tmp_path)
    assert home(site, "y" * 100_000).count("y") < 10_000


def test_a_source_without_oauth_says_so(tmp_path: Path) -> None:
    """Other credentials are no token, and no credentials need none."""
    basic = '"https://api.example/", basic_auth: {username: a, password: hunter22}'
    page = home(site_of(tmp_path, config=CONFIG.replace('"https://api.example/secret-path"', basic)))
    assert "no OAuth 2.0" in page
    oauth = '"https://api.example/", oauth2: {token_url: "https://a.example", client_id: a, client_secret: hunter22}'
    page = home(site_of(tmp_path, config=CONFIG.replace('"https://api.example/secret-path"', oauth)))
    assert "none yet" in page
    assert "hunter22" not in page


def test_the_configuration_is_that_in_use(tmp_path: Path) -> None:
    """YAML, not to be kept by anybody, rendered once after each load."""
    site = site_of(tmp_path, censor=lambda text: text.replace("secret", "<hidden>"))

    async def ask() -> Answer:
        shown, again, *_ = await asyncio.gather(*(site.configuration() for _ in range(10)))
        assert again is shown
        assert await site.configuration() is shown
        return shown

    shown = asyncio.run(ask())
    assert yaml.safe_load(shown.body)["sources"][0]["url"] == "https://api.example/<hidden>-path"
    assert dict(shown.fields)[b"cache-control"] == b"no-store"
    site.shown = site_of(tmp_path, config=CONFIG.replace("secret-path", "other")).shown
    assert b"https://api.example/other" in asyncio.run(ask()).body


@pytest.mark.parametrize(
    ("host", "tls", "url"),
    [
        (None, False, "http://localhost:10093/metrics"),
        ("::", False, "http://localhost:10093/metrics"),
        ("0.0.0.0", True, "https://localhost:10093/metrics"),
        ("127.0.0.1", False, "http://127.0.0.1:10093/metrics"),
        ("::1", True, "https://[::1]:10093/metrics"),
    ],
)
def test_the_metrics_are_found_at_an_address_that_can_be_clicked(host: str | None, tls: bool, url: str) -> None:
    """What listens everywhere is found on this machine."""
    assert metrics_url(ListenAddress(host, 10093), "/metrics", tls=tls) == url
