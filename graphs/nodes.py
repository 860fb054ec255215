"""The steps of the support graph: adapters between graph state and agents.

Each takes the state and the turn, and returns what changes; ``next`` names the step that follows. Nothing here
waits for a person but ``review``, which does nothing else, because a step runs again from its top on resume.
"""

from __future__ import annotations

from dataclasses import replace

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.checker import AnswerRequest
from agents.escalation import EscalationRequest
from agents.router import RouteRequest
from graphs.delivery import Handover, deliver, hand_over
from graphs.guarding import HOLDING, blocked, guard_passages, held_back, judge, looked_at_first, reasons_of
from graphs.state import State, escalated, history_of, passages_of, sentences_of
from graphs.turn import Turn
from policies.followups import standalone
from policies.guards import Guarding, GuardRequest
from policies.rules import RuleOutcome, evaluate, strictest
from policies.rulings import after_check, after_route, answer_facts, doubts, route_facts
from policies.types import (
    JSON,
    Autonomy,
    Outcome,
    Passage,
    Reason,
    Route,
    Sentence,
    Verdict,
    reasons_from_json,
    route_from_json,
    to_json,
)

Context = Runtime[Turn]
PASSAGES = 8


async def intake(state: State, runtime: Context) -> State:
    """Look at the message itself: is it short enough, in a language that is served, and harmless?"""
    turn = runtime.context
    async with turn.step("intake") as report:
        if state.get("too_long"):
            text = "The messages that came before an answer are too long together."
            reason = Reason(code="intake.too_long", text=text)
            turn.decide("intake", "limit", "escalate", (reason,))
            return escalated(state, [reason])
        language = turn.team.language(state["question"])
        report["language"] = language
        if language in turn.team.assistant.policy.languages:
            return await _guarded(state, turn, language)
        text = f"The message seems to be in {language!r}, which is not served."
        reason = Reason(code="intake.language", text=text)
        turn.decide("intake", "guard", "escalate", (reason,))
        data = {"stage": "input", "action": "escalate", "reasons": [to_json(reason)]}
        turn.note("guardrail", data, staff=True)
        return escalated(state, [reason], language=language)


async def _guarded(state: State, turn: Turn, language: str) -> State:
    found = await judge(turn, GuardRequest(stage="input", text=state["question"], language=language))
    if found.outcome in HOLDING:
        return held_back(state, turn, found, language=language)
    reasons = [to_json(each) for each in reasons_of(found)]
    step: State = {"language": language, "next": "route"}
    return {**step, "suspect": True, "reasons": reasons} if reasons else step


async def route(state: State, runtime: Context) -> State:
    """Say what the message is about and how far we may go alone."""
    turn = runtime.context
    async with turn.step("route") as report:
        expand = turn.team.assistant.glossary.expand
        request = RouteRequest(
            text=expand(state["question"]),
            history=tuple(replace(said, text=expand(said.text)) for said in history_of(state)),
            previous_intent=state.get("previous_intent"),
            mandate=turn.mandate,
        )
        found = await turn.team.router(request)
        turn.intent = found.intent
        report["route"] = to_json(found)
        rules = [rule for rule in turn.team.assistant.rules if rule.on == "route"]
        ruling = evaluate(rules, _facts(state, turn, found))
        unsure = doubts(found, turn.team.assistant.policy.thresholds)
        reasons = [*found.reasons, *unsure, *ruling.reasons]
        step = _after_route(state, turn, found, ruling, reasons, doubted=bool(unsure))
        step["route"] = to_json(found)
        step["queue"] = ruling.queue or found.queue
        step["priority"] = found.priority
        grounds: JSON = {"intent": found.intent, "confidence": found.confidence, "route": to_json(found)}
        if any(said.handed_back for said in request.history):
            grounds["handed_back"] = True
        turn.decide("route", "route", step["next"], tuple(reasons), tier=found.tier, **grounds)
        return step


