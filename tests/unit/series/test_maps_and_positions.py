"""Maps whose keys are data, positions in lists, and JSON in texts become series, as the paths say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.exposition.lines import pieces
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Response, Result
from exporter.model.samples import Json, LabelValues, Number
from exporter.plan.operation import Moment
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from tests.support.plans import planned, planned_query

AROUND: Final = Surroundings({"source_label.organization": ""})


def result(query: str, *pages: Mapping[str, Json]) -> Result:
    """What comes of an answer to the query, in one page or several, with the labels that are in the answer alone."""
    return extract(planned_query(query), [Response(dict(page)) for page in pages], AROUND, Moment(None, None))


def series(query: str, *pages: Mapping[str, Json]) -> dict[LabelValues, Number]:
    """The series of the one family, without the label of the source."""
    (samples,) = result(query, *pages).samples
    place = samples.family.label_names.index("organization")
    return {(*key[:place], *key[place + 1 :]): value for key, value in samples.series.items()}


def failure(query: str, *pages: Mapping[str, Json]) -> ResultFailure:
    with pytest.raises(ResultFailure) as failed:
        result(query, *pages)
    return failed.value


REGIONS = """
- name: q
  document: "{ stats }"
  rows: 'stats["regions"].*'
  MORE
  metrics: [{name: n, help: N., value: count, labels: {a_region: .@key}}]
