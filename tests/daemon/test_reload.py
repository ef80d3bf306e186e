"""A configuration that changes while the exporter runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC, choreo_source
from tests.support.processes import Exporter, eventually, get, http_client, post
from tests.support.upstream import Upstream, answer, status

BACK_OFF = "insights_exporter_upstream_backoff_seconds"
LOADED = "insights_exporter_config_last_reload_successful"
# long enough that no poll fails on a busy machine; a reload has what is new polled at once
PATIENT_ENVIRONMENTS = ENVIRONMENTS.replace("interval: 1s", "interval: 20s")
PATIENT = PATIENT_ENVIRONMENTS + TRAFFIC.replace("interval: 1s", "interval: 20s")
GRAPHQL = "query ($org: OrgFilter!) { listEnvironments(org: $org) { id name type } }"
OTHER = ENVIRONMENTS.replace("name: environments", "name: other").replace("choreo_environment_info", "other_info")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The file that the exporter was started with."""
    return tmp_path / "config.yaml"


def reload(exporter: Exporter, successful: bool = True) -> None:
    """Has the exporter load its file again by SIGHUP, and waits until it has."""
    before = (
        exporter.log.count("the configuration was reloaded"),
        exporter.log.count("the new configuration is not"),
    )
    exporter.popen.send_signal(signal.SIGHUP)
    line = "the configuration was reloaded" if successful else "the new configuration is not"
    eventually(lambda: exporter.log.count(line) > before[not successful], f"reload; the log is: {exporter.log}")


@contextmanager
def every_page(exporter: Exporter) -> Iterator[list[str]]:
    """Pages that are scraped without a pause meanwhile."""
    pages: list[str] = []
    stop = threading.Event()

    def scrape() -> None:
        with http_client() as client:
            while not stop.is_set():
                pages.append(client.get(f"{exporter.url}/metrics").raise_for_status().text)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield pages
    finally:
        stop.set()
        thread.join()


def families(page: str) -> dict[str, list[dict[str, str]]]:
    """The label sets of each family; fails where a family has two heads or a series stands twice."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(page):
        assert family.name not in found, family.name
        found[family.name] = [sample.labels for sample in family.samples]
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)), family.name
    return found


def asked(insights: Simulator, field: str) -> int:
    """How often a root field was asked for."""
    return sum(field in entry.operations for entry in insights.journal.entries("graphql"))


def test_what_did_not_change_goes_on(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """A reload that adds a query leaves series, schedule and token of the others alone, and the page stays ready."""
    slow = TRAFFIC.replace("interval: 1s", "interval: 30d")
    exporter = start_exporter(insights, PATIENT_ENVIRONMENTS + slow).wait_until_ready()
    polls = asked(insights, "getTotalTraffic")
    with every_page(exporter) as pages:
        config.write_text(choreo_source() + PATIENT_ENVIRONMENTS + slow + APIS)
        reload(exporter)
        assert get(f"{exporter.url}/-/ready").status_code == 200
        eventually(lambda: exporter.samples("choreo_api_info"), "series of the new query")
    counts = {len(families(page)["choreo_window_requests"]) for page in pages}
    assert counts == {polls}
    assert asked(insights, "getTotalTraffic") == polls
    assert len(insights.journal.entries("token")) == 1
    assert exporter.value(LOADED) == 1


def test_a_removed_query_is_gone(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """With a query go its series, its polls and its own metrics; no other is touched."""
    exporter = start_exporter(insights, ENVIRONMENTS + OTHER).wait_until_ready()
    config.write_text(choreo_source() + ENVIRONMENTS)
    reload(exporter)
    assert not exporter.samples("other_info")
    eventually(lambda: exporter.samples("choreo_environment_info"), "environments")
    eventually(lambda: not exporter.samples("insights_exporter_query_up", query="other"), "end of its own metrics")
    eventually(lambda: exporter.value("insights_exporter_query_up", query="environments") == 1, "the other query")


BROKEN: dict[str, Callable[[str], str | None]] = {
    "no YAML": lambda text: f"{text}\n  - {{",
    "a key twice": lambda text: text.replace("interval: 1s", "interval: 1s\n    interval: 2s"),
    "an unknown key": lambda text: text.replace("interval: 1s", "intervall: 1s"),
    "an alias bomb": lambda _: (
        "a: &a [x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
        )
    ),
    "nothing": lambda _: "",
    "no file": lambda _: None,
    "a document that does not fit": lambda text: text.replace("{ id name type }", "{ id nome type }"),
    "an unset variable": lambda text: text.replace("${CHOREO_TOKEN_URL}", "${NOWHERE_TO_BE_FOUND}"),
}


def test_a_bad_file_changes_nothing(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """Whatever is wrong with the new file: the old configuration goes on, a metric and the log say so, and a good
    file is taken afterwards."""
    exporter = start_exporter(insights, ENVIRONMENTS).wait_until_ready()
    good = config.read_text()
    before = eventually(lambda: exporter.samples("choreo_environment_info"), "environments")
    for name, broken in BROKEN.items():
        text = broken(good)
        config.unlink()
        if text is not None:
            config.write_text(text)
        reload(exporter, successful=False)
        assert exporter.samples("choreo_environment_info") == before, name
        assert exporter.value(LOADED) == 0, name
        config.write_text(good)
        reload(exporter)
        assert exporter.value(LOADED) == 1, name
    assert "Traceback" not in exporter.log
    assert len(insights.journal.entries("token")) == 1


def test_a_variable_hides_a_text_of_answers_only_while_it_is_in_use(
    stack: ExitStack, tmp_path: Path, config: Path
) -> None:
    """What a variable gave to a query is hidden in answers. A configuration that was refused, or is no longer in use,
    hides nothing."""
    upstream = stack.enter_context(Upstream())
    upstream.api.always(answer({"data": {"name": "production"}}))
    plain = f"""
