"""The status page in a real browser: Debian's Chromium, on a running exporter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from exporter.simulator import Settings, Simulator
from tests.support.browser import DESKTOP, PHONE, browser_page, width_beyond_the_screen
from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC, choreo_environ, choreo_source
from tests.support.processes import Exporter, get
from tests.support.scenes import BAD, SCENES, WIDTHS

FOUR_WAYS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "light"}, id="desktop, light"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark", "java_script_enabled": False}, id="desktop, no script"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="phone, dark"),
    pytest.param({"viewport": PHONE, "color_scheme": "light", "java_script_enabled": False}, id="phone, no script"),
]
LONGEST_PAGE = 9000  # pixels, of the whole catalogue on the narrowest phone


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
    """First whether all is well, and if not what, since when and what to do; then each query with its state, window
    and next poll, the failing one first, the token's life and the values that one looks for: on any screen, in light
    and dark, with and without scripts, under a prefix."""
    with browser_page(**settings) as (page, faults):
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{exporter.url}/")
        assert requested == [f"{exporter.url}/"]
        verdict = page.locator("#verdict")
        expect(verdict).to_contain_text("1 of 4 queries fails")
        expect(verdict).to_contain_text("duplicate_series: ")
        expect(verdict).to_contain_text("It has not worked since the exporter started.")
        expect(verdict).to_contain_text("What to do: Add the label")
        place = verdict.get_by_role("link", name="bad").get_attribute("href") or ""
        expect(page.locator(f"tbody{place}")).to_contain_text("failing")
        rows = page.locator("#queries tbody")
        assert rows.count() == 4
        expect(rows.first).to_contain_text("bad")
        traffic = rows.filter(has_text="traffic")
        expect(traffic).to_contain_text("well")
        expect(traffic.get_by_title("+00:00 to ")).to_have_count(1)
        expect(rows.filter(has_text="bad").locator(".problem")).to_contain_text("duplicate_series: ")
        expect(page.locator("#sources")).to_contain_text("valid")
        expect(page.locator("#sources")).to_contain_text("1 worked")
        order = page.locator("main > section").evaluate_all("all => all.map(one => one.id)")
        assert order == ["verdict", "sources", "queries", "metrics"]
        dark = settings["color_scheme"] == "dark"
        ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        assert ground == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")
        assert width_beyond_the_screen(page) == 0
        page.get_by_label("Filter").fill("API_INFO orders")
        page.get_by_role("button", name="Find").click()
        page.wait_for_url("**/?q=*")
        expect(page.locator("article h3")).to_have_text(["choreo_api_info gauge"])
        found = exporter.samples("choreo_api_info", api="Orders API")
        expect(page.locator("#found article tr")).to_have_count(len(found))
        assert width_beyond_the_screen(page) == 0
        for name in ("Metrics", "Configuration", "Healthy", "Ready"):
            link = page.get_by_role("link", name=name, exact=True).evaluate("link => link.href")
            answer = page.request.get(link)
            assert answer.status == 200, link
            assert answer.headers["x-content-type-options"] == "nosniff", link
        assert faults == []


@contextmanager
def page_of_scene(name: str, folder: Path, **context: Any) -> Iterator[tuple[Page, list[str]]]:
    with SCENES[name](folder) as url, browser_page(**context) as (page, faults):
        page.goto(f"{url}/")
        yield page, faults


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("scene", "headline"),
    [
        ("well", "All is well"),
        ("failing", "1 of 4 queries fails"),
        ("paused", "asked for a pause until"),
        ("unasked", "queries are not polled yet"),
    ],
)
def test_the_page_fits_every_screen(tmp_path: Path, scene: str, headline: str) -> None:
    """Nobody has to scroll sideways, on a phone, a tablet or a wide screen, with families closed or open; the page of a
    whole catalogue stays short. Whatever the state, the first line names it."""
    with page_of_scene(scene, tmp_path) as (page, faults):
        expect(page.locator("#verdict")).to_contain_text(headline)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("document.documentElement.scrollHeight") < LONGEST_PAGE, width
            narrow = page.locator(".list td[data-name]").evaluate_all(
                "all => all.filter(one => one.offsetHeight > 4 * parseFloat(getComputedStyle(one).lineHeight))"
                ".map(one => one.textContent)"
            )
            assert narrow == [], width  # no cell is a sliver of text
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faults == []


def test_the_page_says_what_a_paused_query_waits_for(tmp_path: Path) -> None:
    """A query of a paused source names the end of the pause, which the source has, too; it is never due in 0 s."""
    with page_of_scene("paused", tmp_path, java_script_enabled=False) as (page, _):
        pause = page.locator("#sources time.at").inner_text()
        assert f"paused until {pause}" in page.locator("#queries").inner_text()
        assert "in 0" not in page.locator("#queries").inner_text()


def test_the_filter_is_the_servers_while_one_types(exporter: Exporter) -> None:
    """With scripts the filter answers without a click, with all that the server has and not only what is shown; without
    a word all is there again."""
    with browser_page() as (page, faults):
        page.goto(f"{exporter.url}/")
        articles = page.locator("#found article")
        count = articles.count()
        assert count > 2
        for words in ("environment_INFO prod", "choreo_api_info", "orders"):
            page.get_by_label("Filter").fill("")
            page.get_by_label("Filter").press_sequentially(words)
            page.wait_for_url(f"**/?q={words.replace(' ', '+')}#metrics")
            wanted = lines_with(exporter, words)
            expect(page.locator("#found article tr")).to_have_count(len(wanted))
            shown = page.locator("#found article tr").evaluate_all(
                "rows => rows.map(row => [...row.cells].map(cell => cell.textContent).join(' '))"
            )
            assert sorted(shown) == sorted(wanted)
        page.get_by_label("Filter").fill("")
        expect(articles).to_have_count(count)
        assert faults == []


def lines_with(exporter: Exporter, words: str) -> list[str]:
    """The polled series on the page of metrics with all of these words."""
    own = ("#", "insights_exporter_", "process_", "python_")
    lines = (line for line in exporter.page().splitlines() if not line.startswith(own))
    return [line for line in lines if all(word in line.lower() for word in words.lower().split())]


@pytest.mark.parametrize("scripts", [True, False])
def test_the_page_refreshes_itself_if_one_wants(exporter: Exporter, scripts: bool) -> None:
    """A link switches it on and another off; what the filter holds stays."""
    with browser_page(java_script_enabled=scripts) as (page, faults):
        page.goto(f"{exporter.url}/?q=prod")
        before = page.locator("#verdict time").first.get_attribute("datetime")
        page.get_by_role("link", name="Refresh every 10 s").click()
        page.wait_for_url("**/?q=prod&refresh=on")
        page.locator(f"#verdict time.at:not([datetime='{before}'])").first.wait_for()
        shown = page.locator("#verdict time").first.get_attribute("datetime")
        page.locator(f"#verdict time.at:not([datetime='{shown}'])").first.wait_for(timeout=20_000)
        assert page.get_by_label("Filter").input_value() == "prod"
        page.get_by_role("link", name="Stop refreshing").click()
        page.wait_for_url("**/?q=prod")
        assert faults == []


def test_the_last_polls_are_drawn(exporter: Exporter) -> None:
    """Each query that was polled twice has a small chart, which a screen reader reads as words; failed polls are red
    and reach lower. On a phone the chart fits beside its figure, and no script is needed."""
    with browser_page(viewport=PHONE, java_script_enabled=False) as (page, faults):
        page.goto(f"{exporter.url}/?refresh=on")  # until each query has been polled twice
        expect(page.locator("#queries svg")).to_have_count(4, timeout=60_000)
        failing = page.locator("#queries tbody").filter(has_text="duplicate_series").get_by_role("img")
        expect(failing).to_have_accessible_name(re.compile(r"The last \d+ polls, the newest on the right: .* failed"))
        colour = failing.locator("path").evaluate("path => getComputedStyle(path).stroke")
        assert colour == page.locator("tr.problem td").evaluate("cell => getComputedStyle(cell).color")
        traffic = page.locator("#queries tbody").filter(has_text="traffic").get_by_role("img")
        expect(traffic).to_have_accessible_name(re.compile("none failed$"))
        boxes = traffic.evaluate("svg => [svg, svg.nextElementSibling].map(one => one.getBoundingClientRect().bottom)")
        assert abs(boxes[0] - boxes[1]) < 10
        assert faults == []


def test_times_are_those_of_the_reader(exporter: Exporter) -> None:
    """A script makes them local; hovering shows the date and UTC, and a window as it was sent. Without scripts they are
    UTC, and the page says so."""
    utc = get(f"{exporter.url}/").text
    assert "Times are UTC." in utc
    with browser_page(timezone_id="Asia/Colombo") as (page, faults):
        page.goto(f"{exporter.url}/")
        expect(page.locator("#zone")).to_have_text("Times are local (Asia/Colombo).")
        time = page.locator("#verdict time").first
        local, utc_time = time.inner_text()[-8:], (time.get_attribute("datetime") or "")[11:19]
        minutes = [int(text[:2]) * 60 + int(text[3:5]) for text in (local, utc_time)]
        assert (minutes[0] - minutes[1]) % 1440 == 330
        assert utc_time in (time.get_attribute("title") or "")
        assert faults == []
