"""The step that looks things up: the actions of the route's intent, before an answer is drafted.

What has an effect, or needs a person first, is left to the steps of ``graphs.approval``; what each is told is
settled here, so that it is the same at every attempt and after every question to a person.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from agents.arguments import Arguments, ArgumentsRequest
from graphs.demands import Demand, demand
from graphs.effects import Performed, perform
from graphs.guarding import HOLDING, blocked, guard_results, held_back, looked_at_first
from graphs.nodes import Context
from graphs.state import State, escalated, history_of
from graphs.turn import Turn
from policies.types import JSON, Outcome, Reason, passage_from_json, to_json
from tools.actions import Action, ActionRequest, HasFacts, TakesArguments, parameters_of
from tools.results import passage_of, quotable
from tools.storage.receipts import key_of

log = logging.getLogger("handrail.effects")


async def act(state: State, runtime: Context) -> State:
    """Settle what the intent's actions are told, and look up what changes nothing, all at the same time.

    What lacks an argument is not looked up, and the answer is drafted without it.
    """
    turn = runtime.context
    async with turn.step("act") as report:
        actions = turn.team.actions_of(state["route"]["intent"])
        told = {each.name: await arguments_of(turn, state, each) for each in actions}
        state = {**state, "arguments": {name: _kept(each) for name, each in told.items()}}
        plan = _planned(turn, state, actions, told)
        done = [*plan.skipped, *await _look(turn, state, plan.now, told)]
        step = await finish(turn, state, done, report)
        if plan.held and step["next"] == "draft":
            step |= refused(turn, state, plan.held)
        if plan.later and step["next"] == "draft":
            step |= {"next": "effect", "todo": [each.name for each in plan.later]}
        return {"arguments": state["arguments"], **or_a_person(state, step)}


@dataclass(kw_only=True)
class _Plan:
    """What becomes of an intent's actions."""

    now: list[Action] = field(default_factory=list)
    """They are looked up."""
    later: list[Action] = field(default_factory=list)
    """They change something, or need a person's approval."""
    skipped: list[Performed] = field(default_factory=list)
    """They lack an argument, and change nothing."""
    held: list[Demand] = field(default_factory=list)
    """What policy has a person do instead."""


def _planned(turn: Turn, state: State, actions: Sequence[Action], told: dict[str, Arguments]) -> _Plan:
    plan = _Plan()
    for each in actions:
        if each.effect:
            plan.later.append(each)
        elif told[each.name].missing:
            reason = missing(each.name, told[each.name])
            plan.skipped.append(Performed(action=each.name, status="skipped", reason=reason))
        else:
            asked = demand(turn, state, each, values_of(told[each.name]), {})
            if asked.outcome in HOLDING:
                plan.held.append(asked)
            else:
                (plan.later if asked.outcome is Outcome.REVIEW else plan.now).append(each)
    return plan


def or_a_person(state: State, step: State) -> State:
    """Return a step as it is, or the one to a person where it leaves nothing to draft an answer from."""
    drawn_on = [passage_from_json(each) for each in step.get("passages", [])]
    if step["next"] != "draft" or quotable(drawn_on) or "said" in state:
        return step
    reason = Reason(
        code="retrieve.nothing", text="No article, and nothing that was looked up, has anything on this."
    )
    return {**step, **escalated(state, [reason])}


async def arguments_of(turn: Turn, state: State, action: Action) -> Arguments:
    """Return what an action is told: what was settled before, or what is found now.

    What the app told of the customer is read anew each time, because no row of a run may hold it.
    """
    if not isinstance(action, TakesArguments):
        return Arguments(said={})
    attributes = turn.customer["attributes"]
    settled = state.get("arguments", {}).get(action.name)
    if settled is not None:
        known = {name: action.read(name, attributes[name]) for name in settled["known"] if name in attributes}
        lacking = [each for each in action.parameters if each.name in settled["missing"]]
        return Arguments(said=settled["said"], known=known, missing=tuple(lacking))
    request = ArgumentsRequest(
        action=action,
        question=state["question"],
        history=history_of(state),
        attributes=attributes,
        only_now=action.effect,
        mandate=turn.mandate,
    )
    return await turn.team.arguments(request)


