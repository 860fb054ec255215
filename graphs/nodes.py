"""The steps of the support graph: adapters between graph state and agents.

Each takes the state and the turn, and returns what changes; ``next`` names the step that follows. Nothing here
waits for a person but ``review``, which does nothing else, because a step runs again from its top on resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.checker import AnswerRequest, SentenceRequest
from agents.drafter import DraftRequest
from agents.escalation import EscalationRequest
from agents.router import RouteRequest
from graphs.delivery import Handover, deliver, hand_over
from graphs.state import State
from graphs.turn import Turn
from policies.followups import standalone
from policies.personal_data import broken_placeholders
from policies.rules import RuleOutcome, evaluate, strictest
from policies.rulings import after_check, after_route, answer_facts, doubts, route_facts
from policies.types import (
    JSON,
    Abstention,
    Autonomy,
    Outcome,
    Passage,
    Reason,
    Route,
    Sentence,
    Verdict,
    passage_from_json,
    reasons_from_json,
    route_from_json,
    sentence_from_json,
    to_json,
)
from policies.types import Turn as Said

Context = Runtime[Turn]
MOST_REVISIONS = 2
PASSAGES = 8


async def intake(state: State, runtime: Context) -> State:
    """Look at the message itself: is it short enough, and in a language that somebody here reads?"""
    turn = runtime.context
    async with turn.step("intake") as report:
        if state.get("too_long"):
            text = "The messages that came before an answer are too long together."
            reason = Reason(code="intake.too_long", text=text)
            turn.decide("intake", "limit", "escalate", (reason,))
            return _escalated(state, [reason])
        language = turn.team.language(state["question"])
        report["language"] = language
        if language in turn.team.assistant.policy.languages:
            return {"language": language, "next": "route"}
        reason = Reason(
            code="intake.language", text=f"The message seems to be in {language!r}, which is not served."
        )
        turn.decide("intake", "guard", "escalate", (reason,))
        turn.note("guardrail", {"stage": "input", "action": "escalate", "reason": reason.text}, staff=True)
        return _escalated(state, [reason], language=language)


async def route(state: State, runtime: Context) -> State:
    """Say what the message is about and how far we may go alone."""
    turn = runtime.context
    async with turn.step("route") as report:
        expand = turn.team.assistant.glossary.expand
        request = RouteRequest(
            text=expand(state["question"]),
            history=tuple(replace(said, text=expand(said.text)) for said in _history(state)),
            previous_intent=state.get("previous_intent"),
        )
        found = await turn.team.router(request)
        turn.intent = found.intent
        report["route"] = to_json(found)
        ruling = evaluate([rule for rule in turn.team.assistant.rules if rule.on == "route"], _facts(state, found))
        unsure = doubts(found, turn.team.assistant.policy.thresholds)
        reasons = [*found.reasons, *unsure, *ruling.reasons]
        step = _after_route(state, turn, found, ruling, reasons, doubted=bool(unsure))
        step["route"] = to_json(found)
        step["queue"] = ruling.queue or found.queue
        step["priority"] = found.priority
        grounds: JSON = {"intent": found.intent, "confidence": found.confidence, "route": to_json(found)}
        if any(said.handed_back for said in request.history):
            grounds["handed_back"] = True
        turn.decide("route", "route", step["next"], tuple(reasons), **grounds)
        return step


def _after_route(
    state: State, turn: Turn, found: Route, ruling: RuleOutcome, reasons: list[Reason], *, doubted: bool
) -> State:
    outcome, autonomy = after_route(found.autonomy, ruling, doubted)
    if outcome in (Outcome.ESCALATE, Outcome.BLOCK):
        return _escalated(state, reasons, say=_blocked(turn) if outcome is Outcome.BLOCK else None)
    turn.streams = autonomy is Autonomy.AUTO and turn.team.assistant.streams
    step: State = {"next": "retrieve", "autonomy": str(autonomy), "reasons": [to_json(each) for each in reasons]}
    if ruling.requires:
        step["required"] = {name: to_json(reason) for name, reason in ruling.requires.items()}
    if said := ruling.say or turn.team.assistant.policy.answers.get(found.intent or ""):
        return {**step, "said": said, "next": _to_the_said(turn, found.intent, ruling)}
    return step


def _to_the_said(turn: Turn, intent: str | None, ruling: RuleOutcome) -> str:
    """Return the step before a fixed text: what is to be done for the intent, unless a rule's text answers."""
    return "act" if turn.team.actions_of(intent) and not ruling.say else "draft"


def _blocked(turn: Turn) -> str:
    return turn.team.assistant.policy.messages.blocked


def _facts(state: State, found: Route) -> JSON:
    return route_facts(
        state["question"],
        found,
        customer=state.get("customer", {}),
        language=state.get("language", ""),
        turns=state.get("turns", 0),
    )


