"""Effects: doing something outside at most once, or saying that nobody knows whether it was done.

A receipt ``pending`` is on disk before the call and is settled after it. What is found decides what is done:

    nothing     write ``pending``, call
    pending     idempotent on both sides: call again with the same key; otherwise ``unknown``, no call
    done        use the stored result, no call
    refused     a person gets the reason, no call
    unknown     a person gets the conversation, no call
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import anyio

from graphs.turn import STEPS_PER_ATTEMPT, Turn
from graphs.writing import Findings, findings
from policies.errors import Refused
from policies.personal_data import PersonalDataFinder
from policies.types import JSON, Reason
from tools.actions import Action, ActionRequest
from tools.storable import brief
from tools.storage import conversations, events, ledger, receipts, runs, vault
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.receipts import Begun, Receipt
from tools.storage.runs import Run
from tools.storage.store import Tx
from tools.telemetry import names
from tools.telemetry.spans import Attributes, span

log = logging.getLogger("handrail.effects")
CALLS = 3
"""How often one attempt calls what may be called again."""
PAUSE_SECONDS = 0.2
Status = Literal["done", "skipped", "refused", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Performed:
    """How an action ended."""

    action: str
    status: Status
    result: Any = None
    """What it returned, personal data masked."""
    reason: Reason | None = None
    """Why it is not done, for a person; None when it is."""


@dataclass(frozen=True)
class _Answer:
    status: Status
    content: Any = None


async def perform(
    turn: Turn, action: Action, request: ActionRequest, finder: PersonalDataFinder | None = None
) -> Performed:
    """Run an action, with a receipt if it has an effect.

    Raises ``Overtaken`` when a person or a newer message came first, and ``Fenced`` when another attempt owns the
    run; nothing is sent then. A call that is cut off from outside leaves its receipt pending, for the next attempt
    or the end of the run to settle. What comes back is masked, and with a finder names and addresses are too; a
    finder that fails leaves that to patterns, and the receipt is settled all the same.
    """
    if not action.effect:
        return await _look(turn, action, request, finder)
    begun = await _begin(turn, action)
    receipt = begun.receipt
    if receipt.status == "pending":
        again = action.idempotent and receipt.idempotent
        answer = await _insist(action, request) if begun.fresh or again else _Answer("unknown")
        found = await findings(finder, *_texts(answer.content))
        settle = partial(_settle, turn=turn, key=receipt.key, answer=answer, found=found)
        receipt = await turn.workspace.write(settle)
        turn.known_placeholders |= await turn.workspace.read(
            lambda tx: vault.placeholders(tx, turn.conversation.id)
        )
    return _performed(receipt)


async def _look(
    turn: Turn, action: Action, request: ActionRequest, finder: PersonalDataFinder | None
) -> Performed:
    """Run an action without effect; what it finds is masked before it goes anywhere."""
    answer = await _call(action, request)
    if answer.status == "unknown":
        text = f"{action.name!r} changes nothing and did not answer; it can be tried again."
        return Performed(action=action.name, status="failed", reason=Reason(code="act.failed", text=text))

    found = await findings(finder, *_texts(answer.content))

    def mask(tx: Tx) -> tuple[Any, frozenset[str]]:
        conversations.lock(tx, turn.conversation.id)
        runs.require_claim(tx, turn.run)
        kept = _masked(tx, turn.conversation.id, answer.content, found)
        return kept, vault.placeholders(tx, turn.conversation.id)

    kept, known = await turn.workspace.write(mask, durable=False)
    turn.known_placeholders |= known
    if answer.status == "refused":
        return Performed(action=action.name, status="refused", reason=_refused(action.name, kept))
    return Performed(action=action.name, status="done", result=kept)


async def _begin(turn: Turn, action: Action) -> Begun:
    """Commit the promise, with all that was noted before it, if the conversation is still ours."""
    begun: list[Begun] = []

    def promise(tx: Tx) -> None:
        begun.append(receipts.begin(tx, turn.run, action.name, idempotent=action.idempotent))

    await turn.send("act", [], promise)
    return begun[-1]


async def _insist(action: Action, request: ActionRequest) -> _Answer:
    answer = await _call(action, request)
    for call in range(1, CALLS if action.idempotent else 1):
        if answer.status != "unknown":
            break
        await anyio.sleep(PAUSE_SECONDS * 2 ** (call - 1))
        answer = await _call(action, request)
    return answer


async def _call(action: Action, request: ActionRequest) -> _Answer:
    about: Attributes = {
        names.OPERATION: "execute_tool",
        names.TOOL: action.name,
        names.TOOL_TYPE: "function",
        names.TOOL_CALL: request.key,
    }
    with span("tool", f"execute_tool {action.name}", about) as it:
        answer = await _tried(action, request)
        it.set({names.OUTCOME: answer.status})
        if answer.status == "unknown":
            it.fail("unknown")
        return answer


async def _tried(action: Action, request: ActionRequest) -> _Answer:
    try:
        with anyio.fail_after(action.timeout):
            return _Answer("done", await action(request))
    except Refused as refused:
        return _Answer("refused", brief(str(refused.message)))
    except Exception as error:
        # Not the error's own text: it may say who the customer is.
        log.warning("%s: the action %s failed: %s", request.key, action.name, type(error).__name__)
        return _Answer("unknown")


def _settle(tx: Tx, *, turn: Turn, key: str, answer: _Answer, found: Findings) -> Receipt:
    conversations.lock(tx, turn.conversation.id)
    content = _masked(tx, turn.conversation.id, answer.content, found)
    status: receipts.Status = answer.status if answer.status in ("done", "refused") else "unknown"
    return receipts.settle(tx, turn.run, key, status, content)


def _masked(tx: Tx, conversation_id: str, value: Any, found: Findings) -> Any:
    """Return a value as plain JSON with placeholders, whatever an action gave."""
    return _replaced(value, vault.all_masked(tx, conversation_id, _texts(value), found))


def _replaced(value: Any, masked: Mapping[str, str]) -> Any:
    match value:
        case bool() | int() | float() | None:
            return value
        case dict():
            return {masked[str(name)]: _replaced(item, masked) for name, item in value.items()}
        case list() | tuple():
            return [_replaced(item, masked) for item in value]
    return masked[str(value)]


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in what an action gave, as ``_replaced`` will meet them."""
    match value:
        case bool() | int() | float() | None:
            return
        case dict():
            for name, item in value.items():
                yield str(name)
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case _:
            yield str(value)