def _after_route(
    state: State, turn: Turn, found: Route, ruling: RuleOutcome, reasons: list[Reason], *, doubted: bool
) -> State:
    outcome, autonomy = after_route(found.autonomy, ruling, doubted)
    if state.get("suspect") and autonomy is Autonomy.AUTO:
        autonomy = Autonomy.REVIEW
    if outcome in HOLDING:
        return escalated(state, reasons, say=blocked(turn) if outcome is Outcome.BLOCK else None)
    turn.streams = autonomy is Autonomy.AUTO and turn.team.assistant.streams
    step: State = {"next": "retrieve", "autonomy": str(autonomy)}
    step["reasons"] = [*state.get("reasons", []), *(to_json(each) for each in reasons)]
    if ruling.requires:
        step["required"] = {name: to_json(reason) for name, reason in ruling.requires.items()}
    if said := ruling.say or turn.team.assistant.policy.answers.get(found.intent or ""):
        return {**step, "said": said, "next": _to_the_said(turn, found.intent, ruling)}
    return step


def _to_the_said(turn: Turn, intent: str | None, ruling: RuleOutcome) -> str:
    """Return the step before a fixed text: what is to be done for the intent, unless a rule's text answers."""
    return "act" if turn.team.actions_of(intent) and not ruling.say else "draft"


def _facts(state: State, turn: Turn, found: Route) -> JSON:
    return route_facts(
        state["question"],
        found,
        customer=turn.customer,
        language=state.get("language", ""),
        turns=state.get("turns", 0),
    )


async def retrieve(state: State, runtime: Context) -> State:
    """Find the passages; finding none is a reason for a person, not for improvising."""
    turn = runtime.context
    async with turn.step("retrieve") as report:
        query = turn.team.assistant.glossary.expand(standalone(state["question"], history_of(state)))
        result = await turn.team.searcher.search(query, audience="customer", limit=PASSAGES)
        report["passages"] = len(result.passages)
        sources = [_source(passage) for passage in result.passages]
        turn.note("retrieval", {"query": query, "sources": sources}, staff=True)
        if result.fallback:
            turn.note("degraded", {"dependency": "vector_store", "fallback": result.fallback}, staff=True)
        lineage = [passage.id for passage in result.passages]
        turn.decide("retrieve", "retrieve", "found", lineage=lineage, index_version=result.index_version)
        kept, guarded = await guard_passages(turn, result.passages)
        if guarded.outcome in HOLDING:
            return held_back(state, turn, guarded)
        acts = turn.team.actions_of(state["route"]["intent"])
        if not kept and not acts:
            return escalated(state, [_nothing_found(guarded)])
        step: State = {"asked": query, "passages": [to_json(each) for each in kept]}
        if guarded.outcome is Outcome.REVIEW:
            step |= looked_at_first(turn, state)
        return {**step, "next": "act" if acts else "draft"}


def _nothing_found(guarded: Guarding) -> Reason:
    if guarded.passed:
        return Reason(code="retrieve.nothing", text="No article has anything on this.")
    return Reason(code="retrieve.left_out", text="What the articles have on this was left out by guards.")


def _source(passage: Passage) -> JSON:
    return {
        "id": passage.id,
        "document": passage.document,
        "document_version": passage.document_version,
        "title": passage.title,
        "heading": passage.heading,
        "score": round(passage.score, 4),
    }


async def check(state: State, runtime: Context) -> State:
    """Check the whole: does it answer, does it hold together, do the rules on the whole allow it?"""
    turn = runtime.context
    await turn.keep()
    async with turn.step("check") as report:
        sentences = sentences_of(state)
        if not sentences:
            return escalated(
                state, [Reason(code="check.nothing_left", text="No drafted sentence passed its check.")]
            )
        verdict = await _whole(state, turn, sentences)
        rules = [rule for rule in turn.team.assistant.rules if rule.on == "answer"]
        facts = _facts(state, turn, route_from_json(state["route"]))
        ruling = evaluate(rules, {**facts, **answer_facts(sentences, verdict.score)})
        asked, told = _budgeted(state, turn)
        reasons = (*verdict.reasons, *ruling.reasons, *told)
        step = _after_check(state, turn, verdict, strictest([ruling.outcome, asked]), reasons)
        if ruling.queue:
            step["queue"] = ruling.queue
        report["verdict"] = {"outcome": step["next"], "score": round(verdict.score, 4)}
        score = round(verdict.score, 4)
        turn.decide("check", "verdict", step["next"], reasons, confidence=score, tier=verdict.tier)
        return step