def _kept(told: Arguments) -> JSON:
    return {"said": told.said, "known": sorted(told.known), "missing": [each.name for each in told.missing]}


def values_of(told: Arguments) -> JSON:
    """Return all that an action is told."""
    return {**told.known, **told.said}


def missing(name: str, told: Arguments) -> Reason:
    """Say what an action was not told."""
    lacking = " and ".join(each.about for each in told.missing)
    return Reason(code="act.missing", text=f"{name!r} needs {lacking}, which the customer has not given.")


async def _look(
    turn: Turn, state: State, actions: Sequence[Action], told: dict[str, Arguments]
) -> list[Performed]:
    found: dict[str, Performed] = {}

    async def look(action: Action) -> None:
        found[action.name] = await do(turn, state, action, told[action.name])

    async with anyio.create_task_group() as tasks:
        for action in actions:
            tasks.start_soon(look, action)
    return [found[action.name] for action in actions]


async def do(turn: Turn, state: State, action: Action, told: Arguments, standing: JSON | None = None) -> Performed:
    """Do one action; ``standing`` is what it said itself before policy was asked."""
    request = replace(_request(turn, state, action, told), facts=standing or {})
    return await perform(turn, action, request, turn.team.finder)


async def standing_of(turn: Turn, state: State, action: Action, told: Arguments) -> JSON | None:
    """Return what an effect says of how things stand before it is done; None where that goes wrong."""
    if told.missing or not isinstance(action, HasFacts) or not action.has_facts:
        return {}
    request = _request(turn, state, action, told)
    try:
        with anyio.fail_after(action.timeout):
            return await action.facts(request)
    except Exception as error:
        # Not the error's own text: it may say who the customer is.
        log.warning("%s: the facts of %s failed: %s", request.key, action.name, type(error).__name__)
        return None


def _request(turn: Turn, state: State, action: Action, told: Arguments) -> ActionRequest:
    values = values_of(told)
    return ActionRequest(
        key=key_of(turn.run.id, action.name),
        workspace_id=turn.workspace.id,
        conversation_id=turn.conversation.id,
        run_id=turn.run.id,
        intent=state["route"]["intent"],
        question=state["question"],
        language=state.get("language", ""),
        locale=turn.customer.get("locale"),
        attributes=turn.customer["attributes"],
        customer_id=turn.conversation.customer.get("id"),
        arguments={each.name: values[each.name] for each in parameters_of(action) if each.name in values},
    )


async def finish(turn: Turn, state: State, done: Sequence[Performed], report: JSON) -> State:
    """Put results to their guards, note what was done, and say how the run goes on: with a draft or a person."""
    kept, guarded = await guard_results(turn, done)
    for each in kept:
        turn.decide("act", "action", each.status, (each.reason,) if each.reason else (), action=each.action)
    report["actions"] = [{"name": each.action, "status": each.status} for each in kept]
    found: list[JSON] = [{"name": each.action, "status": each.status, "result": each.result} for each in kept]
    actions = [*state.get("actions", []), *found]
    if guarded.outcome in HOLDING:
        return held_back(state, turn, guarded, actions=actions)
    if reasons := tuple(each.reason for each in kept if each.reason and each.status != "skipped"):
        return escalated(state, reasons, actions=actions)
    step: State = {"next": "draft", "actions": actions}
    if guarded.outcome is Outcome.REVIEW:
        step |= looked_at_first(turn, state)
    return {**step, "passages": [*state.get("passages", []), *_passages(turn, kept)]}


def _passages(turn: Turn, done: Sequence[Performed]) -> list[JSON]:
    made = [
        passage_of(each.action, key_of(turn.run.id, each.action), turn.run.id, each.result)
        for each in done
        if each.status == "done"
    ]
    return [to_json(each) for each in made if each]


def refused(turn: Turn, state: State, held: Sequence[Demand]) -> State:
    """Return the change that leads to a person because policy does not let something be done."""
    told = state.get("reasons", [])
    reasons = [reason for each in held for reason in each.reasons if to_json(reason) not in told]
    blocks = any(each.outcome is Outcome.BLOCK for each in held)
    step = escalated(state, reasons, say=blocked(turn) if blocks else None)
    queue = next((each.queue for each in held if each.queue), None)
    return {**step, "queue": queue} if queue else step
