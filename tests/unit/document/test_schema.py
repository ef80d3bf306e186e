"""Schemas: the shipped one, SDL, and the answer to an introspection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from graphql import build_schema, introspection_from_schema

from exporter.config.source import Source
from exporter.document.document import parse_document
from exporter.document.schema import load_schema, no_schema, schema_patterns

SCHEMA = build_schema("type Query { states: [Int] }")


def test_a_schema_may_stand_in_any_folder(tmp_path: Path) -> None:
    """Characters of patterns in the configuration's folder are no pattern; those of the name are."""
    folder = tmp_path / "c[1]"
    folder.mkdir()
    (folder / "api.graphql").write_text("type Query { states: [Int] }")
    for name in ("api.graphql", "*.graphql", ["api.graphql"], str(Path("..") / "c[[]1]" / "a*")):
        source = Source.model_validate(
            {"name": "s", "url": "https://a.example", "schema": name}, context={"folder": folder}
        )
        assert load_schema(source.schema_).query_type is not None
    none = Source.model_validate(
        {"name": "s", "url": "https://a.example", "schema": "none.graphql"}, context={"folder": folder}
    )
    with pytest.raises(FileNotFoundError):
        load_schema(none.schema_)


def test_a_schema_is_read_from_sdl_and_from_introspection(tmp_path: Path) -> None:
    """`schema:` takes what one has: SDL, or the answer to an introspection query, with or without `data`."""
    answer = introspection_from_schema(SCHEMA)
    for name, text in (
        ("a.graphql", "type Query { states: Int }"),
        ("b.json", json.dumps(answer)),
        ("c.json", json.dumps({"data": answer})),
    ):
        file = tmp_path / name
        file.write_text(text)
        schema = load_schema(str(file))
        assert schema.query_type is not None
        assert "states" in schema.query_type.fields


@pytest.mark.parametrize(
    "text", ["type Query {", "{}", '{"data": 5}', '{"data": null}', "{nonsense", "hello", '{"__schema": 1}']
)
def test_what_is_no_schema_is_refused_in_words(tmp_path: Path, text: str) -> None:
    """A wrong file is told as such, not as a traceback."""
    file = tmp_path / "s"
    file.write_text(text)
    with pytest.raises(ValueError, match="neither a schema in SDL nor an introspection answer: "):
        load_schema(str(file))


def test_a_schema_with_faults_of_its_own_is_taken(tmp_path: Path) -> None:
    """Published schemas are not always valid by the letter; documents can be checked against them all the same."""
    file = tmp_path / "s"
    file.write_text("type Query { a: Int  b: String  b: String  c: Empty }  type Empty")
    assert parse_document("{ a b }", load_schema(str(file))).selection.children.keys() == {"a", "b"}


def test_a_schema_without_queries_is_refused(tmp_path: Path) -> None:
    """Where nothing can be asked, nothing can be checked."""
    file = tmp_path / "s"
    file.write_text("type Mutation { a: Int }")
    with pytest.raises(ValueError, match="it has no type Query"):
        load_schema(str(file))


def test_a_schema_may_be_in_several_files(tmp_path: Path) -> None:
    """By name and by pattern, each file once; types and their extensions find each other."""
    (tmp_path / "query.graphql").write_text("type Query { shop: Shop }")
    (tmp_path / "more.graphql").write_text("extend type Query { open: Int }")
    (tmp_path / "shop.graphql").write_text("type Shop { id: ID! }")
    schema = load_schema((f"{tmp_path}/shop.graphql", f"{tmp_path}/*.graphql"))
    assert schema.query_type is not None
    assert schema.query_type.fields.keys() == {"shop", "open"}
    assert parse_document("{ open shop { id } }", schema).selection.children.keys() == {"open", "shop"}
    assert len(schema_patterns((f"{tmp_path}/a", f"{tmp_path}/*"))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type Shop {", r"b, line 1: neither a schema in SDL .*Expected Name"),
        ("type Shop { id: ID }\n\ntype Query { a: Int }",
         r"b, line 3: .*: type Query is defined in \S+/a, line 1, too; write extend in one"),
        ("type Shop {\n id: Idd }", r"b, line 2: .*: Unknown type: 'Idd'"),
        ('{"data": 1}', r"b, line 1: .*Syntax Error"),
    ],
)  # fmt: skip
def test_a_fault_in_one_of_several_files_has_its_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    """Nothing is left away in silence."""
    (tmp_path / "a").write_text("type Query { shop: Shop }")
    (tmp_path / "b").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_schema((f"{tmp_path}/a", f"{tmp_path}/b"))


def test_a_pattern_that_fits_no_schema_is_refused(tmp_path: Path) -> None:
    """Documents would be checked against nothing."""
    with pytest.raises(ValueError, match="no file has a name like that"):
        load_schema((f"{tmp_path}/*.graphql",))


def test_the_shipped_schema_is_valid() -> None:
    """`schema: choreo` knows the operations of Choreo Insights."""
    query = load_schema("choreo").query_type
    assert query is not None
    assert "getTotalTraffic" in query.fields


def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    """After a reload documents are checked against what the file says then; the same text is read once."""
    file = tmp_path / "s"
    file.write_text("type Query { a: Int }")
    first = load_schema(str(file))
    assert load_schema(str(file)) is first
    file.write_text("type Query { b: Int }")
    query = load_schema(str(file)).query_type
    assert query is not None
    assert query.fields.keys() == {"b"}


def test_a_schema_that_cannot_be_read_is_an_error_of_the_system(tmp_path: Path) -> None:
    """A missing file is not one with a bad text."""
    with pytest.raises(FileNotFoundError):
        load_schema(str(tmp_path / "none"))


def test_rules_that_need_no_schema_have_one_without_meaning() -> None:
    """It is made once."""
    assert no_schema() is no_schema()
    assert no_schema().query_type is not None
