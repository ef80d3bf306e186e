"""Response paths against a document: names are found as in nested scopes, and what means two things is refused."""

from __future__ import annotations

import pytest
from graphql import build_schema

from exporter.document.document import FieldType, parse_document
from exporter.model.response_path import parse_path
from exporter.plan.plan import KEY_HOPS, Column, Hop
from exporter.plan.response_paths import PathProblem, Scopes, column
from tests.support.plans import read_documents

SCHEMA = build_schema("""
    type Query { top: Int  org: Org  total: Int }
    type Org { id: ID  name: String  apis: [API] }
    type API { id: ID  tags: [Tag]  usage: Usage  flags: [Int] }
    type Usage { count: Int  id: ID }
    type Tag { key: String }
""")
TEXT = "{ top total org { id name apis { id tags { key } flags usage { count id } } } }"


def scopes(rows: str, text: str = TEXT) -> Scopes:
    top = Scopes((parse_document(text, SCHEMA).selection,))
    return top if rows == "" else top.below(parse_path(rows))


def problem(path: str, rows: str, text: str = TEXT) -> str:
    with pytest.raises(PathProblem) as refused:
        column(parse_path(path), scopes(rows, text))
    return f"{refused.value.wrong}; {refused.value.remedy}"


def test_a_walk_has_a_hop_and_a_selection_for_each_step() -> None:
    """It goes on from the innermost, and shows where it is."""
    apis = scopes("org.apis")
    assert apis.hops == (Hop("org"), Hop("apis"))
    assert len(apis.selections) == 3
    assert apis.innermost.children.keys() == {"id", "tags", "flags", "usage"}
    usage = apis.below(parse_path("usage.count"))
    assert [hop.name for hop in usage.hops] == ["org", "apis", "usage", "count"]
    assert usage.text == "org.apis.usage.count"
    assert scopes("").text == "data"
    assert apis.below(parse_path(".")) == apis


def test_an_index_belongs_to_the_hop_before_it() -> None:
    """Two of them pick from a list in a list."""
    assert scopes("org.apis[0][1].usage").hops == (Hop("org"), Hop("apis", (0, 1)), Hop("usage"))


@pytest.mark.parametrize(
    ("path", "found", "type_"),
    [
        ("tags[0].key", Column(2, (Hop("tags", (0,)), Hop("key"))), "String"),
        (".id", Column(2, (Hop("id"),)), "ID"),
        ("usage.count", Column(2, (Hop("usage"), Hop("count"))), "Int"),
        ("name", Column(1, (Hop("name"),)), "String"),
        ("top", Column(0, (Hop("top"),)), "Int"),
        ("org.name", Column(1, (Hop("name"),)), "String"),
        ("org.apis.id", Column(2, (Hop("id"),)), "ID"),
        ("flags[1]", Column(2, (Hop("flags", (1,)),)), "Int"),
        ("org.apis[0].id", Column(1, (Hop("apis", (0,)), Hop("id"))), "ID"),
    ],
)
def test_a_name_is_looked_for_from_the_inside_to_the_outside(path: str, found: Column, type_: str) -> None:
    """A path from the top goes along the walk as far as both are the same; an index leaves the walk."""
    at, kind = column(parse_path(path), scopes("org.apis"))
    assert at == found
    assert isinstance(kind, FieldType)
    assert kind.name == type_


def test_the_record_itself_is_a_column_where_it_is_a_scalar() -> None:
    """A list of numbers has rows of one value each."""
    assert column(parse_path("."), scopes("org.apis.flags"))[0] == Column(3, ())
    assert problem(".", "org.apis") == "org.apis is an object; name one of its fields: flags, id, tags, usage"
    assert problem(".", "") == "data is an object; name one of its fields: org, top, total"


