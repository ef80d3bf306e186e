"""What commands need of a configuration."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from exporter.cli.account import fail, plan_of, query_of, run, source_of
from exporter.model.errors import Reason, UpstreamFailure

CONFIG = """\
sources:
  - {name: a, url: "${A_URL:-https://a.example/}", labels: {of: a}, authorization: {credentials: "${A_SECRET}"}}
  - {name: b, url: "https://b.example/", labels: {of: b}, basic_auth: {username: alice, password: pass-of-b}}
queries:
  - {name: one, document: "{ n }", metrics: [{name: n, help: N., value: n}], sources: [b]}
  - {name: two, document: "{ m }", metrics: [{name: m, help: M., value: m}], sources: [b]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    return file


def test_an_error_is_a_line_with_its_likely_causes(capsys: pytest.CaptureFixture[str]) -> None:
    """The likeliest first, and exit code 1."""
    with pytest.raises(click.exceptions.Exit) as ended:
        fail("no answer", ["the network", "the API"])
    assert ended.value.exit_code == 1
    assert capsys.readouterr() == ("", "error: no answer\nlikely: the network\n    or: the API\n")


def test_without_an_account_a_missing_variable_is_no_problem(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What asks nobody needs no secrets; what asks is refused with what is missing."""
    monkeypatch.delenv("A_SECRET", raising=False)
    assert [query.name for query in plan_of(config, needs_account=False).queries] == ["one", "two"]
    with pytest.raises(SystemExit) as ended:
        plan_of(config)
    assert ended.value.code == 1
    assert f"error: {config}:2: sources[0].authorization.credentials: the environment variable A_SECRET" in (
        capsys.readouterr().err
    )
    monkeypatch.setenv("A_SECRET", "s3cret-of-a")
    assert [source.name for source in plan_of(config).sources] == ["a", "b"]
    config.write_text("sources: 5\n")
    with pytest.raises(SystemExit):
        plan_of(config, needs_account=False)
    assert "sources: must be a list" in capsys.readouterr().err


def test_queries_and_sources_are_found_by_their_names(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that there is not is told with those that there are."""
    monkeypatch.setenv("A_SECRET", "s3cret-of-a")
    plan = plan_of(config)
    assert query_of(plan, "two").name == "two"
    assert source_of(plan.sources, "b").name == "b"
    assert source_of(plan.sources, None).name == "a"
    for look in (lambda: query_of(plan, "three"), lambda: source_of(plan.sources, "c")):
        with pytest.raises(click.exceptions.Exit):
            look()
    assert capsys.readouterr().err == (
        "error: there is no query three; there is: one, two\nerror: there is no source c to ask; there is: a, b\n"
    )


def test_work_that_fails_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With its reason; what works gives its result."""

    async def work(*, well: bool) -> int:
        if not well:
            raise UpstreamFailure(Reason.DNS, "cannot resolve a.example")
        return 5

    assert run(work(well=True)) == 5
    with pytest.raises(click.exceptions.Exit):
        run(work(well=False))
    assert capsys.readouterr().err == "error: dns: cannot resolve a.example\n"
