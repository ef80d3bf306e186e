"""Budgets: how much of the whole is left, so that the one that ends first can be told."""

from __future__ import annotations

import pytest

from exporter.model.budget import Budget


@pytest.mark.parametrize(
    ("budget", "share"),
    [(Budget(30, 60), 0.5), (Budget(0, 60), 0.0), (Budget(60, 60), 1.0), (Budget(-6, 60), -0.1)],
)
def test_a_share_is_what_is_left_of_the_whole(budget: Budget, share: float) -> None:
    """In whatever unit the server counts."""
    assert budget.share == pytest.approx(share)


def test_a_budget_whose_limit_is_not_known_ends_after_those_that_have_one() -> None:
    """Among several such budgets, the one with less left is the first to end."""
    full, few, many, none = Budget(60, 60), Budget(1), Budget(1000), Budget(-5)
    assert full.share <= none.share < few.share < many.share
    assert Budget(5, 0).share > full.share
