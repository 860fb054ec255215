"""The step that drafts: drafter and gate as one pipeline, so that no sentence leaves unchecked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import anyio
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectSendStream

from agents.checker import SentenceRequest
from agents.drafter import DraftRequest
from graphs.guarding import HOLDING, blocked, looked_at_first
from graphs.nodes import Context
from graphs.state import State, escalated, history_of, passages_of
from graphs.team import Checker
from graphs.turn import Turn
from graphs.writing import findings
from policies.budgets import strictest
from policies.personal_data import PLACEHOLDER, broken_placeholders, find
from policies.sections import Budgets
from policies.sentence_form import form_of, visible
from policies.types import (
    Abstention,
    Outcome,
    Passage,
    Reason,
    Sentence,
    Tier,
    Verdict,
    route_from_json,
    to_json,
)
from tools.storage import conversations, vault
from tools.storage.store import Tx

MOST_REVISIONS = 2
LOST_FIRST = Reason(
    code="draft.lost_first",
    text="The first sentence of the draft did not pass, and what is left stood beside it.",
)
MOST_SENTENCES = 12
"""A draft ends with so many, whoever writes it."""
HEAD_START = 6
"""So many rounds of the event loop take a check to where it waits for a thread."""
NO_BUDGETS = Budgets()
Drafted = Sentence | Abstention


async def draft(state: State, runtime: Context) -> State:
    """Draft and check sentence by sentence; what passes may leave at once where policy allows it.

    Where policy has the answer itself nothing is drafted, but what it says goes through the same gate.
    """
    turn = runtime.context
    async with turn.step("draft") as report:
        if said := state.get("said"):
            report["said"] = True
            turn.decide("draft", "said", "policy's own text")
            return await _said(state, turn, Sentence(text=said))
        if over := await _over_budget(state, turn):
            return over
        request = DraftRequest(
            question=state["question"],
            history=history_of(state),
            passages=passages_of(state),
            route=route_from_json(state["route"]),
            rejected=tuple(state.get("rejected", [])),
            language=state.get("language", ""),
            mandate=turn.mandate,
        )
        gated = _Gated(state, turn)
        turn.passed = gated.passed
        async with _ahead(turn.team.drafter(request)) as items:
            async for item in items:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, Abstention):
                    report["abstained"] = item.code
                    return _abstained(state, turn, item, gated.passed)
                if not await gated.take(item, request.passages):
                    break
        report["sentences"] = len(gated.passed)
        return _heeding(state, turn, gated.step())


@asynccontextmanager
async def _ahead(items: AsyncGenerator[Drafted, None]) -> AsyncIterator[AsyncIterator[Drafted | Exception]]:
    """Read a draft ahead of its checks, which may need the place with a model that it has until it has ended.

    What goes wrong in it is its last item, so that what came before is still checked and sent. No more is read
    than the longest draft, so that no more waits to be checked.
    """
    send, receive = anyio.create_memory_object_stream[Drafted | Exception](MOST_SENTENCES + 1)

    async def read() -> None:
        async with send, aclosing(items):
            given = 0
            try:
                async for item in items:
                    given += isinstance(item, Sentence)
                    if given > MOST_SENTENCES:
                        break
                    send.send_nowait(item)
                    if isinstance(item, Abstention):
                        break
                    await _give_way(send)
            except Exception as error:
                send.send_nowait(error)

    try:
        async with receive, send, anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            yield receive
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _give_way(send: MemoryObjectSendStream[Drafted | Exception]) -> None:
    """Let the check of a sentence go ahead of reading on: a quick model's whole reply may be here already.

    It is never waited for: it may need the place with a model that the draft has until it has been read.
    """
    for _ in range(HEAD_START):
        await checkpoint()
        if send.statistics().tasks_waiting_receive:
            return


async def _over_budget(state: State, turn: Turn) -> State | None:
    """Look at the budgets before a model is asked: return the way to a person, if they ask for one.

    Where they ask for a review no sentence leaves before it, so this can't wait for the call's own look at them.
    """
    mandate, spending = turn.mandate, turn.team.spending
    if mandate is None or spending is None or mandate.budgets == NO_BUDGETS:
        return None
    turn.heed(strictest(mandate.budgets, await spending.spent(mandate.account)))
    if turn.budget.action != "escalate" or turn.budget.reason is None:
        return None
    turn.decide("draft", "budget", "escalate", (turn.budget.reason,))
    return escalated(state, [turn.budget.reason])


def _heeding(state: State, turn: Turn, step: State) -> State:
    """Let a person look at a draft first, or answer, if a budget asks for it by now."""
    reason = turn.budget.reason
    if reason is None or turn.budget.action not in ("review", "escalate") or step["next"] == "escalate":
        return step
    if turn.budget.action == "escalate":
        return escalated(state, [reason], sentences=step["sentences"])
    # A draft that is begun anew tells it at its end.
    told: State = {} if step["next"] == "draft" else {"reasons": [*state.get("reasons", []), to_json(reason)]}
    return {**step, **told, **looked_at_first(turn, state)}


class _Gated:
    """What became of the sentences of one draft."""

    def __init__(self, state: State, turn: Turn) -> None:
        self.passed: list[Sentence] = []
        self.refused: list[tuple[Sentence, Verdict]] = []
        self._state = state
        self._turn = turn
        self._looked_at: State = {}
        self._begins: bool | None = None
        """Whether the first sentence passed, which is the answer where a model drafted."""

    async def take(self, sentence: Sentence, passages: tuple[Passage, ...], *, own: bool = False) -> bool:
        """Put one sentence through the gate, and send it if it may leave now; say whether more may follow."""
        verdict = await gate(self._state, self._turn, sentence, passages, own=own)
        if self._begins is None:
            self._begins = verdict.passed or verdict.outcome is Outcome.REVIEW
        if not verdict.passed:
            # It is kept, for a person to see, and may hold what no row may.
            sentence = replace(sentence, text=await masked(self._turn, visible(sentence.text)))
        if verdict.outcome is Outcome.REVIEW:
            self._looked_at = looked_at_first(self._turn, self._state)
        elif not verdict.passed:
            self.refused.append((sentence, verdict))
            return verdict.outcome not in HOLDING
        self.passed.append(sentence)
        if verdict.passed and self._turn.streams and not self._state.get("revisions") and self._begins:
            await self._turn.release(sentence)
        return True

    def step(self, *, fixed: bool = False) -> State:
        """Return how the run goes on; a ``fixed`` text can't be drafted again."""
        held = [verdict for _, verdict in self.refused if verdict.outcome in HOLDING]
        self._tell(fixed)
        if held:
            say = blocked(self._turn) if held[0].outcome is Outcome.BLOCK else None
            return escalated(self._state, held[0].reasons, say=say)
        done = self._state.get("revisions", 0)
        again = bool(self.refused) and not fixed and not self._turn.released and done < MOST_REVISIONS
        texts, asides = [each.text for each in self.passed], self._state.get("asides", [])
        if not self._begins:
            asides = [*asides, *texts]
        if texts and not again and set(texts) <= set(asides):
            reasons = [*self._state.get("reasons", []), to_json(LOST_FIRST)]
            self._looked_at = {"reasons": reasons, **looked_at_first(self._turn, self._state)}
        return {
            "sentences": [to_json(sentence) for sentence in self.passed],
            "rejected": [*self._state.get("rejected", []), *(sentence.text for sentence, _ in self.refused)],
            "asides": asides,
            "revisions": done + again,
            "next": "draft" if again else "check",
            **self._looked_at,
        }

    def _tell(self, fixed: bool) -> None:
        reasons = tuple(reason for _, verdict in self.refused for reason in verdict.reasons)
        outcome = "passed" if not self.refused else "refused some"
        tier = "local" if fixed else _tier(self._turn)
        self._turn.decide("draft", "gate", outcome, reasons, sentences=len(self.passed), tier=tier)
        for sentence, verdict in self.refused:
            data = {
                "stage": "output",
                "action": str(verdict.outcome),
                "text": sentence.text,
                "reasons": [to_json(reason) for reason in verdict.reasons],
            }
            self._turn.note("guardrail", data, staff=True)


