"""The step that does things: the actions of the route's intent, before an answer is drafted."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from graphs.effects import Performed, perform
from graphs.guarding import HOLDING, guard_results, held_back, looked_at_first, together
from graphs.nodes import Context
from graphs.state import State
from graphs.turn import Turn
from policies.guards import Guarding
from policies.types import JSON, Autonomy, Outcome, Reason, to_json
from tools.actions import Action, ActionRequest
from tools.storage.receipts import key_of


async def act(state: State, runtime: Context) -> State:
    """Run the intent's actions: those that only look, at the same time; then those with effects, one by one.

    The first that is not done ends the step: nothing else is begun, and a person gets the conversation.
    """
    turn = runtime.context
    async with turn.step("act") as report:
        actions = turn.team.actions_of(state["route"]["intent"])
        looked = await _look(turn, state, [each for each in actions if not each.effect])
        done, guarded = await guard_results(turn, looked)
        if guarded.outcome is Outcome.REVIEW:
            state = {**state, **looked_at_first(turn, state)}
        if guarded.outcome not in HOLDING:
            changed, found = await guard_results(turn, await _change(turn, state, actions, done))
            done, guarded = [*done, *changed], together([guarded, found])
        for each in done:
            _record(turn, each)
        report["actions"] = [{"name": each.action, "status": each.status} for each in done]
        return _after(state, turn, done, guarded)


async def _change(
    turn: Turn, state: State, actions: Sequence[Action], looked: Sequence[Performed]
) -> list[Performed]:
    """Do what has effects, one by one, while nothing before it needs a person."""
    done: list[Performed] = []
    for action in actions:
        if action.effect and not any(each.reason for each in (*looked, *done)):
            done.append(await _done(turn, state, action))
    return done


async def _look(turn: Turn, state: State, actions: Sequence[Action]) -> list[Performed]:
    found: dict[str, Performed] = {}

    async def look(action: Action) -> None:
        found[action.name] = await _done(turn, state, action)

    async with anyio.create_task_group() as tasks:
        for action in actions:
            tasks.start_soon(look, action)
    return [found[action.name] for action in actions]


async def _done(turn: Turn, state: State, action: Action) -> Performed:
    if reason := forbidden(state, action):
        return Performed(action=action.name, status="refused", reason=reason)
    return await perform(turn, action, _request(turn, state, action), turn.team.finder)


def forbidden(state: State, action: Action) -> Reason | None:
    """Say why an action needs a person first, if it does.

    A rule may want that of any action; an effect needs it wherever answers do not leave alone.
    """
    if required := state.get("required", {}).get(action.name):
        return Reason(**required)
    if not action.effect or state["autonomy"] == Autonomy.AUTO:
        return None
    text = f"Policy lets no {action.name!r} be done on {state['route']['intent']} before a person has looked."
    return Reason(code="act.not_allowed", text=text)


def _request(turn: Turn, state: State, action: Action) -> ActionRequest:
    customer = turn.customer
    return ActionRequest(
        key=key_of(turn.run.id, action.name),
        workspace_id=turn.workspace.id,
        conversation_id=turn.conversation.id,
        run_id=turn.run.id,
        intent=state["route"]["intent"],
        question=state["question"],
        language=state.get("language", ""),
        locale=customer.get("locale"),
        attributes=customer["attributes"],
    )


def _record(turn: Turn, done: Performed) -> None:
    reasons = (done.reason,) if done.reason else ()
    turn.decide("act", "action", done.status, reasons, action=done.action)


def _after(state: State, turn: Turn, done: Sequence[Performed], guarded: Guarding) -> State:
    found: list[JSON] = [{"name": each.action, "status": each.status, "result": each.result} for each in done]
    if guarded.outcome in HOLDING:
        return held_back(state, turn, guarded, actions=found)
    reasons = [to_json(each.reason) for each in done if each.reason]
    if reasons:
        # A rule that requires a person has said so already.
        told = state.get("reasons", [])
        new = [reason for reason in reasons if reason not in told]
        return {"next": "escalate", "actions": found, "reasons": [*told, *new]}
    step: State = {"next": "draft", "actions": found}
    return {**step, **looked_at_first(turn, state)} if guarded.outcome is Outcome.REVIEW else step