"""


def regions(more: str = "") -> str:
    return REGIONS.replace("MORE", more or "labels: {}")


def stats(regions: Json) -> dict[str, Json]:
    return {"stats": {"regions": regions}}


def test_each_value_of_a_map_is_a_row_and_its_key_a_label() -> None:
    """Keys are data, whatever text they are; a null is no row."""
    keys = ["eu", "", "1", "a b", 'say "hi"\n\t\x00\x7f', "ü\u2028", "x" * 100_000]
    found = series(regions(), stats({**{key: {"count": at} for at, key in enumerate(keys)}, "null": None}))
    assert found == {(key,): at for at, key in enumerate(keys)}


def test_hostile_keys_are_written_as_one_line_each() -> None:
    """Nothing in a key ends the line or the label."""
    keys = ['"} 1\n# EOF\nn{a_region="', "\\", "\r\n", "\ud800"]
    (samples,) = result(regions(), stats({key: {"count": 1} for key in keys})).samples
    text = b"".join(pieces(samples)).decode()
    assert len(text.splitlines()) - text.count("\r") == len(keys)


@pytest.mark.parametrize(
    ("answer", "nulls"),
    [
        ({"stats": None}, {"stats": 1}),
        (stats(None), {"stats.regions": 1}),
        ({"stats": {}}, {"stats.regions": 1}),
        ({"stats": {"regions": {}}}, {}),
        ({"stats": {"regions": []}}, {}),
    ],
)
def test_a_null_map_is_as_a_null_list(answer: dict[str, Json], nulls: dict[str, int]) -> None:
    """It is counted, and fails the poll where that is declared; an empty one is no null."""
    found = result(regions(), answer)
    assert (found.series_count, found.nulls) == (0, nulls)
    strict = regions("on_null: fail")
    if nulls:
        assert failure(strict, answer).reason is Reason.SCHEMA
    else:
        assert result(strict, answer).series_count == 0


@pytest.mark.parametrize("other", ["none", 5, True])
def test_something_else_than_a_map_is_a_failure(other: Json) -> None:
    """It is not taken for an empty one."""
    assert str(failure(regions(), stats(other))) == "the answer has no stats.regions.* in every row"


def test_one_odd_map_costs_its_row() -> None:
    """The others are published, and it is counted by reason."""
    query = """
    - name: q
      document: "{ shops { name extra } }"
      rows: shops
      on_bad_row: skip
      metrics: [{name: n, help: N., value: 'extra["parts"].*', labels: {a_shop: name, a_part: .@key}}]
    """
    shops: list[Json] = [
        {"name": "a", "extra": {"parts": {"x": 1, "y": 2}}},
        {"name": "b", "extra": {"parts": "none"}},
        {"name": "c", "extra": {"parts": {"x": {"y": 1}}}},
        {"name": "d", "extra": None},
    ]
    found = result(query, {"shops": shops})
    assert {key[:2]: value for samples in found.samples for key, value in samples.series.items()} == {
        ("x", "a"): 1, ("y", "a"): 2
    }  # fmt: skip
    assert found.skipped_rows == {"wrong_form": 2}


def test_a_map_of_too_many_keys_is_refused() -> None:
    """The limit of series holds for them, too."""
    many: Any = {str(at): {"count": at} for at in range(60)}
    assert failure(regions("max_series: 50"), stats(many)).reason is Reason.CARDINALITY
    assert result(regions("max_series: 60"), stats(many)).series_count == 60


def test_the_values_of_a_map_are_the_rows_of_pages() -> None:
    """Of all pages together only `max_rows` are published, each with its own key."""
    query = regions().replace("{ stats }", "query ($at: Int) { stats(at: $at) }").replace(
        "labels: {}", "pages: {size: 2, offset: at, max_rows: 3}"
    )  # fmt: skip
    pages: list[Any] = [stats({f"{page}{at}": {"count": at} for at in range(2)}) for page in "ab"]
    assert series(query, *pages) == {("a0",): 0, ("a1",): 1, ("b0",): 0}


def test_maps_in_maps_have_a_key_each() -> None:
    """The inner one, the outer one, and a field around both; rows that `where` leaves out take their keys with them."""
    query = """
    - name: q
      document: "{ shops { name extra } }"
      rows: shops
      metrics:
        - name: n
          help: N.
          value: 'extra["regions"].*.tiers.*.n'
          labels: {a_shop: name, b_region: 'extra["regions"].*.@key', c_tier: .@key, d_at: shops.@key}
          where: {'extra["regions"].*.@key': {not: eu}}
    """
    shops: list[Json] = [
        {"name": "a", "extra": {"regions": {"eu": {"tiers": {"1": {"n": 1}}}, "us": {"tiers": {"1": {"n": 2}}}}}},
        {"name": "b", "extra": None},
        {"name": "c", "extra": {"regions": {"us": {"tiers": {"1": {"n": 3}, "2": {"n": None}, "3": {"n": 5}}}}}},
    ]
    assert series(query, {"shops": shops}) == {
        ("a", "us", "1", "0"): 2, ("c", "us", "1", "2"): 3, ("c", "us", "3", "2"): 5
    }  # fmt: skip


def test_positions_are_those_of_the_answer() -> None:
    """Nulls count, so that an item keeps its position when one before it is null; an inner list has positions too."""
    query = """
    - name: q
      document: "{ shops { name grid } }"
      rows: shops
      metrics: [{name: n, help: N., value: grid.*.*, labels: {a: shops.@key, b: grid.*.@key, c: .@key}}]
    """
    shops: list[Json] = [None, {"name": "x", "grid": [[1, None, 2], None, [3]]}, {"name": "y", "grid": None}]
    assert series(query, {"shops": shops}) == {("1", "0", "0"): 1, ("1", "0", "2"): 2, ("1", "2", "0"): 3}


def test_a_position_or_a_key_can_be_the_value() -> None:
    """As a rank, and as a number that stands in the keys."""
    rank = """
    - name: q
      document: "{ shops { name } }"
      rows: shops
      metrics: [{name: n, help: N., value: VALUE, labels: {a_shop: name}}]
    """
    data: dict[str, Json] = {"shops": [{"name": "x"}, None, {"name": "y"}]}
    assert series(rank.replace("VALUE", ".@key"), data) == {("x",): 0, ("y",): 2}
    (samples,) = result(rank.replace("VALUE", ".@key"), data).samples
    assert b"".join(pieces(samples)).decode().splitlines() == [
        'n{a_shop="x",organization=""} 0',
        'n{a_shop="y",organization=""} 2',
    ]
    (samples,) = result(rank.replace("VALUE", ".@key"), {"shops": [{"name": "x"}]}).samples
    assert b"".join(pieces(samples)) == b'n{a_shop="x",organization=""} 0\n'
    assert series(rank.replace("VALUE", "shops.@key"), data) == {("x",): 0, ("y",): 2}
    years = regions().replace("value: count", "value: .@key, from: string")
    assert series(years, stats({"2025": {}, "2026": {}})) == {("2025",): 2025, ("2026",): 2026}


def test_keys_are_targets_of_other_queries() -> None:
    """`{{ region.@key }}` is the key of the row, beside what the row itself has."""
    queries = """
    - name: regions
      document: "{ stats }"
      rows: 'stats["regions"].*'
    - name: q
      for_each: {region: regions}
      document: "query ($id: ID!) { total(id: $id) }"
      variables: {id: "{{ region.@key }}"}
      metrics: [{name: n, help: N., value: total, labels: {plan: "{{ region.plan }}"}}]
    """
    plan = planned(queries)
    found = extract(plan.queries[0], [Response(stats({"eu": {"plan": "free"}}))], Surroundings({}), Moment(None, None))
    assert list(found.rows) == [{"@key": "eu", "plan": "free"}]
    assert plan.queries[1].needed == {"region.@key", "region.plan"}


def test_positions_are_targets_of_other_queries() -> None:
    """The rows are objects of the document then, and have a position beside their fields."""
    plan = planned("""
    - name: shops
      document: "{ shops { name score } }"
      rows: shops
      metrics: [{name: s, help: S., value: score, labels: {a: name}}]
    - name: q
      for_each: {shop: shops}
      document: "query ($id: Int!) { total(id: $id) }"
      variables: {id: "{{ shop.@key }}"}
      metrics: [{name: n, help: N., value: total, labels: {shop: "{{ shop.name }}"}}]
    """)
    query = plan.queries[0]
    body = b'{"data": {"shops": [null, {"name": "x", "score": 5}]}}'
    found = extract(query, [Response(None, shaped=query.shape.decode(body).data)], AROUND, Moment(None, None))
    assert list(found.rows) == [{"@key": 1, "name": "x"}]
    assert list(found.samples[0].numbers) == [5]


def test_a_count_is_zero_where_a_map_is_empty() -> None:
    """The label of the map around it is known."""
    query = """
    - name: q
      document: "{ shops { name extra } }"
      rows: shops
      metrics: [{name: n, help: N., value: 'extra["parts"].*', aggregate: count, labels: {a: name, b: shops.@key}}]
    """
    extras: list[Json] = [{"parts": {"x": 1, "y": 2}}, {"parts": {}}, {"parts": None}, {"parts": 5}]
    shops: list[Json] = [{"name": name, "extra": extra} for name, extra in zip("abc", extras, strict=False)]
    assert series(query, {"shops": shops}) == {("a", "0"): 2, ("b", "1"): 0}


def test_the_items_of_a_list_of_texts_are_labels() -> None:
    """`.` is the item that is published or counted, and other names are those of the row around the list."""
    query = """
    - name: q
      document: "{ shops { name tags } }"
      rows: shops
      metrics: [{name: n, help: N., VALUE, labels: {a: .name, b: .}}]
    """
    shops: list[Json] = [{"name": "x", "tags": ["hot", "new", None]}, {"name": "y", "tags": []}]
    data: dict[str, Json] = {"shops": shops}
    expected = {("x", "hot"): 1, ("x", "new"): 1}
    assert series(query.replace("VALUE", "value: {const: 1, of: tags}"), data) == expected
    assert series(query.replace("VALUE", "value: tags, aggregate: count"), data) == expected


def test_a_value_written_with_the_whole_path_is_still_one_of_the_rows() -> None:
    """It has the rows of all pages, and not of the last alone."""
    query = """
    - name: q
      document: "query ($at: Int) { shops(at: $at) { name score } }"
      rows: shops
      pages: {size: 1, offset: at, max_rows: 2}
      metrics: [{name: n, help: N., value: shops.score, labels: {a: name}}]
    """
    pages: list[Any] = [{"shops": [{"name": name, "score": 1}]} for name in "xyz"]
    assert series(query, *pages) == {("x",): 1, ("y",): 1}


@pytest.mark.parametrize("by_columns", [True, False])
@pytest.mark.parametrize("texts", ["", "json_texts: [shops.payload]"])
def test_big_answers_are_read_as_small_ones(*, by_columns: bool, texts: str) -> None:
    """Whether rows are kept by columns changes neither positions, which count nulls, nor what is in a text."""
    query = planned_query(f"""
    - name: q
      document: "{{ shops {{ name n payload }} }}"
      rows: shops
      {texts or "on_null: publish"}
      metrics:
        - {{name: n, help: N., value: "shops.*.n", labels: {{a: name}}}}
        - {{name: m, help: M., value: n, labels: {{a: name, b: {".@key" if by_columns else "name"}}}}}
        - {{name: o, help: O., value: {"payload.x" if texts else "n"}, labels: {{a: name}}}}
    """)
    query.shape.by_columns_bytes = 0
    body = b'{"data": {"shops": [null, {"name": "x", "n": 1, "payload": "{\\"x\\": 1}"}]}}'
    found = extract(query, [Response(None, shaped=query.shape.decode(body).data)], AROUND, Moment(None, None))
    assert [list(samples.numbers) for samples in found.samples] == [[1], [1], [1]]
    assert next(iter(found.samples[1].series)) == ("x", "1" if by_columns else "x", "")


TEXTS = """
- name: q
  document: "{ shops { name payload } }"
  json_texts: [shops.payload]
  rows: shops
  on_bad_row: DO
  metrics: [{name: n, help: N., value: payload.price, labels: {a: name, b: payload.unit.name}}]