def test_a_name_that_is_selected_twice_on_the_way_is_refused_with_what_to_write() -> None:
    """For the innermost, for one between, and for an outer one that has a path of its own."""
    assert (
        problem("id", "org.apis")
        == "id is selected at two levels; write .id for the innermost, or org.id for the other"
    )
    assert problem("id", "org.apis.flags") == problem("id", "org.apis")  # a flag has no fields
    assert problem("id", "org.apis.tags") == (
        "id is selected at two levels; write org.apis.id for the inner one, or org.id for the other"
    )
    text = "{ id: total org { id name } }"
    assert problem("id", "org", text) == (
        "id is selected at two levels; write .id for the innermost, or give one of them an alias"
    )
    three = "{ org { id apis { id usage { id } } } }"
    assert problem("id", "org.apis.usage", three) == (
        "id is selected at two levels; write .id for the innermost, or org.apis.id for the other"
    )


@pytest.mark.parametrize(
    ("path", "rows", "said"),
    [
        ("nmae", "org.apis", "nmae is not selected by the document; did you mean name?"),
        ("zzz", "org", "zzz is not selected by the document; selected there: apis, id, name, org, top, total"),
        (".name", "org.apis", ".name is not selected by the document; selected there: flags, id, tags, usage"),
        ("usage.x", "org.apis", "usage.x is not selected by the document; selected there: count, id"),
        ("top.x", "org", "top.x is not selected by the document; nothing is selected below it; end the path earlier"),
        ("usage", "org.apis", "usage ends in an object; go on to one of its fields: count, id"),
        ("org", "org.apis", "org ends in an object; go on to one of its fields: apis, id, name"),
        ("tags.key", "org.apis",
         "tags.key goes through the list tags, which is not on the value's way;"
         " pick an element (tags[0]), or take the value from inside that list"),
        ("flags", "org.apis",
         "flags goes through the list flags, which is not on the value's way;"
         " pick an element (flags[0]), or take the value from inside that list"),
    ],
)  # fmt: skip
def test_what_the_document_does_not_have_is_refused_with_what_it_has(path: str, rows: str, said: str) -> None:
    """The remedy is a name that can be written."""
    assert problem(path, rows) == said


@pytest.mark.parametrize("path", ["[0]", "[0].id"])
def test_a_path_does_not_begin_with_an_index(path: str) -> None:
    """There is no list above the row."""
    with pytest.raises(PathProblem, match="begins with an index") as refused:
        scopes("org").below(parse_path(path))
    assert refused.value.remedy == "begin it with a name"


def test_without_a_schema_no_list_is_known() -> None:
    """Whether a path goes through one shows when the answer comes."""
    without = Scopes((parse_document("{ org { tags { key } } }", None).selection,)).below(parse_path("org"))
    assert column(parse_path("tags.key"), without) == (Column(1, (Hop("tags"), Hop("key"))), None)


def test_a_key_that_may_be_left_out_stays_optional_on_the_way() -> None:
    """With an index, too."""
    text = "query ($x: Boolean!) { org { apis @include(if: $x) { id } } }"
    top = Scopes((parse_document(text, SCHEMA).selection,))
    assert top.below(parse_path("org.apis[0]")).hops == (Hop("org"), Hop("apis", (0,), optional=True))


def test_labels_and_metrics_stand_where_they_are_written() -> None:
    """Those of the query come first; what is no metric does not move the places of the others."""
    _, parsed, _ = read_documents("""
    - name: q
      document: "{ n m }"
      labels: {a: n}
      metrics:
        - n
        - {name: n, help: N., value: n, labels: {b: m}}
    """)
    assert [place for place, _ in parsed["q"].metrics()] == [("queries", 0, "metrics", 1)]
    assert [place for place, _ in parsed["q"].label_specs()] == [
        ("queries", 0, "labels", "a"),
        ("queries", 0, "metrics", 1, "labels", "b"),
    ]


OPENED = build_schema("""
    scalar JSON
    type Query { log: JSON  org: Org }
    type Org { id: ID  grid: [[Int]]  flags: [Int]  apis: [API]  extra: JSON }
    type API { id: ID  name: String }
""")
OPENED_TEXT = "{ log org { id grid flags apis { id name } extra } }"


def opened(rows: str) -> Scopes:
    return Scopes((parse_document(OPENED_TEXT, OPENED).selection,)).below(parse_path(rows))


