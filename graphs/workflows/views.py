"""What staff are shown of workflows' runs and batches, personal data put back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from graphs.views import revealed
from policies.errors import NotFound
from policies.types import JSON
from tools.storage import ledger, reviews, workflows
from tools.storage.runs import Run
from tools.storage.store import Tx

STATUSES = ("queued", "running", "waiting", "finished")
OUTCOMES = ("done", "failed", "expired", "cancelled")


@dataclass(frozen=True, kw_only=True)
class WorkflowRunView:
    """A workflow's run as staff see it."""

    run_id: str
    workflow: str
    status: str
    outcome: str | None
    """``done``, ``failed``, ``expired``, ``cancelled`` or, while it waits for a person, ``review``."""
    input: JSON
    output: JSON | None
    reasons: list[JSON]
    """Why it came to nothing, if it did."""
    review_id: str | None
    batch_id: str | None
    item_id: str | None
    assistant_version: str
    trace_id: str
    created_at: str
    finished_at: str | None


@dataclass(frozen=True, kw_only=True)
class ItemView:
    """One item of a batch."""

    position: int
    id: str | None
    run_id: str
    status: str
    outcome: str | None
    output: JSON | None


@dataclass(frozen=True, kw_only=True)
class BatchView:
    """A batch, its items in their order; those that were erased are missing."""

    batch_id: str
    workflow: str
    created_at: str
    progress: dict[str, int]
    """How many items there are, how many wait, are at work, wait for a person, and how the others ended."""
    items: list[ItemView]


def workflow_run_view(tx: Tx, run: Run) -> WorkflowRunView:
    """Return how a workflow's run stands, what it was given and what it came to; raises ``NotFound``."""
    kept = workflows.get(tx, run.id)
    if kept is None:
        raise NotFound(f"There is no run {run.id!r}.")
    review = reviews.open_of_run(tx, run.id)
    return WorkflowRunView(
        run_id=run.id,
        workflow=run.graph,
        status=run.status,
        outcome="review" if run.status == "waiting" else run.outcome,
        input=opened(tx, kept.input) or {},
        output=opened(tx, kept.output),
        reasons=_reasons(tx, run),
        review_id=review.id if review else None,
        batch_id=kept.batch_id,
        item_id=kept.item_id,
        assistant_version=run.assistant_version,
        trace_id=run.trace_id,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _reasons(tx: Tx, run: Run) -> list[JSON]:
    if run.status != "finished" or run.outcome == "done":
        return []
    ended = [each for each in ledger.of_run(tx, run.id) if each["kind"] in ("close", "cancel")]
    told: list[JSON] = revealed(tx, run.id, ended[-1]["reasons"]) if ended else []
    return told


def opened(tx: Tx, sealed: bytes | None) -> Any:
    """Return a content as it was before it was sealed, or None."""
    return None if sealed is None else orjson.loads(tx.sealer.open(sealed))


def batch_view(tx: Tx, batch_id: str) -> BatchView:
    """Return how a batch stands; raises ``NotFound``."""
    found = workflows.of_batch(tx, batch_id)
    if not found:
        raise NotFound(f"There is no batch {batch_id!r}.", remedy="Take the id from the answer to the request.")
    items = [
        ItemView(
            position=each.position,
            id=each.item_id,
            run_id=each.run_id,
            status=each.status,
            outcome="review" if each.status == "waiting" else each.outcome,
            output=opened(tx, each.output),
        )
        for each in found
    ]
    return BatchView(
        batch_id=batch_id,
        workflow=found[0].graph,
        created_at=found[0].created_at,
        progress=progress(Counter((each.status, each.outcome) for each in found)),
        items=items,
    )


def progress(standing: Mapping[tuple[str, str | None], int]) -> dict[str, int]:
    """Count items by status, those that have ended by outcome."""
    counts = Counter[str]()
    for (status, outcome), count in standing.items():
        counts[str(outcome) if status == "finished" else status] += count
    names = dict.fromkeys([*STATUSES[:-1], *OUTCOMES, *counts])
    return {"total": counts.total(), **{name: counts[name] for name in names}}
