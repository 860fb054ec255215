"""How a segment of a workflow's run ends: with a question to a person, with a result, or with why there is none.

Each is one transaction, and each is told.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, get_args

import orjson
import rfc8785
from langgraph.types import Interrupt

from graphs.delivery import finished
from graphs.work import expiry_job
from graphs.workflows.attempt import Attempt
from graphs.workflows.definitions import Workflow
from graphs.workflows.plain import canonical, jsonable, masked
from graphs.writing import Findings
from policies.errors import Fenced, HandrailError, Unavailable
from policies.sections import Priority, Sla
from policies.types import JSON, Reason, to_json
from tools.imports import without
from tools.jobs.ports import Jobs
from tools.storable import storable
from tools.storage import ledger, reviews, runs, workflows
from tools.storage.events import NewEvent
from tools.storage.store import Tx, stamp

# Its formats need a grammar whose import takes more than a second; no format is checked here.
with without("rfc3987_syntax"):
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

log = logging.getLogger("handrail.workflows")
KIND = "workflow"
"""The kind of a workflow's reviews."""
LARGEST_QUESTION = 64 * 1024
"""Bytes of JSON; what is beyond it can't be shown to a person who is to decide."""
_MARK = "__handrail_ask__"
DECISION: JSON = {
    "type": "object",
    "required": ["decision"],
    "properties": {
        "decision": {"enum": ["approve", "reject"]},
        "note": {"type": "string", "maxLength": 1000, "description": "Why, for the ledger."},
    },
    "additionalProperties": False,
}
"""What a person answers where the graph does not say otherwise."""


class BadQuestion(HandrailError):
    """A graph asks something that can't be asked."""

    code = "workflow.question"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a graph asks of a person."""

    mark: str
    """Tells it from every other question of the run."""
    text: str
    details: Any
    schema: JSON
    queue: str
    priority: str
    otherwise: JSON | None

    @property
    def draft(self) -> list[JSON]:
        """What the review shows."""
        return [{"question": self.text, "details": self.details, "otherwise": self.otherwise}]


def mark_of(asked: Interrupt) -> str:
    """Return what tells a question from others; the same step may ask several, one after the other."""
    said = canonical_of(asked.value)
    return hashlib.sha256(f"{asked.id}\n{said}".encode()).hexdigest()[:32]


def canonical_of(value: Any) -> str:
    """Return whatever a graph gave as a text that is always the same for the same."""
    try:
        return canonical(jsonable(value))
    except rfc8785.IntegerDomainError:
        # Canonical JSON has no number that a double can't hold.
        return orjson.dumps(jsonable(value), option=orjson.OPT_SORT_KEYS).decode()


def question_of(asked: Interrupt, workflow: Workflow) -> Question:
    """Return what ``ask``, or LangGraph's own ``interrupt``, was called with; raises ``BadQuestion``."""
    given = asked.value if isinstance(asked.value, dict) and _MARK in asked.value else None
    plain = _plain(asked.value)
    details = plain["details"] if given is not None else None if isinstance(plain, str) else plain
    text = plain[_MARK] if given is not None else plain if isinstance(plain, str) else "Look at this, please."
    told = plain if given is not None else {}
    priority = told.get("priority") or workflow.priority
    if priority not in get_args(Priority):
        raise BadQuestion(f"There is no priority {priority!r}.")
    schema = _plain(asked.response_schema) if asked.response_schema is not None else DECISION
    return Question(
        mark=mark_of(asked),
        text=str(text),
        details=details,
        schema=_usable(schema),
        queue=str(told.get("queue") or workflow.queue),
        priority=priority,
        otherwise=_usable_answer(told.get("otherwise"), schema),
    )


def _plain(asked: Any) -> Any:
    """Return what a person is shown, or how they answer, as plain JSON that can be kept."""
    plain = jsonable(asked)
    size = len(orjson.dumps(plain))
    if size > LARGEST_QUESTION:
        raise BadQuestion(
            f"What a person is asked has {size:,} bytes of JSON; there may be {LARGEST_QUESTION:,}.",
            remedy="Show what they need to decide, and say where the rest is.",
        )
    return storable(plain)


def _usable(schema: Any) -> JSON:
    shaped = isinstance(schema, dict) and ("properties" in schema or "$ref" in schema)
    if not shaped and not (isinstance(schema, dict) and schema.get("type") == "object"):
        raise BadQuestion("What a person answers must be an object.")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise BadQuestion("The JSON Schema of the answer is none.") from error
    usable: JSON = schema
    return usable