"""


def payloads(*texts: Json) -> dict[str, Json]:
    return {"shops": [{"name": str(at), "payload": text} for at, text in enumerate(texts)]}


def test_a_path_goes_on_into_a_text_that_holds_json() -> None:
    """What the text has not is as in JSON: no sample, or an empty label."""
    texts = payloads('{"price": 1.5, "unit": {"name": "kg"}}', '{"price": 2}', "", None, "{}", "[]", "7")
    assert series(TEXTS.replace("DO", "fail"), texts) == {("0", "kg"): 1.5, ("1", ""): 2}


def test_a_text_that_is_no_json_is_an_odd_row() -> None:
    """It fails the poll, or costs its row alone; the log quotes the text."""
    texts = payloads('{"price": 1}', "{oops", "[" * 100_000)
    said = str(failure(TEXTS.replace("DO", "fail"), texts))
    assert said.endswith("in every row; a text on the way is not JSON")
    found = result(TEXTS.replace("DO", "skip"), texts)
    assert (found.series_count, found.skipped_rows, found.first_skipped_row) == (
        1, {"wrong_form": 2}, '{"text":"{oops"}'
    )  # fmt: skip


def test_a_schema_changes_nothing_of_what_is_opened(tmp_path: Path) -> None:
    """Lists that it knows are opened by `.*` as those that nobody knows, and JSON in their items is read."""
    (tmp_path / "s.graphql").write_text("""
        scalar JSON
        type Query { shops: [Shop!]! }
        type Shop { name: String!, grid: [[Int]], extra: JSON }
    """)
    source = f'sources: [{{name: a, url: "https://api.example/graphql", schema: {tmp_path / "s.graphql"}}}]\n'
    plan = planned(
        """
    - name: q
      document: "{ shops { name grid extra } }"
      metrics:
        - {name: n, help: N., value: shops.*.grid.*.*, labels: {a: name, b: shops.*.grid.*.@key, c: .@key}}
        - {name: m, help: M., value: shops.*.extra.parts.*.n, labels: {a: name, b: .@key}}
    """,
        source,
    )
    (query,) = plan.queries
    body = b'{"data": {"shops": [{"name": "x", "grid": [[1, 2], [3]], "extra": {"parts": {"p": {"n": 4}}}}]}}'
    found = extract(query, [Response(None, shaped=query.shape.decode(body).data)], Surroundings(), Moment(None, None))
    assert [list(samples.numbers) for samples in found.samples] == [[1, 2, 3], [4]]


def test_extensions_are_read_beside_rows_in_json() -> None:
    """They have no alias that would tell them from a key in the JSON, and are never taken for one."""
    query = regions().replace("value: count, labels: {a_region: .@key}", "value: extensions.cost.points")
    plan = planned_query(query)
    data: dict[str, Json] = stats({"eu": {"extensions": {"cost": {"points": 7}}}})
    found = extract(plan, [Response(data, extensions={"cost": {"points": 3}})], AROUND, Moment(None, None))
    assert [list(samples.numbers) for samples in found.samples] == [[3]]
