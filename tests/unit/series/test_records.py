"""Records: what a walk down an answer leads to, and the values of each."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.document.answer_shape import AnswerShape
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import ABSENT
from exporter.plan.plan import Column, Hop, Hops
from exporter.series.records import Most, Records, hops_text, records_at

SHAPE = AnswerShape(
    [("org", "name"), ("org", "apis", "id"), ("org", "apis", "tags"), ("org", "apis", "owner", "name")], max_values=100
)
APIS: Hops = (Hop("org"), Hop("apis"))


def data(*contents: dict[str, Any] | None) -> list[Any]:
    """The data of pages, as the shape reads them."""
    return [SHAPE.data(content) for content in contents]


def apis(*rows: Any) -> list[Any]:
    return data({"org": {"name": "Acme", "apis": list(rows)}})


def ids(records: Records) -> list[Any]:
    return list(records.column(Column(2, (Hop("id"),))))


def test_a_walk_leads_to_each_element_of_the_lists_on_it() -> None:
    """Lists explode at any depth, pages follow each other, and outer objects stay known to each record."""
    pages = data(
        {"org": [{"name": "Acme", "apis": [{"id": 1}, [{"id": 2}, [{"id": 3}]]]}, {"name": "Beta", "apis": []}]},
        {"org": {"name": "Gamma", "apis": {"id": 4}}},
    )
    records = records_at(pages, APIS)
    assert ids(records) == [1, 2, 3, 4]
    assert list(records.column(Column(1, (Hop("name"),)))) == ["Acme", "Acme", "Acme", "Gamma"]
    assert len(records) == len(records.levels[0]) == 4


def test_a_walk_of_no_step_leads_to_the_data() -> None:
    """A query without rows has one record a page."""
    pages = data({"org": None}, {"org": None})
    assert records_at(pages, ()).levels == (pages,)


def test_only_the_first_rows_count_of_all_pages_together() -> None:
    """Beyond the rows, of what is below them and of what is around them, everything stays."""
    pages = [*apis({"id": 1}, {"id": 2, "tags": [5, 6]}), *apis({"id": 3, "tags": [7, 8]}, {"id": 4, "tags": [9]})]
    most = Most(APIS, 3)
    assert ids(records_at(pages, APIS, most)) == [1, 2, 3]
    assert ids(records_at(pages, APIS, Most(APIS, 9))) == [1, 2, 3, 4]
    below = records_at(apis({"tags": [1, 2]}, {"tags": [3, 4]}), (*APIS, Hop("tags")), Most(APIS, 1))
    assert list(below.levels[-1]) == [1, 2]
    assert len(records_at(pages, APIS[:1], Most(APIS, 1))) == 2


@pytest.mark.parametrize(
    "org", [None, {"apis": None}, {"apis": []}, {"apis": [None]}, {"apis": [[None], []]}, [], [None]]
)
def test_null_on_the_way_ends_the_walk(org: Any) -> None:
    """What is null has no rows, and is no failure."""
    assert len(records_at(data({"org": org}), APIS)) == 0


@pytest.mark.parametrize("content", [{}, {"org": {}}, {"org": 5}, {"org": {"apis": [{}], "name": 1}, "x": 1}])
def test_a_key_that_is_not_there_is_a_failure_that_names_the_way(content: dict[str, Any]) -> None:
    """An answer that lacks what the document selects is refused as a whole."""
    with pytest.raises(ResultFailure, match=r"the answer has no org(\.apis(\.id)?)? in every row") as failed:
        records_at(data(content), (*APIS, Hop("id")))
    assert failed.value.reason is Reason.SCHEMA


def test_an_answer_without_data_is_a_failure() -> None:
    """One page without data is enough."""
    with pytest.raises(ResultFailure, match="the answer has no data") as failed:
        records_at([*apis(), None], APIS)
    assert failed.value.reason is Reason.SCHEMA


def test_a_column_has_a_value_for_each_record() -> None:
    """Null on the way to a value is null."""
    records = records_at(apis({"owner": {"name": "x"}}, {"owner": None}, {"owner": {"name": None}}), APIS)
    assert list(records.column(Column(2, (Hop("owner"), Hop("name"))))) == ["x", None, None]


def test_an_index_picks_an_element() -> None:
    """Where a list has none there, or is null, the value is null; of a list in a list an index picks further."""
    records = records_at(apis(*({"tags": tags} for tags in ([1, 2], [3], [], None))), APIS)
    assert list(records.column(Column(2, (Hop("tags", (1,)),)))) == [2, None, None, None]
    assert list(records.raw_column(Column(2, (Hop("tags", (0,)),)))) == [1, 3, None, None]
    nested = records_at(apis({"tags": [[1, 2]]}, {"tags": [None]}), APIS)
    assert list(nested.column(Column(2, (Hop("tags", (0, 1)),)))) == [2, None]


@pytest.mark.parametrize("tags", [5, "text"])
def test_an_index_into_what_is_no_list_is_a_failure(tags: Any) -> None:
    """A number has no elements, and a text none that anybody means."""
    records = records_at(apis({"tags": tags}), APIS)
    with pytest.raises(ResultFailure, match=r"the answer has no tags in every row"):
        records.column(Column(2, (Hop("tags", (0,)),)))


def test_only_what_may_be_left_out_may_be_absent() -> None:
    """With `@include` a key can be missing, and is null then; any other key that is missing is a failure."""
    records = records_at(apis({"id": 1}, {}), APIS)
    assert list(records.column(Column(2, (Hop("id", (), optional=True),)))) == [1, None]
    with pytest.raises(ResultFailure, match="the answer has no id in every row"):
        records.column(Column(2, (Hop("id"),)))


def test_a_raw_column_shows_what_is_absent() -> None:
    """Whoever looks at the types of the values sees it there; with a null in the way it is judged at once."""
    records = records_at(apis({"id": 1}, {}), APIS)
    assert list(records.raw_column(Column(2, (Hop("id"),)))) == [1, ABSENT]
    through = records_at(apis({"owner": {"name": "x"}}, {"owner": None}), APIS)
    assert list(through.raw_column(Column(2, (Hop("owner"), Hop("name"))))) == ["x", None]
    levels = Records((*through.levels, through.column(Column(2, (Hop("owner"),)))))
    assert list(levels.raw_column(Column(3, (Hop("name"),)))) == ["x", None]


def test_some_records_can_be_taken_alone() -> None:
    """Each keeps the objects around it."""
    records = records_at(apis({"id": 1}, {"id": 2}, {"id": 3}), APIS).where([True, False, True])
    assert ids(records) == [1, 3]
    assert len(records.levels[0]) == 2


ID, TAGS, NAME = Column(2, (Hop("id"),)), Column(2, (Hop("tags"),)), Column(1, (Hop("name"),))


@pytest.mark.parametrize("count", [0, 1, 1999, 2000, 2001, 4500])
def test_columns_that_are_read_in_one_go_are_those_of_all_records(count: int) -> None:
    """No record is left out or comes twice, whatever their number."""
    records = records_at(apis(*({"id": number, "tags": str(number % 3)} for number in range(count))), APIS)
    read = records.read([ID], [TAGS])
    assert list(read.raw_column(ID)) == list(range(count))
    if count:
        assert list(read.texts[TAGS].column) == [str(number % 3) for number in range(count)]
        assert set(read.texts[TAGS].different) == {str(number % 3) for number in range(count)}
        assert len({id(text) for text in read.texts[TAGS].column}) == min(count, 3)


def test_what_is_not_read_in_one_go_is_read_when_it_is_needed() -> None:
    """Columns of outer objects, labels that are no text, and records that are no objects."""
    records = records_at(apis({"id": 1, "tags": "x"}, {"id": 2, "tags": 5}), APIS)
    read = records.read([ID, NAME], [TAGS])
    assert list(read.raw_column(NAME)) == ["Acme", "Acme"]
    assert TAGS not in read.texts
    assert list(read.raw_column(TAGS)) == ["x", 5]
    for row in (5, {"tags": [1]}):
        odd = records_at(apis({"id": 1, "tags": "x"}, row), APIS)
        assert odd.read([ID], [TAGS]).texts == {}
    assert records.read([], []).columns == {}


def test_columns_that_were_read_follow_the_records() -> None:
    """Of some records alone, the columns have what belongs to them."""
    records = records_at(apis({"id": 1, "tags": "x"}, {"id": 2, "tags": "y"}, {"id": 3, "tags": "x"}), APIS)
    some = records.read([ID], [TAGS]).where([True, False, True])
    assert list(some.raw_column(ID)) == [1, 3]
    assert list(some.texts[TAGS].column) == ["x", "x"]


def test_a_record_stands_once_for_each_item_of_its_value() -> None:
    """A value that is a list makes as many records; null items and empty lists make none."""
    records, values = records_at(apis({"id": 1}, {"id": 2}, {"id": 3}), APIS).explode([[5, None, [6]], 7, None])
    assert list(values) == [5, 6, 7]
    assert ids(records) == [1, 1, 2]


def test_a_way_is_written_with_dots() -> None:
    """As messages name it."""
    assert hops_text(APIS) == "org.apis"
