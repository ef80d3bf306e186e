"""The status page in a real browser: Debian's Chromium, on a running exporter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from exporter.simulator import Settings, Simulator
from tests.support.browser import DESKTOP, PHONE, browser_page, width_beyond_the_screen
from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC, choreo_environ, choreo_source
from tests.support.processes import Exporter

BAD = """
  - name: bad
    interval: 1s
    document: "query ($org: OrgFilter!) { listEnvironments(org: $org) { id } }"
    variables: {org: {orgId: "{{ source.org_id }}"}}
    rows: listEnvironments
    metrics:
      - {name: same_for_all, help: Without a label., value: 1}
"""
FOUR_WAYS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "light"}, id="desktop, light"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark", "java_script_enabled": False}, id="desktop, no script"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="phone, dark"),
    pytest.param({"viewport": PHONE, "color_scheme": "light", "java_script_enabled": False}, id="phone, no script"),
]


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter with three queries that work and one that does not, under a prefix."""
    folder = tmp_path_factory.mktemp("exporter")
    config = folder / "config.yaml"
    queries = ENVIRONMENTS + APIS + TRAFFIC + BAD
    config.write_text(choreo_source() + queries.replace("interval: 1s", "interval: 10s"))  # the deadline as well
    with (
        Simulator(Settings(delay_seconds=0)) as insights,
        Exporter(config, folder / "log", "--web.route-prefix=/insights", environ=choreo_environ(insights)) as started,
    ):
        yield started.wait_until_ready()


@pytest.mark.parametrize("settings", FOUR_WAYS)
def test_a_person_finds_out_what_is_wrong(exporter: Exporter, settings: dict[str, Any]) -> None:
    """Each query with its state, window and next poll, the failing one with its error in words, the token's life and
    the values that one looks for: on any screen, in light and dark, with and without scripts, under a prefix."""
    with browser_page(**settings) as (page, faults):
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{exporter.url}/")
        assert requested == [f"{exporter.url}/"]
        rows = page.locator("#queries tbody")
        assert rows.count() == 4
        traffic = rows.filter(has_text="traffic")
        expect(traffic).to_contain_text("well")
        expect(traffic).to_contain_text("+00:00 to ")
        expect(rows.filter(has_text="bad").locator(".problem")).to_contain_text("duplicate_series: ")
        expect(page.locator("#sources")).to_contain_text("valid")
        expect(page.locator("#sources")).to_contain_text("1 worked")
        dark = settings["color_scheme"] == "dark"
        ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        assert ground == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")
        assert width_beyond_the_screen(page) == 0
        page.get_by_label("Filter").fill("API_INFO orders")
        page.get_by_role("button", name="Find").click()
        page.wait_for_url("**/?q=*")
        expect(page.locator("article h3")).to_have_text(["choreo_api_info gauge"])
        found = exporter.samples("choreo_api_info", api="Orders API")
        expect(page.locator("article tr")).to_have_count(len(found))
        assert width_beyond_the_screen(page) == 0
        for name in ("Metrics", "Configuration", "Healthy", "Ready"):
            link = page.get_by_role("link", name=name, exact=True).evaluate("link => link.href")
            assert page.request.get(link).status == 200, link
        assert faults == []


def test_rows_are_hidden_while_one_types(exporter: Exporter) -> None:
    """With scripts the filter answers at once; without a word all is there again."""
    with browser_page() as (page, faults):
        page.goto(f"{exporter.url}/")
        articles = page.locator("article:visible")
        count = articles.count()
        assert count > 2
        page.get_by_label("Filter").press_sequentially("environment_INFO prod")
        expect(articles).to_have_count(1)
        expect(page.locator("article:visible tr:visible")).to_have_count(1)
        page.get_by_label("Filter").fill("")
        expect(articles).to_have_count(count)
        assert faults == []
