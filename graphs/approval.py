"""The steps that change something: what needs a person's approval waits for it, and each effect is done once.

``effect`` does one action after the other and stops at the first that must be approved; ``approve`` asks and does
nothing else, because a step runs again from its top on resume; then ``effect`` goes on where it stopped.
"""

from __future__ import annotations

from typing import Any

from langgraph.types import interrupt

from agents.arguments import Arguments
from graphs.actions import (
    arguments_of,
    do,
    finish,
    missing,
    or_a_person,
    refused,
    standing_of,
    values_of,
)
from graphs.demands import Demand, demand
from graphs.effects import Performed
from graphs.guarding import HOLDING
from graphs.nodes import Context, review_reason
from graphs.state import State, escalated
from graphs.turn import Turn
from policies.types import JSON, Outcome, to_json
from tools.actions import Action
from tools.results import title_of
from tools.storage.reviews import APPROVE_ACTION

APPROVAL_SCHEMA: JSON = {
    "type": "object",
    "required": ["decision"],
    "properties": {
        "decision": {"enum": ["approve", "reject"]},
        "note": {"type": "string", "description": "Why, for the ledger."},
    },
    "additionalProperties": False,
}


async def effect(state: State, runtime: Context) -> State:
    """Do what changes something, one by one; the first that is not done ends it, and a person gets the rest."""
    turn = runtime.context
    await turn.last()
    async with turn.step("effect") as report:
        todo = list(state["todo"])
        done: list[Performed] = []
        held: tuple[Action, Arguments, Demand, JSON | None] | None = None
        while todo and held is None and not any(each.reason for each in done):
            action = turn.team.actions[todo[0]]
            told = await arguments_of(turn, state, action)
            standing = await standing_of(turn, state, action, told)
            asked = _demand(turn, state, action, told, standing)
            if told.missing:
                reason = missing(action.name, told)
                done.append(Performed(action=action.name, status="refused", reason=reason))
            elif asked.outcome is Outcome.PASS:
                done.append(await do(turn, state, action, told, standing))
                todo.pop(0)
            else:
                held = action, told, asked, standing
        step = await finish(turn, state, done, report)
        if held and step["next"] == "draft":
            step |= _held(turn, {**state, **step}, *held)
        return {**or_a_person(state, step), "todo": todo}


def _demand(turn: Turn, state: State, action: Action, told: Arguments, standing: JSON | None) -> Demand:
    found = demand(turn, state, action, values_of(told), standing)
    approved = state.get("approved", {}).get(action.name)
    if found.outcome is Outcome.REVIEW and approved == _asked(told, standing):
        return Demand(outcome=Outcome.PASS)
    return found


def _asked(told: Arguments, standing: JSON | None) -> JSON:
    """Return what a person approves: the values and facts that are shown, and which others the action is told."""
    asked: JSON = {"arguments": told.said, "from_customer": sorted(told.known)}
    return {**asked, "facts": standing} if standing else asked


def _held(
    turn: Turn, state: State, action: Action, told: Arguments, asked: Demand, standing: JSON | None
) -> State:
    for_person = asked.outcome in HOLDING
    turn.decide("act", "approval", "refused" if for_person else "asked", asked.reasons, action=action.name)
    if for_person:
        return refused(turn, state, [asked])
    pending = {
        "action": action.name,
        **_asked(told, standing),
        "question": state["question"],
        "text": _question(action.name, told, standing or {}),
        "reasons": [to_json(reason) for reason in asked.reasons],
    }
    step: State = {"next": "approve", "pending": pending}
    return {**step, "queue": asked.queue} if asked.queue else step


def _question(name: str, told: Arguments, standing: JSON) -> str:
    values = [f"{key} {value}" for key, value in told.said.items()]
    values += [f"{key} as the app says" for key in sorted(told.known)]
    question = f"May this be done: {title_of(name)}{', with ' + ', '.join(values) if values else ''}?"
    known = ", ".join(f"{key} {value}" for key, value in standing.items())
    return f"{question} How it stands now: {known}." if known else question


async def approve(state: State, runtime: Context) -> State:
    """Ask a person whether an action may be done; the segment ends here and goes on with the answer."""
    pending = state["pending"]
    question = {
        "kind": APPROVE_ACTION,
        "draft": [_shown(pending)],
        "reasons": pending["reasons"],
        "response_schema": APPROVAL_SCHEMA,
        "queue": state.get("queue") or runtime.context.team.assistant.policy.default_queue,
        "priority": state.get("priority", "normal"),
    }
    return after_approval(state, interrupt(question))


def after_approval(state: State, answer: JSON) -> State:
    """Say how a run goes on after a person's answer, which the ledger has already."""
    pending = state["pending"]
    if answer["decision"] == "approve":
        before = state.get("approved", {})
        return {"next": "effect", "approved": {**before, **approved_anew(pending)["approved"]}}
    step = escalated(state, [review_reason(answer, pending["action"])])
    return {**step, "priority": answer["priority"]} if "priority" in answer else step


def asked_about(values: JSON, kind: str) -> Any:
    """Return what a checkpoint holds of what a person was asked about, as the review's row has it."""
    return [_shown(values.get("pending", {}))] if kind == APPROVE_ACTION else values.get("sentences")


def _shown(pending: JSON) -> JSON:
    return {name: value for name, value in pending.items() if name != "reasons"}


def approved_anew(pending: JSON) -> State:
    """Return what a run begins anew with whose checkpoint was lost after a person had approved an action."""
    approved = {name: pending[name] for name in ("arguments", "from_customer", "facts") if name in pending}
    return {"approved": {pending["action"]: approved}}
