"""Taking things in: a customer's message, a person's answer, a cancellation. Each is one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from graphs.delivery import finished
from graphs.effects import abandon
from graphs.nodes import review_reason
from graphs.turn import STEPS_PER_ATTEMPT
from graphs.views import revealed
from graphs.withdrawal import withdraw_shown
from graphs.work import expiry_job, segment_job, steps_left
from graphs.workflows import answering
from graphs.writing import NO_FINDINGS, Findings, masked_by_staff
from policies.errors import Conflict, InputError
from policies.sla import LEVELS
from policies.types import JSON, Owner, Principal, to_json
from tools.jobs.ports import Jobs
from tools.storage import conversations, events, idempotency, ledger, receipts, reviews, runs, vault
from tools.storage.conversations import Conversation
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.reviews import Review
from tools.storage.runs import Pending, Run
from tools.storage.store import Tx, stamp
from tools.tracing import trace_id

CONVERSATIONS_ROUTE = "POST /v1/conversations"
MESSAGES_ROUTE = "POST /v1/conversations/{id}/messages"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A message that is on disk, with the run that answers it."""

    conversation_id: str
    message_id: str
    run_id: str
    trace_id: str
    after: int
    """The last event of the conversation before this message."""
    replayed: bool = False
    """Whether this is the stored result of an earlier request with the same key."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message as it arrives."""

    principal: Principal
    conversation_id: str
    assistant: str
    """The name of the assistant that the message came to."""
    text: str
    key: str | None
    trace_id: str = field(default_factory=trace_id)
    """Of the request that it came with; the run's from now on."""
    traceparent: str | None = None
    """The span of that request, where spans are recorded."""

    @property
    def body(self) -> JSON:
        """What an Idempotency-Key is bound to."""
        return {"conversation_id": self.conversation_id, "text": self.text}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What taking a message in has led to."""

    accepted: Accepted
    superseded: tuple[str, ...] = ()
    """Runs that the message has ended."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a conversation begins with."""

    assistant: str
    customer: JSON
    consent: JSON
    """What the app says that the customer agreed to."""
    otherwise: JSON
    """What policy says where the app is silent."""

    @property
    def body(self) -> JSON:
        """What an Idempotency-Key is bound to: what the app sent."""
        return {"customer": self.customer, **({"consent": self.consent} if self.consent else {})}


def begin(tx: Tx, principal: Principal, beginning: Beginning, key: str | None) -> Conversation:
    """Begin a conversation; with a key that was used before, return the one that it began then."""
    scope = {"principal": principal.id, "route": CONVERSATIONS_ROUTE}
    body = beginning.body
    if key is not None and (stored := idempotency.recall(tx, **scope, key=key, body=body)):
        return conversations.get(tx, stored["conversation_id"])
    conversation = conversations.create(
        tx,
        assistant=beginning.assistant,
        customer=beginning.customer,
        consent={**beginning.otherwise, **beginning.consent},
    )
    if key is not None:
        idempotency.remember(tx, **scope, key=key, body=body, result={"conversation_id": conversation.id})
    return conversation


def accept(
    tx: Tx,
    request: Request,
    assistant_version: str,
    *,
    limit: int,
    jobs: Jobs,
    found: Findings = NO_FINDINGS,
) -> Taken:
    """Take a message in, with the job that answers it: it supersedes what has not shown anything yet, and waits
    behind what has.

    ``limit`` is how many characters of questions a run answers together; beyond it, a person gets them.
    """
    if stored := _recalled(tx, request):
        return Taken(accepted=Accepted(**{**stored, "replayed": True}))
    conversation = conversations.lock(tx, request.conversation_id)
    if conversation.assistant != request.assistant:
        raise Conflict(
            f"The conversation {conversation.id} is with the assistant {conversation.assistant!r}.",
            remedy="Ask a server of that assistant.",
            code="conversation.other_assistant",
        )
    run_id = tx.ids.new("run")
    # What is under way when a person has the conversation ends as handed over, and is answered by nobody else.
    humans = conversation.owner is Owner.HUMAN
    superseded, earlier = ((), []) if humans else _make_way(tx, conversation.id, run_id)
    if superseded:
        conversation = conversations.get(tx, conversation.id)
    text = vault.masked(tx, conversation.id, request.text, found.get(request.text))
    said = conversations.add_message(tx, conversation.id, author="customer", text=text, run_id=run_id)
    version = conversation.version + 1
    for run in runs.unfinished(tx, conversation.id):
        runs.follow_version(tx, run.id, version)
    values = {
        "conversation_id": conversation.id,
        "assistant_version": assistant_version,
        "conversation_version": version,
        "input": _question([*earlier, text], limit),
        "trace_id": request.trace_id,
        "principal": request.principal.id,
    }
    runs.create(tx, run_id=run_id, values=values)
    data = {"message_id": said.id, "author": "customer", "text": text}
    events.append(tx, conversation.id, [NewEvent(type="message.created", data=data)], run_id=run_id)
    if conversation.owner is Owner.BOT:
        pending = Pending(tx.workspace_id, run_id, conversation.id)
        jobs.enqueue(tx, segment_job(pending, request.traceparent))
    else:
        runs.end(tx, run_id, "handed_over")
        events.append(tx, conversation.id, [finished("handed_over")], run_id=run_id)
    accepted = Accepted(
        conversation_id=conversation.id,
        message_id=said.id,
        run_id=run_id,
        trace_id=request.trace_id,
        after=conversation.last_event,
    )
    _remember(tx, request, accepted)
    return Taken(accepted=accepted, superseded=superseded)


