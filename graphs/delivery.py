"""How a turn ends: delivered, said, kept for a person, or handed over. Each ending is one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.effects import abandon
from graphs.turn import Turn, created, delta
from graphs.work import expiry_job
from policies.errors import Overtaken
from policies.types import JSON, Brief, Owner, Reason, Sentence, sentence_from_json, to_json
from tools.jobs.ports import Jobs
from tools.storage import conversations, reviews, runs
from tools.storage.events import NewEvent
from tools.storage.store import Tx, stamp

REVIEW_SCHEMA: JSON = {
    "type": "object",
    "required": ["decision"],
    "properties": {
        "decision": {"enum": ["approve", "edit", "reject"]},
        "text": {"type": "string", "description": "What to send instead; required with `edit`."},
        "note": {"type": "string", "description": "Why, for the ledger."},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What a person is given."""

    brief: Brief
    sentences: tuple[Sentence, ...]
    """The draft, if there is one, which becomes a suggestion."""
    outcome: str


async def deliver(turn: Turn, sentences: tuple[Sentence, ...], outcome: str) -> str:
    """Send the answer, or what of it is not sent yet, and end the run; returns how it ended.

    If a person or a newer message came first, nothing more is sent and the draft becomes a suggestion.
    """
    text = " ".join(sentence.text for sentence in sentences)
    citations = _numbered_citations(sentences)
    said = {"message_id": turn.message_id, "author": "bot", "text": text, "citations": citations}
    new = _unsent(turn, sentences)
    new.append(NewEvent(type="message.completed", data=said))
    new.append(finished(outcome))

    def also(tx: Tx) -> None:
        conversations.add_message(
            tx,
            turn.conversation.id,
            author="bot",
            text=text,
            run_id=turn.run.id,
            citations=citations,
            message_id=turn.message_id,
        )
        turn.close(tx, "deliver", outcome, said=text)
        _finish(tx, turn, outcome)

    try:
        await turn.send("deliver", new, also)
    except Overtaken as overtaken:
        return await demote(turn, sentences, overtaken)
    return outcome


def _unsent(turn: Turn, sentences: tuple[Sentence, ...]) -> list[NewEvent]:
    new = [] if turn.released else [created(turn.message_id)]
    rest = list(enumerate(sentences))[len(turn.released) :]
    new += [NewEvent(type="message.delta", data=delta(turn.message_id, *each)) for each in rest]
    return new


def _numbered_citations(sentences: tuple[Sentence, ...]) -> list[JSON]:
    """Return the citations as event and message keep them, each with its sentence's index."""
    return [
        {"index": index, **to_json(citation)}
        for index, sentence in enumerate(sentences)
        for citation in sentence.citations
    ]


async def demote(turn: Turn, sentences: tuple[Sentence, ...], overtaken: Overtaken) -> str:
    """Keep a draft that came too late as a suggestion, close what was shown of it, and end the run."""
    by_person = overtaken.data.get("owner") != Owner.BOT
    outcome = "handed_over" if by_person else "stale"
    reason = Reason(code=f"deliver.{outcome}", text=overtaken.message)

    def also(tx: Tx) -> None:
        turn.close(tx, "demote", outcome, (reason,))
        if sentences:
            plain = [to_json(sentence) for sentence in sentences]
            reviews.suggest(tx, turn.conversation.id, turn.run.id, plain, None if by_person else "stale")
        _finish(tx, turn, outcome)

    new = [_suggestion(sentences)] if sentences else []
    await turn.end("demote", [*new, finished(outcome)], also, withdraw=outcome)
    return outcome


def _suggestion(sentences: tuple[Sentence, ...]) -> NewEvent:
    data = {"sentences": [to_json(sentence) for sentence in sentences]}
    return NewEvent(type="suggestion", data=data, audience="staff")


async def hand_over(turn: Turn, handover: Handover) -> str:
    """Pass the conversation to a queue with one message to the customer and a brief; end the run.

    What was shown before is withdrawn. Returns how the run ended.
    """
    brief = handover.brief
    now = turn.workspace.store.clock.now()
    due = stamp(turn.team.assistant.policy.sla.due_at(brief.priority, now))
    message_id = turn.workspace.store.ids.new("msg")
    new = [_suggestion(handover.sentences)] if handover.sentences else []
    new += _handoff_events(brief, message_id, due)

    def also(tx: Tx) -> None:
        _record_handoff(tx, turn, handover, message_id, due)
        turn.close(tx, "escalate", handover.outcome, brief.why, said=brief.customer_message)
        _finish(tx, turn, handover.outcome)

    try:
        await turn.send("hand_over", [*new, finished(handover.outcome)], also, withdraw="withdrawn")
    except Overtaken as overtaken:
        return await demote(turn, handover.sentences, overtaken)
    return handover.outcome


