"""A person's answer to a workflow's question, or what stands when nobody gives one in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from graphs.delivery import finished
from graphs.turn import STEPS_PER_ATTEMPT
from graphs.views import revealed
from graphs.work import expiry_job, segment_job, steps_left
from graphs.workflows.ending import KIND, digests_of
from graphs.workflows.plain import canonical, masked, require_plain
from graphs.writing import Findings
from policies.errors import Conflict, InputError
from policies.sla import LEVELS
from policies.types import JSON, Reason, to_json
from tools.imports import without
from tools.jobs.ports import Jobs
from tools.storage import events, ledger, reviews, runs, workflows
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.reviews import Review
from tools.storage.runs import Pending, Run
from tools.storage.store import Tx, stamp

# Its formats need a grammar whose import takes more than a second; no format is checked here.
with without("rfc3987_syntax"):
    from jsonschema import Draft202012Validator

__all__ = ["KIND", "decide", "expire", "require_fitting"]

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,40}")
LATE = "Nobody looked in time."


def require_fitting(review: Review, answer: JSON) -> None:
    """Make sure that an answer is what the question asks for; raises ``InputError`` that says where it is not."""
    require_plain(answer, "")
    errors = list(Draft202012Validator(review.response_schema).iter_errors(answer))
    if errors:
        # Not the validator's own words: they repeat the value.
        wrong = [
            {
                "in": "body",
                "pointer": "".join(f"/{part}" for part in each.absolute_path),
                "detail": f"it does not fit `{each.validator}` of the response schema",
            }
            for each in errors
        ]
        raise InputError(
            "The answer is not what the review asks for.",
            remedy="Mend what `errors` names; the review has the schema in `response_schema`.",
            code="workflow.answer",
            errors=wrong,
        )


def decide(
    tx: Tx,
    review: Review,
    answer: JSON,
    by: str,
    *,
    jobs: Jobs,
    found: Findings,
    status: str = "decided",
    traceparent: str | None = None,
) -> Review:
    """Close a review with an answer, write it to the ledger and queue its run again, in one transaction.

    Raises ``Conflict`` that carries the first answer when there is one.
    """
    run = runs.lock(tx, review.run_id)
    require_fitting(review, answer)
    safe: JSON = masked(tx, run.id, answer, found)
    closed = _closed(tx, review, status, {**safe, "by": by}, by)
    person = status == "decided"
    body = _body(run, "person" if person else "policy", by, _outcome(answer), _reasons(safe, person=person))
    body["digests"] = ledger.digests(tx, run.id, answer=canonical(answer))
    ledger.append(tx, run.id, run.id, [_decision(run, "review", body)])
    if runs.resume(tx, run.id, {**(run.resume or {}), "answer": safe}):
        jobs.enqueue(tx, segment_job(Pending(tx.workspace_id, run.id, run.id), traceparent))
    return closed


def expire(tx: Tx, review: Review, args: JSON, *, jobs: Jobs) -> None:
    """Do the breach action of a review that nobody answered in time.

    Policy may raise its priority and give it more time. After that the graph's own answer stands, if it has one;
    else the run ends as expired. Raises ``Conflict`` when somebody has answered.
    """
    run = runs.lock(tx, review.run_id)
    if steps := steps_left(args):
        step, *rest = steps
        due = stamp(step.at)
        if reviews.raise_priority(tx, review.id, missed=args["due_at"], priority=step.priority, due_at=due):
            _raised(tx, run, replace(review, priority=step.priority, due_at=due))
            jobs.enqueue(tx, expiry_job(tx.workspace_id, review.id, step.at, rest))
        return
    otherwise = revealed(tx, run.id, review.draft[0].get("otherwise"))
    if otherwise is not None:
        decide(tx, review, otherwise, "sla", jobs=jobs, found={}, status="expired")
        return
    _closed(tx, review, "expired", {"decision": "expire", "note": LATE, "by": "sla"}, "sla")
    runs.end(tx, run.id, "expired")
    reasons = (Reason(code="review.expire", text=LATE),)
    kept = workflows.get(tx, run.id)
    close = _body(run, "policy", "sla", "expired", reasons)
    if kept is not None:
        close["digests"] = digests_of(tx, run.id, kept.input)
    asked = _body(run, "policy", "sla", "expire", reasons)
    decisions = [_decision(run, "review", asked), _decision(run, "close", close)]
    ledger.append(tx, run.id, run.id, decisions)
    error = {"code": "review.expire", "message": LATE, "retryable": False}
    _append(tx, run, [NewEvent(type="error", data=error), finished("expired")])


def _raised(tx: Tx, run: Run, review: Review) -> None:
    text = f"Nobody looked in time; the priority is {review.priority} now, and the time begins anew."
    reasons = (Reason(code="review.raise", text=text),)
    body = _body(run, "policy", "sla", "raise", reasons)
    ledger.append(tx, run.id, run.id, [_decision(run, "review.raised", body, LEVELS.index(review.priority))])
    asked: JSON = {"review_id": review.id, "kind": review.kind, "queue": review.queue, "due_at": review.due_at}
    asked |= {"priority": review.priority, "draft": review.draft, "reasons": review.reasons}
    again = NewEvent(type="review.requested", data={**asked, "response_schema": review.response_schema})
    # The run's last event must go on saying that it waits.
    paused = NewEvent(type="run.paused", data={"reason": "review", "text": review.draft[0]["question"]})
    _append(tx, run, [again, paused])


def _append(tx: Tx, run: Run, new: Sequence[NewEvent]) -> None:
    events.append(tx, run.id, [replace(each, audience="staff") for each in new], run_id=run.id)


def _closed(tx: Tx, review: Review, status: str, answer: JSON, by: str) -> Review:
    try:
        return reviews.close(tx, review.id, status=status, answer=answer, by=by)
    except Conflict as conflict:
        conflict.data["first"] = revealed(tx, review.conversation_id, conflict.data["first"])
        raise


def _outcome(answer: JSON) -> str:
    """Return what a decision is called, if that is one short word; the ledger holds no free text of answers."""
    said = answer.get("decision")
    return said if isinstance(said, str) and _WORD.fullmatch(said) else "answered"


def _reasons(answer: JSON, *, person: bool) -> tuple[Reason, ...]:
    note = answer.get("note")
    if isinstance(note, str) and note:
        return (Reason(code="review.note", text=note),)
    return () if person else (Reason(code="review.expire", text=LATE),)


def _body(run: Run, actor: str, by: str, outcome: str, reasons: tuple[Reason, ...]) -> JSON:
    return {
        "actor": {"type": actor, "id": by},
        "outcome": outcome,
        "reasons": [to_json(each) for each in reasons],
        "rules": [],
        "trace_id": run.trace_id,
        "workflow": run.graph,
        "tier": "person" if actor == "person" else "local",
        "cost": 0,
    }


def _decision(run: Run, kind: str, body: JSON, number: int = 0) -> Decision:
    return Decision(node="review", kind=kind, body=body, step=run.epoch * STEPS_PER_ATTEMPT + number)