sources:
  - {{name: api, url: "{upstream.api_url}"}}
queries:
  - name: deployment
    interval: 100ms
    document: "query ($name: String) {{ name(is: $name) }}"
    metrics:
      - {{name: deployment_info, help: A deployment., value: 1, labels: {{environment: name}}}}
"""
    hiding = plain.replace("    metrics:", '    variables: {name: "${DEPLOY_ENV}"}\n    metrics:')
    config.write_text(plain)
    environ = {"DEPLOY_ENV": "production"}
    with Exporter(config, tmp_path / "exporter.log", environ=environ) as exporter:
        exporter.wait_until_ready()

        def follow(text: str, environment: str, *, successful: bool = True) -> None:
            config.write_text(text)
            reload(exporter, successful=successful)
            upstream.api.wait_for(len(upstream.api.journal) + 3)
            eventually(lambda: exporter.samples("deployment_info", environment=environment), f"label {environment}")

        follow(hiding.replace("interval", "intervall"), "production", successful=False)
        follow(hiding, "<secret>")
        follow(plain, "production")


def test_every_problem_of_a_bad_file_is_told(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """`POST /-/reload` answers 200 once the new configuration is in use, or 500 with each problem in a line."""
    exporter = start_exporter(insights, ENVIRONMENTS, "--web.enable-lifecycle").wait_until_ready()
    url = f"{exporter.url}/-/reload"
    good = config.read_text()
    config.write_text(good + OTHER)
    assert httpx.post(url, timeout=30).status_code == 200
    eventually(lambda: exporter.samples("other_info"), "the new query")
    config.write_text(good.replace("rows: listEnvironments", "row: listEnvironments").replace("value: 1", "valu: 1"))
    answer = httpx.post(url, timeout=30)
    assert answer.status_code == 500
    told = [line for line in answer.text.splitlines() if f"{config}:" in line]
    assert any("row" in line for line in told)
    assert any("valu" in line for line in told)
    assert all(line in exporter.log for line in told)
    assert get(url).status_code == 405


def test_a_reload_over_http_has_to_be_enabled(insights: Simulator, start_exporter: StartExporter) -> None:
    """Without `--web.enable-lifecycle` nobody can reload over HTTP, and the answer says what would allow it."""
    exporter = start_exporter(insights, ENVIRONMENTS).wait_until_ready()
    answer = post(f"{exporter.url}/-/reload")
    assert answer.status_code == 403
    assert "--web.enable-lifecycle" in answer.text
    assert get(f"{exporter.url}/-/reload").status_code == 405


def test_many_reloads_leave_nothing_behind(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """A hundred SIGHUPs at once become a few reloads, and no task, connection or poll is left over from them."""
    exporter = start_exporter(insights, PATIENT).wait_until_ready()
    good = config.read_text()
    tasks = exporter.value("insights_exporter_tasks")
    for number in range(100):
        config.write_text(good.replace("help: Environments.", f"help: Environments {number}."))
        exporter.popen.send_signal(signal.SIGHUP)
    eventually(lambda: "Environments 99." in exporter.page(), "last version")
    eventually(lambda: exporter.value("insights_exporter_tasks") == tasks, f"return to {tasks} tasks")
    assert exporter.log.count("the configuration was reloaded") < 100
    assert exporter.value("insights_exporter_poll_failures_total") is None
    assert len(insights.journal.entries("token")) == 1


def test_a_changed_query_is_whole_in_every_scrape(
    start_insights: StartInsights, start_exporter: StartExporter, config: Path
) -> None:
    """While a query changes, each scrape has all of its old metrics or all of its new ones, and no family twice."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.4))
    exporter = start_exporter(insights, PATIENT).wait_until_ready()
    old = ["choreo_window_requests", "choreo_window_errors"]
    new = ["choreo_window_requests", "choreo_window_failures"]
    environments = {labels["environment_id"] for labels, _ in exporter.samples("choreo_environment_info")}
    with every_page(exporter) as pages:
        config.write_text(config.read_text().replace("choreo_window_errors", "choreo_window_failures"))
        reload(exporter)
        eventually(lambda: len(exporter.samples(new[1])) == len(environments), "all new series")
        eventually(lambda: not exporter.samples(old[1]), "end of the old series")
    for page in pages:
        found = families(page)
        for environment in environments:
            there = {
                name for name in {*old, *new} for one in found.get(name, ()) if one["environment_id"] == environment
            }
            assert there in (set(old), set(new)), there


