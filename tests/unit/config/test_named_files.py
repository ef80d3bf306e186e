"""What `--config.file` names: files and folders that are one configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.config.load import Loaded, load
from exporter.config.named_files import files_of, named_files
from exporter.daemon.check import check
from exporter.model.errors import ConfigError
from tests.support.configurations import ROOT

SOURCE = 'sources: [{name: NAME, url: "https://api.example/graphql", labels: {site: NAME}}]\n'
QUERY = 'queries: [{name: NAME, document: "{ n }", metrics: [{name: NAME_n, help: N., value: n}]}]\n'


def write(folder: Path, **texts: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.replace("NAME", name))


def names(found: Loaded) -> tuple[list[str], list[str]]:
    return [one.name for one in found.config.sources], [one.name for one in found.config.queries]


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """A folder that this process cannot look into meanwhile, also where it is root's."""
    user = os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


def faults(*named: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        check(named, {})
    return [str(problem) for problem in refused.value.problems]


def test_files_and_folders_add_up(tmp_path: Path) -> None:
    """Sources, queries and lookups in the order in which they are named, of a folder by the names of its files."""
    write(tmp_path / "conf.d", b=QUERY, a=QUERY + "lookups: [{name: l, table: {}}]\n")
    (tmp_path / "conf.d" / "c.yml").write_text("max_series: 7\n")
    write(tmp_path, one=SOURCE + QUERY, two=SOURCE + "created_series: false\ninclude: [choreo/names]\n")
    found = load((tmp_path / "one.yaml", tmp_path / "conf.d", tmp_path / "two.yaml"), {})
    assert not found.problems
    sources, queries = names(found)
    assert sources == ["one", "two"]
    assert queries[:3] == ["one", "a", "b"]
    assert "environments" in queries
    assert (found.config.max_series, found.config.created_series) == (7, False)
    assert found.config.lookups[0].name == "l"
    assert found.places.nodes.file_of(("max_series",)) == str(tmp_path / "conf.d" / "c.yml")


def test_what_is_no_list_stands_in_one_file(tmp_path: Path) -> None:
    """Nobody would see which of two counts, so both files are named."""
    write(tmp_path, a=SOURCE + QUERY + "max_series: 5\n", b="max_series: 6\nqueries: {}\n")
    assert faults(tmp_path / "a.yaml", tmp_path / "b.yaml") == [
        f"{tmp_path}/b.yaml:1: max_series: stands in {tmp_path}/a.yaml, line 3, too; keep it in one of the files",
        f"{tmp_path}/b.yaml:2: queries: stands in {tmp_path}/a.yaml, line 2, too; keep it in one of the files",
    ]


def test_names_are_unique_over_all_files(tmp_path: Path) -> None:
    """A second entry never replaces the first in silence."""
    write(tmp_path, a=SOURCE + QUERY, b=QUERY.replace("NAME", "a"))
    assert faults(tmp_path / "a.yaml", tmp_path / "b.yaml") == [
        f"{tmp_path}/b.yaml:1: queries[1].name: a is the name of another entry of queries; give each its own name"
    ]


def test_a_file_with_a_fault_hides_none_of_the_others(tmp_path: Path) -> None:
    """Each is read by itself, and nothing that may be in the broken one is said to be missing."""
    fed = QUERY.replace("name: NAME,", "name: NAME, for_each: {x: elsewhere},").replace("value: n", "value: m")
    write(tmp_path, a="sources: [", b=fed, c="- a list\n", d="# nothing\n")
    assert [line.removeprefix(f"{tmp_path}/").split(";")[0] for line in faults(tmp_path)] == [
        "a.yaml:1: not valid YAML: while parsing a flow node, did not find expected node content",
        "b.yaml:1: queries[0].metrics[0].value: m is not selected by the document",
        "c.yaml:1: is empty or not a mapping",
    ]


def test_relative_files_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    """In each folder."""
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "q", x=QUERY)
    (tmp_path / "more" / "schema.graphql").write_text("type Query { n: Int }")
    source = SOURCE.replace("name: NAME", "name: NAME, schema: schema.graphql")
    write(tmp_path / "more", a=source + "query_files: [q/*.yaml]\n")
    write(tmp_path, b=QUERY)
    found = load((tmp_path / "b.yaml", tmp_path / "more"), {})
    assert not found.problems
    assert names(found) == (["a"], ["b", "x"])
    assert found.config.sources[0].schema_ == str(tmp_path / "more" / "schema.graphql")
    assert [pattern.name for pattern in found.file_patterns] == ["*.yaml", "*.yml", "*.yaml"]


def test_a_volume_of_kubernetes_is_read_once(tmp_path: Path) -> None:
    """Its files are links into a hidden folder; hidden files are no part of a configuration."""
    write(tmp_path / "..2026", a=SOURCE + QUERY)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / ".hidden.yaml").write_text("no: [")
    assert named_files(tmp_path).files == (tmp_path / "a.yaml",)
    assert named_files((tmp_path, tmp_path / "a.yaml")).files == (tmp_path / "a.yaml",)
    assert names(load(tmp_path, {})) == (["a"], ["a"])


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    """As is one that leads to itself."""
    assert faults(tmp_path) == [
        f"{tmp_path}: the folder has no file whose name ends in .yaml or .yml; write one there, or name a file"
    ]
    (tmp_path / "loop").symlink_to("loop")
    assert faults(tmp_path / "loop")[0].startswith(
        f"{tmp_path}/loop: cannot be read: Too many levels of symbolic links"
    )


def test_what_cannot_be_reached_is_refused_in_words(tmp_path: Path) -> None:
    """A folder without rights, a name that is too long, and one that no file can have."""
    folder = tmp_path / "closed"
    write(folder, a=SOURCE)
    with without_rights(folder):
        assert faults(folder / "a.yaml")[0].startswith(f"{folder}/a.yaml: cannot be read: Permission denied; ")
        assert files_of(folder / "*.yaml") == files_of(folder / "a.yaml") == ()
    assert "cannot be read: File name too long" in faults(tmp_path / ("x" * 300))[0]
    assert "cannot be read: its name has a character that no name has" in faults(tmp_path / "a\0b")[0]
    assert files_of(tmp_path / "a\0b" / "*.yaml") == ()


def test_a_file_of_a_source_that_can_be_none_is_refused_in_words(tmp_path: Path) -> None:
    """A secret and an authority with a name that no file can have."""
    file = tmp_path / "a.yaml"
    for key, wrong in {
        'authorization: {credentials_file: "\\0"}': "its name has a character that no name has",
        'tls_config: {ca_file: "\\0"}': "Invalid argument",
    }.items():
        file.write_text(SOURCE.replace("labels:", f"{key}, labels:").replace("NAME", "a") + QUERY)
        (problem,) = check(file, {}).unmet
        assert problem.line == 1, key
        assert problem.wrong.endswith(wrong), key


def test_the_example_of_the_reference_is_a_configuration(tmp_path: Path) -> None:
    """Files, documents, schemas, anchors and the types of variables, as docs/configuration.md shows them together."""
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for name, content in re.findall(r"^```\w+\n# (conf\.d/\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = check(tmp_path / "conf.d", {"SHOP_TOKEN": "test-value"})
    assert not found.unmet
    assert not found.plan.warnings
    (query,) = found.plan.queries
    assert (query.interval_seconds, query.variables) == (30, {"first": 50})
    assert [family.name for family in found.plan.families] == ["shop_orders"]
    assert {file.name for file in found.plan.files} == {"10-sources.yaml", "20-orders.yaml", "orders.graphql"}