def _question(texts: list[str], limit: int) -> JSON:
    question = "\n".join(texts)
    too_long = len(texts) > 1 and len(question) > limit
    return {"question": question, "too_long": True} if too_long else {"question": question}


def _recalled(tx: Tx, request: Request) -> JSON | None:
    if request.key is None:
        return None
    return idempotency.recall(
        tx, principal=request.principal.id, route=MESSAGES_ROUTE, key=request.key, body=request.body
    )


def _remember(tx: Tx, request: Request, accepted: Accepted) -> None:
    if request.key is not None:
        idempotency.remember(
            tx,
            principal=request.principal.id,
            route=MESSAGES_ROUTE,
            key=request.key,
            body=request.body,
            result=vars(accepted),
        )


def _make_way(tx: Tx, conversation_id: str, run_id: str) -> tuple[tuple[str, ...], list[str]]:
    """End the runs that a new message overtakes; return their ids and the questions to answer as well.

    Those that have shown something, bring a person's answer, go to a person or have begun an effect go first.
    """
    ended, questions = [], []
    for run in runs.unfinished(tx, conversation_id):
        if run.status == "waiting":
            _make_stale(tx, run)
            ended.append(run.id)
        elif not (
            run.released or run.resume is not None or run.input.get("too_long") or receipts.has_any(tx, run.id)
        ):
            runs.end(tx, run.id, "superseded")
            events.append(tx, conversation_id, [finished("superseded")], run_id=run.id)
            conversations.adopt_messages(tx, from_run=run.id, to_run=run_id)
            questions.append(run.input["question"])
            ended.append(run.id)
    return tuple(ended), questions


def _make_stale(tx: Tx, run: Run) -> None:
    """Close the review of a draft that a newer message has overtaken."""
    if review := reviews.open_of_run(tx, run.id):
        reviews.close(tx, review.id, status="stale", answer=None, by="newer message")
        if review.kind == reviews.APPROVE_REPLY:
            reviews.suggest(tx, run.conversation_id, run.id, review.draft, "stale")
    runs.end(tx, run.id, "stale")
    withdraw_shown(tx, run, "stale")
    events.append(tx, run.conversation_id, [finished("stale")], run_id=run.id)


def decide(
    tx: Tx,
    review_id: str,
    answer: JSON,
    by: str,
    *,
    jobs: Jobs,
    status: str = "decided",
    found: Findings = NO_FINDINGS,
    traceparent: str | None = None,
) -> Review:
    """Close a review with an answer, write it to the ledger and queue its run again, in one transaction."""
    review = reviews.get(tx, review_id)
    if review.kind == answering.KIND:
        return answering.decide(tx, review, answer, by, jobs=jobs, found=found, traceparent=traceparent)
    conversations.lock(tx, review.conversation_id)
    answer = {**answer, "by": by}
    if answer["decision"] == "edit" and review.kind == reviews.APPROVE_ACTION:
        raise InputError("An action is not edited.", remedy="Approve it or reject it.")
    if answer["decision"] == "edit":
        answer["text"] = _edited(tx, review, answer, found)
    elif answer.get("text"):
        answer["text"] = vault.masked(tx, review.conversation_id, answer["text"], found.get(answer["text"]))
    if answer.get("note"):
        answer["note"] = vault.masked(tx, review.conversation_id, answer["note"], found.get(answer["note"]))
    closed = _close(tx, review, status, answer, by)
    _record(tx, review, answer, "person" if status == "decided" else "policy")
    if runs.resume(tx, review.run_id, answer):
        pending = Pending(tx.workspace_id, review.run_id, review.conversation_id)
        jobs.enqueue(tx, segment_job(pending, traceparent))
    return closed


