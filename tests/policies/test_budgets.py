"""What follows when a budget is nearly or wholly spent, and which budgets a policy may set."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from policies.budgets import ENOUGH, BudgetOutcome, Spent, spent_outcome, strictest
from policies.folder import PolicyFile
from policies.sections import Budget, Budgets
from policies.types import Reason


def test_without_a_budget_nothing_follows() -> None:
    assert spent_outcome(None, Spent(money=1e9, tokens=10**9)) == ENOUGH


@pytest.mark.parametrize(
    ("spent", "action"),
    [
        (Spent(), None),
        (Spent(money=0.79), None),
        (Spent(money=0.8), "warn"),
        (Spent(money=0.999), "warn"),
        (Spent(money=1.0), "escalate"),
        (Spent(money=7.0), "escalate"),
        (Spent(tokens=7_999), None),
        (Spent(tokens=8_000), "warn"),
        (Spent(money=0.1, tokens=10_000), "escalate"),
        # What can't be compared has been spent.
        (Spent(money=float("nan")), "escalate"),
    ],
    ids=repr,
)
def test_the_larger_share_decides(spent: Spent, action: str | None) -> None:
    budget = Budget(money=1.0, tokens=10_000, at_80="warn", at_100="escalate")
    assert spent_outcome(budget, spent).action == action


def test_an_outcome_says_why() -> None:
    outcome = spent_outcome(Budget(tokens=100), Spent(tokens=90), "conversation")
    text = "The budget of tokens for this conversation is spent to 90%."
    reason = Reason(code="budget.conversation.nearly", text=text)
    assert outcome == BudgetOutcome(action="warn", share=0.9, reason=reason)


def test_of_several_budgets_the_strictest_holds() -> None:
    budgets = Budgets(
        run=Budget(tokens=100, at_100="local"), day=Budget(money=10, at_80="review", at_100="escalate")
    )
    assert strictest(budgets, {}) == ENOUGH
    both = strictest(budgets, {"run": Spent(tokens=500), "day": Spent(money=8)})
    assert (both.action, both.reason and both.reason.code) == ("review", "budget.day.nearly")
    one = strictest(budgets, {"run": Spent(tokens=500), "day": Spent(money=1)})
    assert (one.action, one.share) == ("local", 5.0)


def test_what_the_local_tier_does_is_never_over_a_budget() -> None:
    budgets = Budgets(run=Budget(money=0.01, tokens=1, at_100="escalate"))
    assert strictest(budgets, {"run": Spent()}) == ENOUGH


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({}, "a budget has `money`, `tokens` or both"),
        ({"at_80": "warn"}, "a budget has `money`, `tokens` or both"),
        ({"money": 0}, "greater than 0"),
        ({"money": float("inf")}, "finite number"),
        ({"tokens": 0}, "greater than or equal to 1"),
        ({"money": 1, "at_100": "shout"}, "'warn', 'local', 'review' or 'escalate'"),
        ({"money": 1, "at_80": "escalate"}, "`at_100: local` is laxer than `at_80: escalate`"),
        ({"money": 1, "each": "month"}, "Extra inputs are not permitted"),
    ],
    ids=repr,
)
def test_a_budget_that_makes_no_sense_is_refused(budget: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=r"budgets\.day") as caught:
        PolicyFile.model_validate({"budgets": {"day": budget}})
    assert problem in str(caught.value)


def test_a_policy_without_budgets_limits_nothing() -> None:
    assert PolicyFile().budgets == Budgets()
