"""What policy demands before an action is done: nothing, a person's approval, or a person outright."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.state import State
from graphs.turn import Turn
from policies.rules import about_action, evaluate, strictest
from policies.rulings import action_facts, route_facts
from policies.types import JSON, Autonomy, Outcome, Reason, route_from_json
from tools.actions import Action


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What an action needs: ``PASS``, ``REVIEW`` for an approval, ``ESCALATE`` or ``BLOCK`` for a person."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    queue: str | None = None


def demand(turn: Turn, state: State, action: Action, arguments: JSON) -> Demand:
    """Say what policy demands before an action is done with these arguments.

    A rule on the route may want any action approved, and so may one on actions; an effect needs approval wherever
    answers do not leave alone.
    """
    found = route_from_json(state["route"])
    facts = route_facts(
        state["question"],
        found,
        customer=turn.customer,
        language=state.get("language", ""),
        turns=state.get("turns", 0),
    )
    rules = about_action(turn.team.assistant.rules, action.name)
    ruling = evaluate(rules, {**facts, **action_facts(action.name, arguments)})
    reasons = [*ruling.reasons]
    if required := state.get("required", {}).get(action.name):
        reasons.append(Reason(**required))
    if action.effect and state["autonomy"] != Autonomy.AUTO:
        text = f"Policy lets no {action.name!r} be done on {found.intent} before a person has looked."
        reasons.append(Reason(code="act.not_allowed", text=text))
    approval = Outcome.REVIEW if reasons else Outcome.PASS
    return Demand(outcome=strictest([ruling.outcome, approval]), reasons=tuple(reasons), queue=ruling.queue)