def _usable_answer(otherwise: Any, schema: JSON) -> JSON | None:
    if otherwise is not None and not Draft202012Validator(schema).is_valid(otherwise):
        raise BadQuestion("What is to stand when nobody answers does not fit the schema of the answer.")
    answer: JSON | None = otherwise
    return answer


async def pause(attempt: Attempt, question: Question, jobs: Jobs, sla: Sla) -> None:
    """Ask a person and let the run wait as rows alone; raises ``Fenced``."""
    first, *rest = sla.ladder(question.priority, attempt.workspace.store.clock.now())
    run, review_id = attempt.run, attempt.workspace.store.ids.new("rev")
    reasons = [to_json(Reason(code="workflow.asks", text=question.text))]
    shown = {"draft": question.draft, "reasons": reasons}
    asked = {"review_id": review_id, "kind": KIND, "queue": question.queue, "due_at": stamp(first.at)}
    new = [
        NewEvent(type="review.requested", data={**asked, **shown, "response_schema": question.schema}),
        NewEvent(type="run.paused", data={"reason": "review", "text": question.text}),
    ]

    def also(tx: Tx, found: Findings) -> None:
        row = {"id": review_id, "run_id": run.id, "conversation_id": run.id, "response_schema": question.schema}
        row |= {"kind": KIND, "queue": question.queue, "priority": first.priority, "due_at": stamp(first.at)}
        reviews.create(tx, {**row, **masked(tx, run.id, shown, found)})
        runs.update_claimed(tx, run.id, run.epoch, status="waiting", resume={"mark": question.mark})
        jobs.enqueue(tx, expiry_job(tx.workspace_id, review_id, first.at, rest))

    await attempt.commit(new, also)


async def finish(attempt: Attempt, output: JSON) -> None:
    """Keep what a run came to and end it; raises ``Fenced``."""
    sealed = attempt.workspace.store.sealer.seal(canonical_of(output))

    def also(tx: Tx, _found: Findings) -> None:
        workflows.set_output(tx, attempt.run.id, sealed)
        _close(tx, attempt, "done", (), output=sealed)

    await attempt.commit([finished("done")], also)


async def fail(attempt: Attempt, code: str, text: str, told: str | None = None) -> None:
    """End a run that comes to nothing, and say why; raises ``Fenced``.

    ``text`` goes to the ledger for good; ``told`` goes to those who follow the run, personal data masked.
    """
    try:
        await _fail(attempt, code, text, told or text)
    except (Fenced, Unavailable):
        raise
    except Exception as error:
        # What it noted can't be kept, and is given up by now: the run ends once, with what is certain.
        log.warning("run %s: what it noted can't be kept: %s", attempt.run.id, type(error).__name__)
        await _fail(attempt, code, text, text)


async def _fail(attempt: Attempt, code: str, text: str, told: str) -> None:
    reason = Reason(code=code, text=text)
    data: JSON = {"code": code, "message": told, "retryable": False}

    def also(tx: Tx, _found: Findings) -> None:
        _close(tx, attempt, "failed", (reason,))

    await attempt.commit([NewEvent(type="error", data=data), finished("failed")], also)


def _close(
    tx: Tx, attempt: Attempt, outcome: str, reasons: tuple[Reason, ...], output: bytes | None = None
) -> None:
    run = attempt.run
    digests = digests_of(tx, run.id, attempt.kept.input, output)
    began = {} if run.assistant_version == attempt.version else {"began_with": run.assistant_version}
    decision = attempt.decision("workflow", "close", outcome, reasons, digests=digests, **began)
    ledger.append(tx, run.id, run.id, [decision])
    values = {"status": "finished", "outcome": outcome, "finished_at": tx.now()}
    runs.update_claimed(tx, run.id, run.epoch, **values)


def digests_of(tx: Tx, run_id: str, given: bytes, output: bytes | None = None) -> JSON:
    """Return the salted digests that the ledger keeps of contents: of what is kept, sealed as it is.

    So a verification without our key can tell that it is still the same.
    """
    contents = {"input": given.decode(), **({"output": output.decode()} if output is not None else {})}
    return ledger.digests(tx, run_id, **contents)
