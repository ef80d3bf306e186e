"""Sections of a configuration in files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.further_files import with_further_files
from exporter.config.load import load
from exporter.config.named_files import files_of, pattern_in, watched
from exporter.config.yaml_reader import parse_nodes
from exporter.daemon.check import check
from exporter.model.errors import ConfigError


def test_entries_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    """Each file once, behind what the first one says; each entry is known by its own file and line."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(f"\nlookups:\n  - name: {name}\n")
    (tmp_path / "folder.yaml").mkdir()
    first = parse_nodes("query_files: ['*.yaml', a.yaml]\nlookups: [{name: own}]\n", f"{tmp_path}/c")
    nodes, patterns = with_further_files(first, {})
    assert isinstance(nodes.value, dict)
    assert nodes.value["lookups"] == [{"name": "own"}, {"name": "a"}, {"name": "b"}]
    assert patterns == (tmp_path / "*.yaml", tmp_path / "a.yaml")
    assert (nodes.file_of(("lookups", 2)), nodes.line(("lookups", 2, "name"))) == (str(tmp_path / "b.yaml"), 3)
    assert files_of(tmp_path / "*.yaml") == (tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert set(watched(patterns)) == {tmp_path, tmp_path / "a.yaml", tmp_path / "b.yaml"}


def test_each_folder_where_a_file_may_come_is_followed(tmp_path: Path) -> None:
    """Also where the pattern names several folders, where none is there yet, and where its name looks like a pattern;
    a folder above that, where other things happen, is not."""
    (tmp_path / "t" / "a" / "deep").mkdir(parents=True)
    (tmp_path / "t" / "file").write_text("")
    assert set(watched((tmp_path / "t" / "*" / "x.yaml",))) == {tmp_path / "t", tmp_path / "t" / "a"}
    assert set(watched((tmp_path / "t" / "*" / "d*" / "x.yaml",))) == {
        *(tmp_path / "t", tmp_path / "t" / "a", tmp_path / "t" / "a" / "deep")
    }
    (tmp_path / "t" / "a" / "x.yaml").write_text("")
    assert tmp_path / "t" / "a" / "x.yaml" in watched((tmp_path / "t" / "*" / "x.yaml",))
    assert list(watched((tmp_path / "nowhere" / "*.yaml",))) == [tmp_path / "nowhere"]
    assert list(watched((pattern_in(tmp_path / "c[1]", "*.yaml"),))) == [tmp_path / "c[1]"]
    assert list(watched((pattern_in(tmp_path / "c[1]", "a.yaml"),))) == [tmp_path / "c[1]" / "a.yaml"]


def test_a_configuration_may_stand_in_any_folder(tmp_path: Path) -> None:
    """Characters of patterns in the folder's own name are no pattern."""
    folder = tmp_path / "c[1]*"
    (folder / "more").mkdir(parents=True)
    for name in ("a", "b"):
        (folder / "more" / f"{name}.yaml").write_text(f"lookups: [{{name: {name}}}]\n")
    nodes, _ = with_further_files(parse_nodes("query_files: ['more/*.yaml', more/b.yaml]\n", f"{folder}/c"), {})
    assert isinstance(nodes.value, dict)
    assert nodes.value["lookups"] == [{"name": "a"}, {"name": "b"}]
    found, _ = with_further_files(parse_nodes("query_files: [more/none.yaml]\n", f"{folder}/c"), {})
    assert [problem.wrong for _, problem in found.faults] == ["there is no such file"]
    (folder / "targets.json").write_text('[{"targets": ["https://a.example/"]}]')
    source = "{name: a, file_sd_configs: [{files: [targets.json]}]}"
    query = '{name: q, document: "{ n }", metrics: [{name: q_n, help: N., value: n}]}'
    (folder / "c.yaml").write_text(f"sources: [{source}]\nqueries: [{query}]\n")
    assert [one.url for one in load(folder / "c.yaml", {}).config.sources] == ["https://a.example/"]


def test_files_come_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    """The files of a pattern by their names, and those of the next behind them, each where it is named first."""
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.yaml").write_text(f"lookups: [{{name: {name}}}]\n")
    for names, expected in (("c.yaml, a.yaml", "ca"), ("'[bc].yaml', a.yaml", "bca"), ("a.yaml, '*.yaml'", "abc")):
        nodes, _ = with_further_files(parse_nodes(f"query_files: [{names}, a.yaml]\n", f"{tmp_path}/c"), {})
        assert isinstance(nodes.value, dict)
        assert nodes.value["lookups"] == [{"name": name} for name in expected]


def test_a_pattern_may_fit_nothing_and_a_name_may_not(tmp_path: Path) -> None:
    """As with Prometheus, files may come later; a name that fits nothing is more likely a mistake."""
    first = parse_nodes("query_files: ['*.yaml']\n", f"{tmp_path}/c")
    assert with_further_files(first, {}) == (first, (tmp_path / "*.yaml",))
    found, _ = with_further_files(parse_nodes("source_files: [a.yaml]\n", f"{tmp_path}/c"), {})
    ((place, problem),) = found.faults
    assert place == ("source_files", 0)
    assert problem.wrong == "there is no such file"
    assert found.incomplete == {"sources", "queries", "lookups"}


def test_a_pattern_that_fits_nothing_may_stand_beside_an_include(tmp_path: Path) -> None:
    """There are queries then, and the files may come later."""
    file = tmp_path / "c.yaml"
    source = 'sources: [{name: a, url: "https://a.example/", schema: choreo, values: {org_id: o}}]'
    file.write_text(f"{source}\ninclude: [choreo/names]\nquery_files: [more/*.yaml]\n")
    found = load(file, {})
    assert not found.problems
    assert [problem.key for problem in found.warnings] == ["query_files[0]"]


def test_a_further_file_may_be_empty_and_a_wrong_one_hides_nothing(tmp_path: Path) -> None:
    """A file that is not written yet is no fault, nor is an `x-` key. Where one file has a wrong key, all queries are
    known, and a name that none of them has is told too."""
    source = 'sources: [{name: a, url: "https://a.example/"}]'
    (tmp_path / "c.yaml").write_text(f"{source}\nquery_files: ['more/*.yaml', more/b.yaml]\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "empty.yaml").write_text("")
    (tmp_path / "more" / "a.yaml").write_text('x-a: 1\nqueries: [{name: a, document: "{ n }", rows: n}]\n')
    query = '{name: b, for_each: {one: nothing}, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'
    (tmp_path / "more" / "b.yaml").write_text(f"queries: [{query}]\npolls: 3\n")
    with pytest.raises(ConfigError) as refused:
        check(tmp_path / "c.yaml", {})
    assert [str(problem).removeprefix(f"{tmp_path}/more/") for problem in refused.value.problems] == [
        "b.yaml:1: queries[1].for_each.one: there is no query nothing; write one of: a, b",
        "b.yaml:2: polls: is not allowed in an included file; "
        "write one or more of the sections sources, queries, lookups",
    ]


def test_a_name_may_have_variables(tmp_path: Path) -> None:
    """As any text; of a name whose variable is unset, that alone is said."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "q.yaml").write_text('queries: [{name: q, document: "{ n }", metrics: []}]\n')
    file = tmp_path / "c.yaml"
    file.write_text('sources: [{name: s, url: "https://a.example"}]\nquery_files: ["${DIR}/*.yaml", "${DIR}/q.yaml"]\n')
    found = load(file, {"DIR": "more"})
    assert (found.unmet, found.warnings) == ((), ())
    assert found.names("queries") == ("q",)
    assert found.file_patterns == (tmp_path / "more" / "*.yaml", tmp_path / "more" / "q.yaml")
    found = load(file, {})
    assert found.problems == found.warnings == ()
    assert [problem.wrong for problem in found.unmet] == ["the environment variable DIR is unset"] * 2