def test_a_metric_that_moves_is_never_there_twice(
    start_insights: StartInsights, start_exporter: StartExporter, config: Path
) -> None:
    """Where another query publishes a metric from now on, or the labels are others, the old results give way."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.4))
    other = PATIENT_ENVIRONMENTS.replace("name: environments", "name: other").replace(
        "choreo_environment_info", "other_info"
    )
    exporter = start_exporter(insights, PATIENT_ENVIRONMENTS + other).wait_until_ready()
    text = config.read_text()
    moved = text.replace("choreo_environment_info", "x").replace("other_info", "choreo_environment_info")
    relabelled = moved.replace("environment: name", "environment_name: name")

    def has_the_new_label(name: str) -> bool:
        return any("environment_name" in labels for labels, _ in exporter.samples(name))

    with every_page(exporter) as pages:
        config.write_text(moved.replace("name: x", "name: other_info"))
        reload(exporter)
        eventually(lambda: asked(insights, "listEnvironments") >= 4, "polls")
        config.write_text(relabelled.replace("name: x", "name: other_info"))
        reload(exporter)
        for name in ("choreo_environment_info", "other_info"):
            eventually(partial(has_the_new_label, name), f"the new label of {name}")
    for page in pages:
        for name in ("choreo_environment_info", "other_info"):
            assert len({tuple(sorted(labels)) for labels in families(page).get(name, ())}) <= 1
    assert exporter.value("insights_exporter_poll_failures_total") is None


def test_the_old_client_finishes_what_it_began(
    start_insights: StartInsights, start_exporter: StartExporter, config: Path
) -> None:
    """A source that is reached in another way gets new connections, and keeps its token: no poll fails for it."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.2))
    exporter = start_exporter(insights, PATIENT).wait_until_ready()
    tasks = exporter.value("insights_exporter_tasks")
    for size in range(1, 6):
        config.write_text(choreo_source(f"max_body_size: {size}MiB") + PATIENT)
        reload(exporter)
    eventually(lambda: exporter.value("insights_exporter_query_up", query="traffic") == 1, "polls")
    assert exporter.value("insights_exporter_poll_failures_total") is None
    assert len(insights.journal.entries("token")) == 1
    eventually(lambda: exporter.value("insights_exporter_tasks") == tasks, f"return to {tasks} tasks")