def _performed(receipt: Receipt) -> Performed:
    if receipt.status == "done":
        return Performed(action=receipt.action, status="done", result=receipt.result)
    if receipt.status == "refused":
        reason = _refused(receipt.action, receipt.result)
        return Performed(action=receipt.action, status="refused", reason=reason)
    return Performed(action=receipt.action, status="unknown", reason=unknown(receipt))


def _refused(action: str, why: str) -> Reason:
    return Reason(code="act.refused", text=f"{action!r} was refused, and nothing was done: {why}")


def unknown(receipt: Receipt) -> Reason:
    """Say that nobody knows whether an effect came about, and what to look for."""
    text = (
        f"The outcome of {receipt.action!r} is unknown: it was begun at {receipt.created_at} and nothing "
        f"came back. Look in the system it acts on for the key {receipt.key} before anybody does it again."
    )
    return Reason(code="act.unknown", text=text)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a run has done outside, for the person who gets it."""

    done: tuple[str, ...]
    """Names of actions."""
    unknown: tuple[Reason, ...]


def standing(tx: Tx, run_id: str) -> Standing:
    """Return how the effects of a run stand that is given up."""
    known = receipts.of_run(tx, run_id)
    return Standing(
        done=tuple(each.action for each in known if each.status == "done"),
        unknown=tuple(unknown(each) for each in known if each.status in ("pending", "unknown")),
    )


def abandon(tx: Tx, run: Run) -> None:
    """Settle what a run leaves open when it ends; tells the staff and the ledger of each.

    It belongs into the transaction that ends the run: nobody would come back to such a receipt. The event is the
    conversation's own, since the run's last one is ``run.finished``.
    """
    left = receipts.abandon(tx, run.id)
    told = [NewEvent(type="error", data=_told(each), audience="staff") for each in left]
    events.append(tx, run.conversation_id, told)
    ledger.append(tx, run.conversation_id, run.id, [_decision(run, n, each) for n, each in enumerate(left)])


def _told(receipt: Receipt) -> JSON:
    reason = unknown(receipt)
    return {"code": reason.code, "message": reason.text, "retryable": False, "action": receipt.action}


def _decision(run: Run, number: int, receipt: Receipt) -> Decision:
    reason = unknown(receipt)
    body = {
        "actor": {"type": "service", "id": "effects"},
        "outcome": "unknown",
        "reasons": [{"code": reason.code, "text": reason.text}],
        "rules": [],
        "action": receipt.action,
        "receipt": receipt.key,
        "trace_id": run.trace_id,
    }
    return Decision(node="act", kind="abandoned", body=body, step=run.epoch * STEPS_PER_ATTEMPT + number)