def _budgeted(state: State, turn: Turn) -> tuple[Outcome, tuple[Reason, ...]]:
    """Return what budgets ask for by now; the checker's own calls may have spent the rest."""
    outcome = {"review": Outcome.REVIEW, "escalate": Outcome.ESCALATE}.get(turn.budget.action or "", Outcome.PASS)
    reason = turn.budget.reason
    if reason is None or outcome is Outcome.PASS or to_json(reason) in state.get("reasons", []):
        return outcome, ()
    return outcome, (reason,)


async def _whole(state: State, turn: Turn, sentences: tuple[Sentence, ...]) -> Verdict:
    """Check the whole of a draft; what policy itself says rests on no passage."""
    if "said" in state:
        return Verdict(outcome=Outcome.PASS)
    request = AnswerRequest(
        question=state["asked"], sentences=sentences, passages=passages_of(state), mandate=turn.mandate
    )
    return await turn.team.checker.answer(request)


def _after_check(state: State, turn: Turn, verdict: Verdict, ruled: Outcome, reasons: tuple[Reason, ...]) -> State:
    autonomy = Autonomy(state["autonomy"])
    asked = strictest([verdict.outcome, ruled])
    if asked in HOLDING:
        return escalated(state, list(reasons), say=blocked(turn) if ruled is Outcome.BLOCK else None)
    outcome = after_check(autonomy, asked)
    if outcome is Outcome.ESCALATE:
        text = f"Policy lets the assistant only suggest answers on {state['route']['intent']}."
        return escalated(state, [Reason(code="check.suggest", text=text)])
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
    step = escalated(state, [review_reason(answer)])
    return {**step, "priority": answer["priority"]} if "priority" in answer else step


def review_reason(answer: JSON, action: str | None = None) -> Reason:
    """Return a person's answer to a review as a reason; ``action`` is what it was about, if not a draft."""
    what = f"A person said: {answer['decision']}." if action is None else f"{answer['decision']} for {action!r}."
    kind = "review" if action is None else "approval"
    return Reason(code=f"{kind}.{answer['decision']}", text=answer.get("note") or what)


async def send(state: State, runtime: Context) -> State:
    """Deliver the answer."""
    turn = runtime.context
    await turn.keep()
    outcome = "reviewed" if "answer" in state else "said" if "said" in state else "answered"
    return {"next": await deliver(turn, sentences_of(state), outcome)}


async def escalate(state: State, runtime: Context) -> State:
    """Hand over to a person: one message to the customer, one brief."""
    turn = runtime.context
    await turn.keep()
    policy = turn.team.assistant.policy
    async with turn.step("escalate") as report:
        request = EscalationRequest(
            question=state["question"],
            history=history_of(state),
            route=route_from_json(state["route"]) if "route" in state else None,
            passages=passages_of(state),
            sentences=sentences_of(state),
            reasons=reasons_from_json(state.get("reasons", [])),
            queue=state.get("queue") or policy.default_queue,
            priority=state.get("priority") or "normal",
            customer_message=state.get("say") or policy.messages.handoff,
            done=tuple(each["name"] for each in state.get("actions", []) if each["status"] == "done"),
            mandate=turn.mandate,
        )
        brief = await turn.team.escalation(request)
        report["brief"] = to_json(brief)
    outcome = await hand_over(turn, Handover(brief=brief, sentences=request.sentences, outcome="handed_over"))
    return {"next": outcome}