@pytest.mark.parametrize(
    ("path", "rows", "depth"),
    [
        (".@key", "org.flags", 2),
        ("org.flags.@key", "org.flags", 2),
        ("org.flags.*.@key", "org.flags.*", 3),
        ("org.grid.*.@key", "org.grid.*.*", 3),
        ("org.grid.*.*.@key", "org.grid.*.*", 4),
        ("org.grid.*.@key", "org.grid.*", 3),
        ("@key", "org.apis", 2),
        (".@key", "log.a.*.b", 3),
        ("log.a.*.@key", "log.a.*.b", 3),
        ("extra.a.*.@key", "org.extra.a.*", 4),
        ('extra["a"].*.@key', "org.extra.a.*", 4),
    ],
)
def test_a_key_is_that_of_what_was_opened(path: str, rows: str, depth: int) -> None:
    """At the depth that the path names, or without a name at the innermost that was opened."""
    assert column(parse_path(path), opened(rows)) == (Column(depth, KEY_HOPS), None)


@pytest.mark.parametrize(
    ("path", "rows", "remedy"),
    [
        ("org.flags.@key", "org.flags.*", "write org.flags.*.@key"),
        ("org.grid.@key", "org.grid", "open one with .*, as in regions.*"),
        ("org.grid.@key", "org.grid.*.*", "write org.grid.*.@key or org.grid.*.*.@key"),
        (".@key", "org", "open one with .*, as in regions.*"),
        (".@key", "log.a", "open one with .*, as in regions.*"),
        ("org.apis.*.@key", "org.apis", "write org.apis.@key"),
        ("apis.name.@key", "org.apis", "write org.apis.@key"),
    ],
)
def test_what_was_not_opened_has_no_key(path: str, rows: str, remedy: str) -> None:
    """The remedy names what has one."""
    with pytest.raises(PathProblem, match="no list or map is opened there on the value's way") as refused:
        column(parse_path(path), opened(rows))
    assert refused.value.remedy == remedy


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("org.grid.*.*.*", "org.grid.*.*.* opens Int, which is no list and no map"),
        ("org.*", "org.* opens Org, which is no list and no map"),
        ("org.id.*", "org.id.* opens ID, which is no list and no map"),
        ("org.apis.*.*", "org.apis.*.* opens API, which is no list and no map"),
        ("org.apis[0].*", r"org.apis\[0\].* opens API, which is no list and no map"),
    ],
)
def test_only_lists_and_maps_are_opened(path: str, wrong: str) -> None:
    """As far as a schema knows what is one, level by level."""
    with pytest.raises(PathProblem, match=wrong.replace("*", r"\*")):
        opened(path)


@pytest.mark.parametrize(
    ("path", "rows", "found"),
    [
        ("name", "org.apis.*", Column(3, (Hop("name"),))),
        (".name", "org.apis.*", Column(3, (Hop("name"),))),
        (".x", "log.a.*", Column(3, (Hop("x", (), True, inside=True),))),
        (".id", "org.flags", Column(1, (Hop("id"),))),
        ("id", "org.extra.a.*", Column(1, (Hop("id"),))),
    ],
)
def test_names_are_those_of_objects(path: str, rows: str, found: Column) -> None:
    """Not of the list that is opened to them, nor of a scalar; and of JSON where one asks for the innermost."""
    assert column(parse_path(path), opened(rows))[0] == found


def test_without_a_schema_another_key_of_the_same_json_is_found() -> None:
    """What a key makes JSON for the value is JSON for a label beside it as well, one level up or down the way."""
    top = Scopes((parse_document("{ shops { name extra } }", None).selection,))
    at = top.below(parse_path('shops.extra["a"].b'))
    json = Hop("x", (), True, inside=True)
    assert column(parse_path('shops.extra["x"]'), at)[0] == Column(1, (Hop("extra"), json))
    assert column(parse_path('shops.extra["a"].x'), at)[0] == Column(3, (json,))
    assert column(parse_path('extra["a"]["x"]'), at)[0] == Column(3, (json,))
