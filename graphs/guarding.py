"""How a turn puts its guards to texts that come in: what a customer wrote, passages, what actions returned.

What goes out is judged sentence by sentence in ``graphs.nodes.gate``. Every finding that counts is told to staff
and written to the ledger, whose reasons never quote the text that was judged: erasing a person must reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import anyio

from graphs.effects import Performed
from graphs.state import State, escalated
from graphs.team import Team
from graphs.turn import Turn
from policies.errors import ConfigError
from policies.guards import Guarding, GuardRequest
from policies.rules import strictest
from policies.types import Autonomy, Outcome, Passage, Reason, to_json
from tools.assistants import Assistant

NODES = {"input": "intake", "passage": "retrieve", "tool": "act", "output": "draft"}
"""The step that puts the guards of a stage."""
HOLDING = (Outcome.ESCALATE, Outcome.BLOCK)
"""What ends the assistant's part in a turn."""


async def judge(turn: Turn, request: GuardRequest, **more: Any) -> Guarding:
    """Put a text to the guards of its stage, and note what they find; ``more`` goes into the event."""
    found = await turn.team.guards.check(request)
    told(turn, request.stage, found, **more)
    return found


def told(turn: Turn, stage: str, found: Guarding, **more: Any) -> None:
    """Note down what the guards of a stage found, if anything."""
    if found.passed:
        return
    reasons = reasons_of(found)
    scores = {each.guard: round(each.score, 4) for each in found.failed}
    turn.decide(NODES[stage], "guard", str(found.outcome), reasons, stage=stage, guards=scores)
    findings = [
        {"guard": each.guard, "score": round(each.score, 4), "spans": [list(span) for span in each.spans]}
        for each in found.failed
    ]
    data = {"stage": stage, "action": str(found.outcome), "reasons": [to_json(each) for each in reasons]}
    turn.note("guardrail", {**data, "findings": findings, **more}, staff=True)


def reasons_of(found: Guarding) -> tuple[Reason, ...]:
    """Return why guards failed."""
    return tuple(each.reason for each in found.failed)


async def guard_passages(turn: Turn, passages: Sequence[Passage]) -> tuple[tuple[Passage, ...], Guarding]:
    """Return the passages that may be drawn on, and what the guards found in all of them together.

    One that is to be revised is left out.
    """
    found: dict[str, Guarding] = {}

    async def check(passage: Passage) -> None:
        found[passage.id] = await check_passage(turn.team, passage)

    async with anyio.create_task_group() as tasks:
        for passage in passages:
            tasks.start_soon(check, passage)
    for passage in passages:
        told(turn, "passage", found[passage.id], passage=passage.id, document=passage.document)
    kept = [passage for passage in passages if found[passage.id].outcome is not Outcome.REVISE]
    return tuple(kept), together(list(found.values()))


async def check_passage(team: Team, passage: Passage) -> Guarding:
    """Return what the guards find in a passage, its title and its headings."""
    checked = await team.guards.check(GuardRequest(stage="passage", text=passage.text, passages=(passage,)))
    return together([checked, await _headings(team, passage)])


async def _headings(team: Team, passage: Passage) -> Guarding:
    """Check the title and headings of a passage, which a model reads too."""
    text = f"{passage.title}\n{passage.heading}".strip()
    found = await team.guards.check(GuardRequest(stage="passage", text=text))
    return replace(found, failed=tuple(replace(each, spans=()) for each in found.failed))


async def guard_results(turn: Turn, done: Sequence[Performed]) -> tuple[list[Performed], Guarding]:
    """Return what actions did, without results that are to be revised, and what the guards found in them."""
    kept, failed = [], []
    for each in done:
        if each.status != "done" or each.result in (None, {}, [], ""):
            kept.append(each)
            continue
        request = GuardRequest(stage="tool", text=_text(each.result))
        found = await judge(turn, request, tool=each.action)
        failed.append(found)
        left_out = found.outcome is Outcome.REVISE
        kept.append(Performed(action=each.action, status=each.status) if left_out else each)
    return kept, together(failed)


def _text(result: Any) -> str:
    """Return all that is said in a result, as it is and not escaped: a line for each name with its value."""
    return "\n".join(_said(result))


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            first, *rest = [*_said(item)] or [""]
            yield from (f"{name}: {first}", *rest)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _said(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def together(found: Sequence[Guarding]) -> Guarding:
    """Return what guards found in several texts as one."""
    return Guarding(
        outcome=strictest([each.outcome for each in found]),
        failed=tuple(finding for each in found for finding in each.failed),
    )


def looked_at_first(turn: Turn, state: State) -> State:
    """Return the change by which a person looks at the answer before it leaves."""
    turn.streams = False
    return {"autonomy": str(Autonomy.REVIEW)} if state["autonomy"] == Autonomy.AUTO else {}


def held_back(state: State, turn: Turn, found: Guarding, **more: Any) -> State:
    """Return the change that leads to a person because of what guards found."""
    say = blocked(turn) if found.outcome is Outcome.BLOCK else None
    return escalated(state, reasons_of(found), say=say, **more)


def blocked(turn: Turn) -> str:
    """Return what the customer reads where policy blocks."""
    return turn.team.assistant.policy.messages.blocked


async def require_own_words(team: Team) -> None:
    """Make sure that what policy says itself may leave; raises ``ConfigError`` that names each text that may not.

    These are the same for every customer, so they are looked at once, before anybody reads them.
    """
    wrong = []
    for field, text in _own_words(team.assistant):
        found = await team.guards.check(GuardRequest(stage="output", text=text, own=True))
        wrong += [f"{field}: {each.reason.text}" for each in found.failed]
    if wrong:
        raise ConfigError(
            "\n".join(wrong),
            remedy="Write it otherwise, or change the guard in `guards`; if a guard crashed, the log says why.",
            code="policy.own_words",
        )


def _own_words(assistant: Assistant) -> Iterator[tuple[str, str]]:
    policy = assistant.policy
    yield "assistant.yaml: greeting", assistant.file.greeting
    texts = {
        **{f"messages.{name}": text for name, text in policy.messages},
        **{f"answers.{name}": text for name, text in policy.answers.items()},
        **{f"templates.{name}": text for name, text in policy.templates.items()},
        **{f"rules.{rule.id}": rule.say for rule in policy.rules if rule.say},
    }
    yield from ((f"policy.yaml: {field}", text) for field, text in texts.items())
