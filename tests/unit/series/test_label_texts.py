"""The texts of labels: what stands in an answer, in references and in lookups becomes text, record by record."""

from __future__ import annotations

import pytest

from exporter.model.errors import Reason, ResultFailure
from exporter.model.label_text import TextChange, TextForm
from exporter.model.outcome import Response
from exporter.model.samples import Json
from exporter.model.template import Reference, Text
from exporter.plan.operation import Moment
from exporter.plan.plan import Bound, Column, Constant, Hop, LabelPlan, LookupColumn, MadeText, MissingPlan
from exporter.series.extraction import extract
from exporter.series.label_texts import LabelTexts, Surroundings
from exporter.series.page_state import answer_data
from exporter.series.records import Records, records_at
from tests.support.plans import SOURCE, planned, planned_query

QUERY = planned_query(
    '- {name: q, document: "{ a { id n } }", rows: a, metrics: [{name: n, help: N., value: n, labels: {id: id}}]}'
)
AROUND = Surroundings(
    {"source": "acme", "site": 7}, {"names": {"1": {"title": "One"}, "true": {"title": "Yes"}}}, {"all": ({"id": 1.5},)}
)
ID = Column(1, (Hop("id"),))


def records(*ids: Json) -> Records:
    """A record for each of these ids."""
    data = answer_data(QUERY, Response({"a": [{"id": one, "n": 1} for one in ids]}))
    return records_at([data], (Hop("a"),))


@pytest.mark.parametrize(
    ("label", "texts"),
    [
        (ID, ["1", "true", "2.0", "", "x"]),
        (Constant("c"), ["c"] * 5),
        (Bound(Reference("site")), ["7"] * 5),
        (LookupColumn("names", ID, "title"), ["One", "Yes", "", "", ""]),
        (MadeText((Bound(Reference("source")), Constant("/"), ID), TextChange(TextForm.UPPER)),
         ["ACME/1", "ACME/TRUE", "ACME/2.0", "ACME/", "ACME/X"]),
        (MadeText((Constant("A"), Constant("b")), TextChange(TextForm.LOWER)), ["ab"] * 5),
    ],
)  # fmt: skip
def test_a_label_has_a_text_for_each_record(label: LabelPlan, texts: list[str]) -> None:
    """Numbers and booleans are written as JSON writes them, null is empty, and what a lookup lacks is empty."""
    (found,) = LabelTexts(AROUND).texts(records(1, True, 2.0, None, "x"), [label])
    assert list(found.column) == texts
    assert set(found.different) >= set(texts)


def test_keys_that_a_lookup_lacks_are_counted() -> None:
    """A name that is not known is an empty label, and a count says how many there were."""
    labels = LabelTexts(AROUND)
    labels.texts(records(1, "x", "y", "x"), [LookupColumn("names", ID, "title")])
    labels.texts(records(1), [LookupColumn("names", Bound(Reference("site")), "title")])
    assert labels.misses == 4


@pytest.mark.parametrize("value", [[], ["x"], {"x": 1}])
def test_a_list_or_an_object_is_no_label(value: Json) -> None:
    """Several values are not taken for one."""
    with pytest.raises(ResultFailure, match=r"^id is a list or an object, which cannot be a label") as failed:
        LabelTexts(AROUND).texts(records(1, value), [ID])
    assert failed.value.reason is Reason.SCHEMA


def test_rows_of_another_query_have_the_labels_of_what_is_missing() -> None:
    """Each label comes from the row, or from what is known without one."""
    missing = MissingPlan("all", (Constant("c"), "id"), 0)
    assert LabelTexts(AROUND).keys_of_missing(missing) == [("c", "1.5")]


def test_a_row_that_is_left_out_adds_no_miss_of_the_others() -> None:
    """Names that no lookup knows are counted once, though the rows are read again without the odd one."""
    plan = planned(
        """
    - name: q
      document: "{ a { id n at } }"
      rows: a
      on_bad_row: skip
      metrics: [{name: n, help: N., value: n, labels: {id: {lookup: names, key: id, field: title}, z: at}}]
    """,
        SOURCE + "lookups: [{name: names, table: {known: {title: Known}}}]\n",
    )
    rows: list[Json] = [
        {"id": "known", "n": 1, "at": 0}, {"id": "x", "n": 1, "at": {}}, {"id": "y", "n": 2, "at": 0},
        {"id": "known", "n": 3, "at": 0},
    ]  # fmt: skip
    around = Surroundings({"source_label.organization": "acme"}, {"names": {"known": {"title": "Known"}}})
    found = extract(plan.queries[0], [Response({"a": rows})], around, Moment(None, None))
    assert found.lookup_misses == 1
    assert found.names == {"names": {"known": {"title": "Known"}}}
    assert found.skipped_rows == {"wrong_form": 1, "duplicate_series": 1}


@pytest.mark.parametrize("value", [["x"], {"x": 1}])
def test_a_list_or_an_object_of_another_query_is_no_label(value: Json) -> None:
    """The failure names the reference or the field: it is a fault of the answer, and none of ours."""
    around = Surroundings({"row.id": value, "site": 7}, {}, {"all": ({"id": value},)})
    for template in (Reference("row.id"), Text(("a ", Reference("row.id")))):
        with pytest.raises(ResultFailure, match=r"^row\.id is a list or an object, which cannot be a label") as failed:
            LabelTexts(around).texts(records(1), [Bound(template)])
        assert failed.value.reason is Reason.SCHEMA
    with pytest.raises(ResultFailure, match=r"^id is a list or an object"):
        LabelTexts(around).keys_of_missing(MissingPlan("all", ("id",), 0))
