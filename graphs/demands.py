"""What policy demands before an action is done: nothing, a person's approval, or a person outright."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.state import State
from graphs.turn import Turn
from policies.reservations import reservation
from policies.rules import about_action, evaluate, strictest
from policies.rulings import action_facts, route_facts
from policies.types import JSON, Autonomy, Outcome, Reason, route_from_json
from tools.actions import Action, TakesArguments


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What an action needs: ``PASS``, ``REVIEW`` for an approval, ``ESCALATE`` or ``BLOCK`` for a person."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    queue: str | None = None


def demand(turn: Turn, state: State, action: Action, arguments: JSON, standing: JSON | None = None) -> Demand:
    """Say what policy demands before an action is done with these arguments.

    A rule on the route may want any action approved, and so may one on actions; an effect needs approval wherever
    answers do not leave alone, where the message denies what it seems to ask for or makes it depend on something,
    and where it could not say how things stand: ``standing`` is what it said, None where that failed.
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
    ruling = evaluate(rules, {**facts, **action_facts(action.name, arguments, standing)})
    reasons = [*ruling.reasons]
    if required := state.get("required", {}).get(action.name):
        reasons.append(Reason(**required))
    if action.effect and state["autonomy"] != Autonomy.AUTO:
        text = f"Policy lets no {action.name!r} be done on {found.intent} before a person has looked."
        reasons.append(Reason(code="act.not_allowed", text=text))
    if action.effect and standing is None:
        text = f"How things stand before {action.name!r} could not be found out."
        reasons.append(Reason(code="act.no_facts", text=text))
    if action.effect and (words := reservation(state["question"], _about(action, found.intent, arguments))):
        text = f"The message may not ask for {action.name!r} without reserve: it says “{words}”."
        reasons.append(Reason(code="act.reserved", text=text))
    approval = Outcome.REVIEW if reasons else Outcome.PASS
    return Demand(outcome=strictest([ruling.outcome, approval]), reasons=tuple(reasons), queue=ruling.queue)


def _about(action: Action, intent: str | None, arguments: JSON) -> str:
    """Return the words that name an effect: what it is called, what it does, and what it is told."""
    does = action.description.partition("\n")[0] if isinstance(action, TakesArguments) else ""
    told = (f"{each:g}" if isinstance(each, float) else str(each) for each in arguments.values())
    return " ".join([action.name, intent or "", does, *told]).replace("_", " ")