async def masked(turn: Turn, text: str) -> str:
    """Return a drafted text with placeholders of its conversation for the personal data in it, if there is any."""
    found = await findings(turn.team.finder, text)
    if not (found.get(text) or find(text)):
        return text

    def mask(tx: Tx) -> tuple[str, frozenset[str]]:
        conversations.lock(tx, turn.conversation.id)
        known = vault.placeholders(tx, turn.conversation.id)
        kept = vault.masked(tx, turn.conversation.id, text, found.get(text), keep=known)
        return kept, vault.placeholders(tx, turn.conversation.id)

    text, turn.known_placeholders = await turn.workspace.write(mask, durable=False)
    return text


async def _said(state: State, turn: Turn, sentence: Sentence) -> State:
    """Put policy's own text through the gate; there is no other to take its place."""
    gated = _Gated(state, turn)
    await gated.take(sentence, (), own=True)
    return gated.step(fixed=True)


async def gate(
    state: State, turn: Turn, sentence: Sentence, passages: tuple[Passage, ...], *, own: bool = False
) -> Verdict:
    """Check one sentence: nothing leaves that did not come through here. ``own`` are policy's own words."""
    request = SentenceRequest(
        sentence=sentence,
        passages=passages,
        question=state["question"],
        language=state.get("language", ""),
        own=own,
        placeholders=turn.known_placeholders & _read(state, passages),
        mandate=None if own else turn.mandate,
    )
    return await judged(turn.team.checker, request)


def _read(state: State, passages: Sequence[Passage]) -> frozenset[str]:
    """Return the placeholders in what a draft is made from; others may stand for what a gate has refused."""
    texts = [state["question"], *(said.text for said in history_of(state)), *(each.text for each in passages)]
    return frozenset(mark for text in texts for mark in PLACEHOLDER.findall(text))


async def judged(checker: Checker, request: SentenceRequest) -> Verdict:
    """Refuse a sentence whose form hides what it says, or whose placeholder it may not hold; check any other."""
    if wrong := form_of(request.sentence.text, _cited(request), own=request.own):
        return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=(Reason(code="gate.form", text=wrong),))
    broken = broken_placeholders(request.sentence.text, set(request.placeholders))
    if broken:
        text = f"The sentence holds {broken[0]}, which stands for nothing that was said or found."
        return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=(Reason(code="gate.placeholder", text=text),))
    return await checker.sentence(request)


def _cited(request: SentenceRequest) -> list[str]:
    """Return the texts that a sentence cites, as they stand in the articles and as they are quoted."""
    citations = request.sentence.citations
    names = {each.passage_id for each in citations}
    passages = [each.text for each in request.passages if each.id in names]
    return [*passages, *(each.quote for each in citations)]


def _abstained(state: State, turn: Turn, item: Abstention, passed: Sequence[Sentence]) -> State:
    """Return the way to a person, with what was drafted before the drafter gave up."""
    reason = Reason(code=item.code, text=item.text)
    turn.decide("draft", "abstain", "escalate", (reason,), confidence=item.confidence, tier=_tier(turn))
    return escalated(state, [reason], sentences=[to_json(sentence) for sentence in passed])


def _tier(turn: Turn) -> Tier:
    return turn.tiers.get("draft", "local")
