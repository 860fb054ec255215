"""What a budget asks for once so much is spent. Whoever calls a model asks before the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from policies.sections import BUDGET_ACTIONS, Budget, BudgetAction, Budgets
from policies.types import Reason

Scope = Literal["run", "conversation", "day"]
SCOPES: tuple[Scope, ...] = ("run", "conversation", "day")
NEARLY, WHOLLY = 0.8, 1.0


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What models have cost; what the local tier did is not in it, because it costs nothing."""

    money: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class BudgetOutcome:
    """What follows from what is spent."""

    action: BudgetAction | None = None
    """``warn``: go on and note it; ``local``: ask no model; ``review``: a person reads the answer first;
    ``escalate``: a person answers. None when there is enough left.
    """
    share: float = 0.0
    """How much is spent, 1 being all of it; of money and tokens the larger share."""
    reason: Reason | None = None
    """For the ledger and for staff; None when nothing follows."""


ENOUGH = BudgetOutcome()


def spent_outcome(budget: Budget | None, spent: Spent, scope: Scope = "run") -> BudgetOutcome:
    """Return what one budget asks for; without a budget nothing follows, whatever is spent."""
    if budget is None:
        return ENOUGH
    shares = {
        name: amount / limit
        for name, amount, limit in (
            ("money", spent.money, budget.money),
            ("tokens", spent.tokens, budget.tokens),
        )
        if limit is not None
    }
    of = max(shares, key=lambda name: shares[name])
    share = shares[of]
    # A sum that can't be compared has been spent.
    if not share < NEARLY:
        whole = not share < WHOLLY
        code = f"budget.{scope}.{'spent' if whole else 'nearly'}"
        much = "is spent" if whole else f"is spent to {share:.0%}"
        reason = Reason(code=code, text=f"The budget of {of} {_OF[scope]} {much}.")
        return BudgetOutcome(action=budget.at_100 if whole else budget.at_80, share=share, reason=reason)
    return BudgetOutcome(share=share)


def strictest(budgets: Budgets, spent: Mapping[Scope, Spent]) -> BudgetOutcome:
    """Return the strictest of what the budgets ask for, and of equal ones the one that is spent furthest.

    A scope of which nobody says what is spent counts as unspent.
    """
    outcomes = [spent_outcome(getattr(budgets, scope), spent.get(scope, Spent()), scope) for scope in SCOPES]
    return max(outcomes, key=strictness)


def strictness(outcome: BudgetOutcome) -> tuple[int, float]:
    """Return what outcomes are compared by: the strictness of the action, then how much is spent."""
    return BUDGET_ACTIONS.index(outcome.action) if outcome.action else -1, outcome.share


_OF: Mapping[Scope, str] = {
    "run": "for one answer",
    "conversation": "for this conversation",
    "day": "for today",
}