def expire(tx: Tx, args: JSON, *, jobs: Jobs) -> None:
    """Do the breach action of a review that nobody answered in time: raise its priority, or hand it over.

    Does nothing when it was answered, or raised by the same job before; raises ``Conflict`` or ``NotFound`` where
    there is nothing to hand over.
    """
    review = reviews.get(tx, args["review_id"])
    if review.kind == answering.KIND:
        answering.expire(tx, review, args, jobs=jobs)
        return
    conversations.lock(tx, review.conversation_id)
    if not (steps := steps_left(args)):
        answer = {"decision": "expire", "note": "Nobody looked in time.", "priority": review.priority}
        decide(tx, review.id, answer, "sla", jobs=jobs, status="expired")
        return
    step, *rest = steps
    due = stamp(step.at)
    if reviews.raise_priority(tx, review.id, missed=args["due_at"], priority=step.priority, due_at=due):
        note = f"Nobody looked in time; the priority is {step.priority} now, and the time begins anew."
        answer = {"decision": "raise", "note": note, "by": "sla"}
        _record(tx, review, answer, "policy", kind="review.raised", number=LEVELS.index(step.priority))
        asked = {"review_id": review.id, "kind": review.kind, "queue": review.queue, "due_at": due}
        raised = {**asked, "priority": step.priority, "draft": review.draft, "reasons": review.reasons}
        again = NewEvent(
            type="review.requested", data={**raised, "response_schema": review.response_schema}, audience="staff"
        )
        # Of the conversation and not of the run, whose last event says that it waits.
        events.append(tx, review.conversation_id, [again])
        jobs.enqueue(tx, expiry_job(tx.workspace_id, review.id, step.at, rest))


def _close(tx: Tx, review: Review, status: str, answer: JSON, by: str) -> Review:
    try:
        return reviews.close(tx, review.id, status=status, answer=answer, by=by)
    except Conflict as conflict:
        conflict.data["first"] = revealed(tx, review.conversation_id, conflict.data["first"])
        raise


def _record(tx: Tx, review: Review, answer: JSON, actor: str, *, kind: str = "review", number: int = 0) -> None:
    run = runs.get(tx, review.run_id)
    action = review.draft[0]["action"] if review.kind == reviews.APPROVE_ACTION else None
    body = {
        "actor": {"type": actor, "id": answer["by"]},
        "outcome": answer["decision"],
        "reasons": [to_json(review_reason(answer, action))],
        "rules": [],
        "trace_id": run.trace_id,
        "tier": "person",
        "cost": 0,
        **({"action": action} if action else {}),
    }
    decision = Decision(node="review", kind=kind, body=body, step=run.epoch * STEPS_PER_ATTEMPT + number)
    ledger.append(tx, run.conversation_id, run.id, [decision])


def _edited(tx: Tx, review: Review, answer: JSON, found: Findings) -> str:
    text = (answer.get("text") or "").strip()
    if not text:
        raise InputError("An edited reply needs its text.", remedy="Send `text` with the decision `edit`.")
    return masked_by_staff(tx, review.conversation_id, text, found.get(text))


def cancel(tx: Tx, run_id: str, principal: Principal) -> None:
    """End a run from outside, with the review it waits for; raises ``Conflict`` when it has ended already."""
    run = runs.get(tx, run_id)
    if run.alone:
        runs.lock(tx, run_id)
    else:
        conversations.lock(tx, run.conversation_id)
    if not runs.end(tx, run_id, "cancelled"):
        raise Conflict(f"The run {run_id} has ended already.", code="run.finished")
    if review := reviews.open_of_run(tx, run_id):
        reviews.close(tx, review.id, status="stale", answer=None, by=principal.id)
    abandon(tx, run)
    withdraw_shown(tx, run, "cancelled")
    reason = {"code": "run.cancelled", "text": f"Cancelled by {principal.id}."}
    body = {"actor": {"type": principal.role, "id": principal.id}, "outcome": "cancelled", "reasons": [reason]}
    decision = Decision(node="service", kind="cancel", body=body)
    ledger.append(tx, run.conversation_id, run_id, [decision])
    ended = replace(finished("cancelled"), audience="staff") if run.alone else finished("cancelled")
    events.append(tx, run.conversation_id, [ended], run_id=run_id)