def test_limits_follow_the_new_configuration(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """A lower limit of series refuses the next result, the old one stays; a higher one takes it."""
    exporter = start_exporter(insights, ENVIRONMENTS).wait_until_ready()
    eventually(lambda: exporter.samples("choreo_environment_info"), "first poll")
    before = exporter.samples("choreo_environment_info")
    good = config.read_text()
    config.write_text(f"max_series: 1\n{good}")
    reload(exporter)
    eventually(lambda: exporter.value("insights_exporter_poll_failures_total", reason="cardinality"), "refusal")
    assert exporter.samples("choreo_environment_info") == before
    config.write_text(good)
    reload(exporter)
    eventually(lambda: exporter.value("insights_exporter_query_up") == 1, "success")


def test_a_changed_file_is_taken_by_itself(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """With `--config.auto-reload` a new file is used without being asked for, through a link too; a schema that the
    file names counts as well."""
    schema = config.with_name("schema.graphql")
    schema.write_text(
        "type Query { listEnvironments(org: OrgFilter!): [E] }  input OrgFilter { orgId: String }"
        "  type E { id: ID name: String type: String }"
    )
    source = choreo_source().replace("schema: choreo", "schema: schema.graphql")
    exporter = start_exporter(insights, ENVIRONMENTS, "--config.auto-reload", source=source).wait_until_ready()
    new = config.with_name("new.yaml")
    new.write_text(source + ENVIRONMENTS + OTHER)
    link = config.with_name("link")
    link.symlink_to(new)
    link.rename(config)  # as a mounted ConfigMap is replaced
    eventually(lambda: exporter.samples("other_info"), "the new query")
    schema.write_text(schema.read_text().replace("type: String", "kind: String"))
    eventually(lambda: exporter.value(LOADED) == 0, "notice of the schema that does not fit any more")
    assert exporter.samples("other_info")
    schema.write_text(schema.read_text().replace("kind: String", "type: String"))
    eventually(lambda: exporter.value(LOADED) == 1, "notice of the schema that fits again")


def test_further_files_are_followed(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """With `--config.auto-reload` a file that `query_files` names by pattern counts when it comes and when it goes."""
    source = "query_files: ['more/*.yaml']\n" + choreo_source()
    folder = config.with_name("more")
    folder.mkdir()
    exporter = start_exporter(insights, ENVIRONMENTS, "--config.auto-reload", source=source).wait_until_ready()
    (folder / "other.yaml").write_text("queries:\n" + OTHER)
    eventually(lambda: exporter.samples("other_info"), "the query of the new file")
    (folder / "other.yaml").unlink()
    eventually(lambda: not exporter.samples("other_info"), "notice of the file that is gone")
    assert exporter.value(LOADED) == 1


def test_a_file_that_comes_after_its_name_is_taken(
    insights: Simulator, start_exporter: StartExporter, config: Path
) -> None:
    """With `--config.auto-reload` a configuration is refused that names a file which is not there, and taken when the
    file comes: a document, a secret."""
    exporter = start_exporter(insights, ENVIRONMENTS, "--config.auto-reload").wait_until_ready()
    good = config.read_text()
    document = OTHER[OTHER.index("    document:") : OTHER.index("    variables:")]
    header = "http_headers: {x-key: {files: [key.txt]}}"
    for name, text, content in (
        ("other.graphql", good + OTHER.replace(document, "    document_file: other.graphql\n"), GRAPHQL),
        ("key.txt", choreo_source(header) + ENVIRONMENTS, "test-value"),
    ):
        config.write_text(text)
        eventually(lambda: exporter.value(LOADED) == 0, f"notice that there is no {name}")
        config.with_name(name).write_text(content)
        eventually(lambda: exporter.value(LOADED) == 1, f"notice of {name}; the log is: {exporter.log}")


def test_a_folder_is_followed(insights: Simulator, start_exporter: StartExporter, config: Path) -> None:
    """With `--config.auto-reload`, each file of a folder counts that comes, and each document that changes. In a volume
    of Kubernetes all files change when one link does."""
    volume, old, new = config.with_name("volume"), config.with_name("old"), config.with_name("new")
    for folder in (volume, old, new):
        folder.mkdir()
        (folder / "asked.graphql").write_text(GRAPHQL)
    (volume / "..data").symlink_to(old)
    (volume / "asked.graphql").unlink()
    (volume / "asked.graphql").symlink_to("..data/asked.graphql")
    exporter = start_exporter(insights, ENVIRONMENTS, "--config.auto-reload", f"--config.file={volume}")
    exporter.wait_until_ready()
    query = OTHER.replace(OTHER[OTHER.index("    document:") : OTHER.index("    variables:")], "")
    (volume / "other.yaml").write_text("queries:\n" + query + "    document_file: asked.graphql\n")
    eventually(lambda: exporter.samples("other_info"), "the query of the new file")
    (new / "asked.graphql").write_text("query ($org: OrgFilter!) { listEnvironments(org: $org) { id nam } }")
    (volume / "..new").symlink_to(new)
    (volume / "..new").rename(volume / "..data")
    eventually(lambda: exporter.value(LOADED) == 0, "notice of the document that does not fit")
    assert f"{volume / 'asked.graphql'}:1: " in exporter.log


def limited(limited_url: str, other_url: str, name: str, more: str) -> str:
    """A source with these keys more, which twenty calls want to go to at once, and another that is polled meanwhile."""
    return f"""
sources:
  - {{name: {name}, url: "{limited_url}", labels: {{site: limited}}, {more}}}
  - {{name: other, url: "{other_url}", labels: {{site: other}}}}
queries:
  - name: many
    interval: 1m
    for_each: {{n: [{", ".join(map(str, range(20)))}]}}
    document: "{{ value }}"
    labels: {{n: "{{{{ n }}}}"}}
    metrics: [{{name: value, help: A value., value: value}}]
  - name: often
    interval: 200ms
    sources: [other]
    document: "{{ value }}"
    metrics: [{{name: value_often, help: A value., value: value}}]
"""


@contextmanager
def two_upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    """A limited upstream, and another that always answers."""
    with Upstream() as one, Upstream() as other:
        for upstream in (one, other):
            upstream.api.always(answer({"data": {"value": 1}}))
        yield one, other


def reloaded(exporter: Exporter, config: Path, text: str, other: Upstream) -> None:
    """Has the exporter take that configuration, and waits until it has polled the other upstream ten times since."""
    config.write_text(text)
    reload(exporter)
    other.api.wait_for(len(other.api.journal) + 10)


def test_a_pause_stays_with_its_url(tmp_path: Path, config: Path) -> None:
    """A source that asked to be left alone is left alone after a reload, too, whatever was changed of it, its name
    among that; at another URL it is polled at once."""
    with two_upstreams() as (one, other):
        one.api.always(status(429, retry_after="600"))
        moved = one.api_route("/moved")
        moved.always(answer({"data": {"value": 1}}))
        config.write_text(limited(one.api_url, other.api_url, "limited", "concurrency: 1"))
        with Exporter(config, tmp_path / "exporter.log") as exporter:
            eventually(lambda: exporter.value(BACK_OFF, source="limited"), "pause")
            for name, more in (
                ("limited", "concurrency: 3"),
                ("limited", "max_body_size: 1MiB"),  # reached in another way
                ("renamed", "max_body_size: 1MiB"),
            ):
                reloaded(exporter, config, limited(one.api_url, other.api_url, name, more), other)
                assert len(one.api.journal) == 1, (name, more)
                assert (exporter.value(BACK_OFF, source=name) or 0) > 300
            there = limited(one.origin + moved.path, other.api_url, "renamed", "max_body_size: 1MiB")
            reloaded(exporter, config, there, other)
            moved.wait_for(20)
            assert exporter.value(BACK_OFF, source="renamed") == 0
            assert len(one.api.journal) == 1


def test_a_changed_rate_limit_continues_the_account_of_the_old_one(tmp_path: Path, config: Path) -> None:
    """What was sent before a reload counts under the new limit, under another name of the source, too: a higher limit
    lets only the rest through, a lower one nothing."""
    with two_upstreams() as (one, other):

        def changed(requests: int, name: str = "limited") -> str:
            more = f"rate_limit: {{requests: {requests}, per: 1h}}"
            return limited(one.api_url, other.api_url, name, more)

        config.write_text(changed(5))
        with Exporter(config, tmp_path / "exporter.log") as exporter:
            one.api.wait_for(5)
            for requests, name, sent in ((8, "limited", 8), (3, "limited", 8), (8, "renamed", 8), (9, "renamed", 9)):
                reloaded(exporter, config, changed(requests, name), other)
                one.api.wait_for(sent)
                assert len(one.api.journal) == sent, (requests, name)