async def retrieve(state: State, runtime: Context) -> State:
    """Find the passages; finding none is a reason for a person, not for improvising."""
    turn = runtime.context
    async with turn.step("retrieve") as report:
        query = turn.team.assistant.glossary.expand(standalone(state["question"], _history(state)))
        result = await turn.team.searcher.search(query, audience="customer", limit=PASSAGES)
        report["passages"] = len(result.passages)
        sources = [_source(passage) for passage in result.passages]
        turn.note("retrieval", {"query": query, "sources": sources}, staff=True)
        if result.fallback:
            turn.note("degraded", {"dependency": "vector_store", "fallback": result.fallback}, staff=True)
        lineage = [passage.id for passage in result.passages]
        turn.decide("retrieve", "retrieve", "found", lineage=lineage, index_version=result.index_version)
        if not result.passages:
            return _escalated(state, [Reason(code="retrieve.nothing", text="No article has anything on this.")])
        acts = turn.team.actions_of(state["route"]["intent"])
        found = [to_json(each) for each in result.passages]
        return {"asked": query, "passages": found, "next": "act" if acts else "draft"}


def _source(passage: Passage) -> JSON:
    return {
        "id": passage.id,
        "document": passage.document,
        "document_version": passage.document_version,
        "title": passage.title,
        "heading": passage.heading,
        "score": round(passage.score, 4),
    }


async def draft(state: State, runtime: Context) -> State:
    """Draft and check sentence by sentence; what passes may leave at once where policy allows it.

    Where policy has the answer itself nothing is drafted.
    """
    turn = runtime.context
    async with turn.step("draft") as report:
        if said := state.get("said"):
            report["said"] = True
            turn.decide("draft", "said", "policy's own text")
            return {"sentences": [to_json(Sentence(text=said))], "next": "check"}
        request = DraftRequest(
            question=state["question"],
            history=_history(state),
            passages=_passages(state),
            route=route_from_json(state["route"]),
            rejected=tuple(state.get("rejected", [])),
        )
        passed: list[Sentence] = []
        turn.passed = passed
        refused: list[tuple[Sentence, Verdict]] = []
        async for item in turn.team.drafter(request):
            if isinstance(item, Abstention):
                report["abstained"] = item.code
                return _abstained(state, turn, item)
            verdict = await gate(turn, item, request.passages)
            if not verdict.passed:
                refused.append((item, verdict))
                continue
            passed.append(item)
            if turn.streams and not state.get("revisions"):
                await turn.release(item)
        report["sentences"] = len(passed)
        return _drafted(state, turn, passed, refused)


async def gate(turn: Turn, sentence: Sentence, passages: tuple[Passage, ...]) -> Verdict:
    """Check one sentence: nothing leaves that did not come through here."""
    broken = broken_placeholders(sentence.text, set(turn.known_placeholders))
    if broken:
        text = f"The sentence holds {broken[0]}, which stands for nothing in this conversation."
        return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=(Reason(code="gate.placeholder", text=text),))
    return await turn.team.checker.sentence(SentenceRequest(sentence=sentence, passages=passages))


def _abstained(state: State, turn: Turn, item: Abstention) -> State:
    reason = Reason(code=item.code, text=item.text)
    turn.decide("draft", "abstain", "escalate", (reason,), confidence=item.confidence)
    return _escalated(state, [reason])


def _drafted(
    state: State, turn: Turn, passed: Sequence[Sentence], refused: Sequence[tuple[Sentence, Verdict]]
) -> State:
    reasons = tuple(reason for _, verdict in refused for reason in verdict.reasons)
    turn.decide("draft", "gate", "passed" if not refused else "refused some", reasons, sentences=len(passed))
    for sentence, verdict in refused:
        named = [to_json(reason) for reason in verdict.reasons]
        turn.note(
            "guardrail",
            {"stage": "output", "action": "revise", "text": sentence.text, "reasons": named},
            staff=True,
        )
    again = bool(refused) and not turn.released and state.get("revisions", 0) < MOST_REVISIONS
    return {
        "sentences": [to_json(sentence) for sentence in passed],
        "rejected": [*state.get("rejected", []), *(sentence.text for sentence, _ in refused)],
        "revisions": state.get("revisions", 0) + again,
        "next": "draft" if again else "check",
    }


async def check(state: State, runtime: Context) -> State:
    """Check the whole: does it answer, does it hold together, do the rules on the whole allow it?"""
    turn = runtime.context
    async with turn.step("check") as report:
        sentences = _sentences(state)
        if not sentences:
            return _escalated(
                state, [Reason(code="check.nothing_left", text="No drafted sentence passed its check.")]
            )
        verdict = await _whole(state, turn, sentences)
        rules = [rule for rule in turn.team.assistant.rules if rule.on == "answer"]
        facts = _facts(state, route_from_json(state["route"]))
        ruling = evaluate(rules, {**facts, **answer_facts(sentences, verdict.score)})
        reasons = (*verdict.reasons, *ruling.reasons)
        step = _after_check(state, turn, verdict, ruling.outcome, reasons)
        if ruling.queue:
            step["queue"] = ruling.queue
        report["verdict"] = {"outcome": step["next"], "score": round(verdict.score, 4)}
        turn.decide("check", "verdict", step["next"], reasons, confidence=round(verdict.score, 4))
        return step


