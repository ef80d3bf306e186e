"""A pack of any calls is answered as they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.document.aliases import pack_operations, unpack_response
from exporter.model.outcome import Operation
from tests.support.aliases import DOCUMENTS, answer


@pytest.mark.parametrize("document", DOCUMENTS)
@settings(max_examples=25)
@given(
    org=st.text("abc_", max_size=5),
    tenants=st.lists(st.sampled_from(["x", "y", "t1_x", "bad", ""]), min_size=1, max_size=12),
)
def test_a_pack_is_answered_as_its_calls_are(document: str, org: str, tenants: list[str]) -> None:
    """Values, nulls and errors with their paths are those of single calls, with aliases, fragments and directives."""
    calls = [Operation(document, {"org": org, "data": {"tenant": tenant}}) for tenant in tenants]
    together = unpack_response(answer(pack_operations(calls, frozenset({"org"}))), len(calls))
    for one, alone in zip(together, map(answer, calls), strict=True):
        assert one.data == alone.data
        assert set(one.errors) == set(alone.errors)