def _handoff_events(brief: Brief, message_id: str, due: str) -> list[NewEvent]:
    said = {"message_id": message_id, "author": "bot", "text": brief.customer_message, "citations": []}
    first = {"message_id": message_id, "index": 0, "text": brief.customer_message, "citations": []}
    public = {"queue": brief.queue, "priority": brief.priority, "due_at": due}
    return [
        created(message_id),
        NewEvent(type="message.delta", data=first),
        NewEvent(type="message.completed", data=said),
        NewEvent(type="handoff", data=public),
        NewEvent(type="owner.changed", data={"owner": str(Owner.QUEUE), "queue": brief.queue}),
    ]


def _record_handoff(tx: Tx, turn: Turn, handover: Handover, message_id: str, due: str) -> None:
    brief, conversation_id = handover.brief, turn.conversation.id
    conversations.add_message(
        tx,
        conversation_id,
        author="bot",
        text=brief.customer_message,
        run_id=turn.run.id,
        message_id=message_id,
    )
    conversations.set_owner(
        tx,
        conversation_id,
        Owner.QUEUE,
        queue=brief.queue,
        priority=brief.priority,
        due_at=due,
        waiting_since=turn.run.created_at,
    )
    if handover.sentences:
        plain = [to_json(sentence) for sentence in handover.sentences]
        reviews.suggest(tx, conversation_id, turn.run.id, plain, None)
    reviews.hand_off(
        tx,
        {
            "conversation_id": conversation_id,
            "run_id": turn.run.id,
            "queue": brief.queue,
            "priority": brief.priority,
            "brief": to_json(brief),
            "due_at": due,
        },
    )


async def pause(turn: Turn, question: JSON, jobs: Jobs) -> bool:
    """Ask a person and let the run wait as rows alone; what was shown before is withdrawn.

    Returns whether the run waits: if a person or a newer message came first, it ends instead.
    """
    policy = turn.team.assistant.policy
    first, *rest = policy.sla.ladder(question["priority"], turn.workspace.store.clock.now())
    due = stamp(first.at)
    review_id = turn.workspace.store.ids.new("rev")
    kind, schema = question.get("kind", reviews.APPROVE_REPLY), question.get("response_schema", REVIEW_SCHEMA)
    asked = {"review_id": review_id, "kind": kind, "queue": question["queue"], "due_at": due}
    draft = question["draft"] if "draft" in question else question["sentences"]
    details = {"draft": draft, "reasons": question["reasons"], "response_schema": schema}
    new = [
        NewEvent(type="review.requested", data={**asked, **details}, audience="staff"),
        NewEvent(type="run.paused", data={"reason": "review", "text": policy.messages.pending}),
    ]

    def also(tx: Tx) -> None:
        reviews.create(
            tx,
            {
                "id": review_id,
                "run_id": turn.run.id,
                "conversation_id": turn.conversation.id,
                "kind": asked["kind"],
                "queue": asked["queue"],
                "priority": first.priority,
                "due_at": due,
                **details,
            },
        )
        runs.update_claimed(tx, turn.run.id, turn.run.epoch, status="waiting", resume=None, intent=turn.intent)
        jobs.enqueue(tx, expiry_job(tx.workspace_id, review_id, first.at, rest))

    try:
        await turn.send("pause", new, also, withdraw="withdrawn")
    except Overtaken as overtaken:
        await demote(turn, tuple(sentence_from_json(each) for each in question.get("sentences", ())), overtaken)
        return False
    return True


def finished(outcome: str) -> NewEvent:
    """Return the event that ends a run, the last and only one of its kind."""
    return NewEvent(type="run.finished", data={"status": "finished", "outcome": outcome})


def _finish(tx: Tx, turn: Turn, outcome: str) -> None:
    values = {"status": "finished", "outcome": outcome, "intent": turn.intent, "finished_at": tx.now()}
    runs.update_claimed(tx, turn.run.id, turn.run.epoch, **values)
    if turn.lasts and turn.team.has_effects:
        abandon(tx, turn.run)