async def _whole(state: State, turn: Turn, sentences: tuple[Sentence, ...]) -> Verdict:
    """Check the whole of a draft; what policy itself says rests on no passage."""
    if "said" in state:
        return Verdict(outcome=Outcome.PASS)
    request = AnswerRequest(question=state["asked"], sentences=sentences, passages=_passages(state))
    return await turn.team.checker.answer(request)


def _after_check(state: State, turn: Turn, verdict: Verdict, ruled: Outcome, reasons: tuple[Reason, ...]) -> State:
    autonomy = Autonomy(state["autonomy"])
    asked = strictest([verdict.outcome, ruled])
    if asked in (Outcome.ESCALATE, Outcome.BLOCK):
        return _escalated(state, list(reasons), say=_blocked(turn) if ruled is Outcome.BLOCK else None)
    outcome = after_check(autonomy, asked)
    if outcome is Outcome.ESCALATE:
        text = f"Policy lets the assistant only suggest answers on {state['route']['intent']}."
        return _escalated(state, [Reason(code="check.suggest", text=text)])
    kept = [*state.get("reasons", []), *(to_json(reason) for reason in reasons)]
    return {"next": "review" if outcome is Outcome.REVIEW else "deliver", "reasons": kept}


async def review(state: State, runtime: Context) -> State:
    """Ask a person; the segment ends here and goes on with the answer."""
    turn = runtime.context
    question = {
        "sentences": state["sentences"],
        "reasons": state.get("reasons", []),
        "queue": state.get("queue") or turn.team.assistant.policy.default_queue,
        "priority": state.get("priority", "normal"),
    }
    return after_review(state, interrupt(question))


def after_review(state: State, answer: JSON) -> State:
    """Say how a run goes on after a person's answer, which the ledger has already."""
    if answer["decision"] == "approve":
        return {"next": "deliver", "answer": answer}
    if answer["decision"] == "edit":
        edited = to_json(Sentence(text=answer["text"]))
        return {"next": "deliver", "answer": answer, "sentences": [edited]}
    step = _escalated(state, [review_reason(answer)])
    return {**step, "priority": answer["priority"]} if "priority" in answer else step


def review_reason(answer: JSON) -> Reason:
    """Return a person's answer to a review as a reason."""
    text = answer.get("note") or f"A person said: {answer['decision']}."
    return Reason(code=f"review.{answer['decision']}", text=text)


async def send(state: State, runtime: Context) -> State:
    """Deliver the answer."""
    turn = runtime.context
    outcome = "reviewed" if "answer" in state else "said" if "said" in state else "answered"
    return {"next": await deliver(turn, _sentences(state), outcome)}


async def escalate(state: State, runtime: Context) -> State:
    """Hand over to a person: one message to the customer, one brief."""
    turn = runtime.context
    policy = turn.team.assistant.policy
    async with turn.step("escalate") as report:
        request = EscalationRequest(
            question=state["question"],
            history=_history(state),
            route=route_from_json(state["route"]) if "route" in state else None,
            passages=_passages(state),
            sentences=_sentences(state),
            reasons=reasons_from_json(state.get("reasons", [])),
            queue=state.get("queue") or policy.default_queue,
            priority=state.get("priority") or "normal",
            customer_message=state.get("say") or policy.messages.handoff,
            done=tuple(each["name"] for each in state.get("actions", []) if each["status"] == "done"),
        )
        brief = await turn.team.escalation(request)
        report["brief"] = to_json(brief)
    outcome = await hand_over(turn, Handover(brief=brief, sentences=request.sentences, outcome="handed_over"))
    return {"next": outcome}


def _escalated(state: State, reasons: Sequence[Reason], *, say: str | None = None, **more: Any) -> State:
    kept = [*state.get("reasons", []), *(to_json(reason) for reason in reasons)]
    step: State = {"next": "escalate", "reasons": kept, **more}  # type: ignore[typeddict-item]
    if say:
        step["say"] = say
    return step


def _history(state: State) -> tuple[Said, ...]:
    return tuple(Said(**said) for said in state.get("history", []))


def _passages(state: State) -> tuple[Passage, ...]:
    return tuple(passage_from_json(data) for data in state.get("passages", []))


def _sentences(state: State) -> tuple[Sentence, ...]:
    return tuple(sentence_from_json(data) for data in state.get("sentences", []))
