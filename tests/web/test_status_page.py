"""The pages for people, as the running program serves them."""

from __future__ import annotations

import signal
from pathlib import Path

import yaml

from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC, choreo_source
from tests.support.processes import Exporter, eventually, get

HOSTILE = """
  - name: hostile
    interval: 1s
    document: "query { listEnvironments(org: {orgId: \\"<script>alert(1)</script>\\"}) { id } }"
    metrics:
      - {name: hostile, help: "<script>alert(2)</script>", value: 1}
"""


def test_what_came_from_elsewhere_is_text(insights: Simulator, start_exporter: StartExporter) -> None:
    """Whatever an API, a configuration or a visitor says, it adds nothing to the page but text."""
    exporter = start_exporter(insights, ENVIRONMENTS + HOSTILE).wait_until_ready()
    page = get(f"{exporter.url}/", params={"q": '"><script>alert(3)</script>'}).text
    assert "&quot;&gt;&lt;script&gt;alert(3)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_a_failing_poll_is_told_until_it_works_and_after(insights: Simulator, start_exporter: StartExporter) -> None:
    """The last error stands there in words; once the poll works again, as a thing of the past."""
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 5s")).wait_until_ready()
    assert 'class="problem"' not in get(f"{exporter.url}/").text
    insights.faults.set(api="error503")
    failing = eventually(lambda: _page_with(exporter, '<tr class="problem">'), "failing query on the page")
    assert "1 of 1 failing" in failing
    assert "http_5xx: " in failing
    insights.faults.clear()
    well = eventually(lambda: _page_with(exporter, '<tr class="past problem">'), "past error on the page")
    assert "all 1 well" in well
    assert "worked again; " in well


def test_a_refused_client_is_told(insights: Simulator, start_exporter: StartExporter) -> None:
    """Where the token endpoint is down, the source says so."""
    insights.faults.set(token_endpoint="error503")
    exporter = start_exporter(insights, ENVIRONMENTS)
    page = eventually(lambda: _page_with(exporter, " failed</td>"), "failed renewals on the page")
    assert '<span class="mark failing">none</span>' in page


def test_the_running_configuration_is_shown(insights: Simulator, start_exporter: StartExporter, tmp_path: Path) -> None:
    """/config is YAML of what is in use, with includes and variables put in, and no secret; a reload changes it."""
    source = choreo_source("secret_values: {key: {env: CHOREO_ON_PREM_KEY}}")
    exporter = start_exporter(insights, ENVIRONMENTS + TRAFFIC, source=source).wait_until_ready()
    shown = yaml.safe_load(get(f"{exporter.url}/config").text)
    assert shown["sources"][0]["url"] == insights.url
    assert shown["sources"][0]["oauth2"]["client_secret"] == "<secret>"
    assert shown["sources"][0]["secret_values"] == {"key": "<secret>"}
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert shown["queries"] == written["queries"]
    assert shown["sources"][0]["oauth2"]["scopes"] == written["sources"][0]["oauth2"]["scopes"]
    config = tmp_path / "config.yaml"
    config.write_text(
        config.read_text().replace("name: environments\n    interval: 1s", "name: environments\n    interval: 7s")
    )
    exporter.popen.send_signal(signal.SIGHUP)
    eventually(lambda: "interval: 7s" in get(f"{exporter.url}/config").text, "new configuration")
    config.write_text("sources: []")
    exporter.popen.send_signal(signal.SIGHUP)
    eventually(lambda: exporter.value("insights_exporter_config_last_reload_successful") == 0, "refused configuration")
    assert "interval: 7s" in get(f"{exporter.url}/config").text


def test_no_secret_is_shown(insights: Simulator, start_exporter: StartExporter) -> None:
    """Neither the client's secret nor a token is on any page, not even where the configuration repeats it as text."""
    repeated = choreo_source("http_headers: {X-Key: my-own-header-key}").replace(
        "values: {", 'values: {again: "${CHOREO_CONSUMER_SECRET}", '
    )
    exporter = start_exporter(insights, ENVIRONMENTS, source=repeated).wait_until_ready()
    pages = "\n".join(get(exporter.url + path).text for path in ("/", "/config", "/metrics"))
    assert insights.settings.client_secret not in pages
    assert "my-own-header-key" not in pages
    assert "again: <secret>" in pages


def test_every_path_is_below_the_prefix(insights: Simulator, start_exporter: StartExporter) -> None:
    """A proxy that passes requests on with their prefix finds all pages there, and its first page from everywhere."""
    exporter = start_exporter(insights, ENVIRONMENTS, "--web.route-prefix=/tools/insights/")
    exporter.url = f"http://127.0.0.1:{exporter.port}/tools/insights"
    exporter.wait_until_ready()
    root = f"http://127.0.0.1:{exporter.port}"
    for path in ("/metrics", "/config", "/-/healthy", "/-/ready", "/"):
        assert get(exporter.url + path).status_code == 200, path
    for path in ("/", "/tools/insights"):
        assert get(root + path).headers["location"] == "/tools/insights/"
    for path in ("/metrics", "/config", "/tools/insightsmetrics"):
        assert get(root + path).status_code == 404, path
    assert f"{exporter.url}/metrics" in exporter.log.replace("localhost", "127.0.0.1")


def test_many_series_are_found_by_their_words(insights: Simulator, start_exporter: StartExporter) -> None:
    """Of each metric some series are shown; the filter finds the others."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS).wait_until_ready()
    eventually(lambda: exporter.value("insights_exporter_query_up") == 2, "good start")
    series = exporter.samples("choreo_api_info")
    assert f"and {len(series) - 5} more" in get(f"{exporter.url}/").text
    name = series[-1][0]["api_id"]
    page = get(f"{exporter.url}/", params={"q": f"{name.upper()} api_INFO"}).text
    assert f"<small>{len([1 for labels, _ in series if labels['api_id'] == name])} series</small>" in page


def _page_with(exporter: Exporter, text: str) -> str:
    if not exporter.answers():
        return ""
    page = get(f"{exporter.url}/").text
    return page if text in page else ""
