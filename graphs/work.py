"""What jobs there are: the segments of runs, the end of a review's time, and house-keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from policies.sla import Due
from policies.types import JSON
from tools.jobs.ports import Job
from tools.storage.runs import Pending
from tools.storage.store import stamp

SEGMENT = "segment"
WORKFLOW = "workflow"
EXPIRE = "review.expire"
KEEP_HOUSE = "house.keep"
WORKFLOWS = "workflows"
QUEUES = ("turns", "timers", "house", WORKFLOWS)


def segment_job(pending: Pending, traceparent: str | None = None) -> Job:
    """Return the job that works on a run; those of one conversation take turns, a workflow's has its own lock.

    ``traceparent`` is the span of the request that asks for it, where spans are recorded.
    """
    args = asdict(pending) | ({"traceparent": traceparent} if traceparent else {})
    if pending.alone:
        return Job(task=WORKFLOW, queue=WORKFLOWS, args=args, lock=conversation_lock(pending))
    return Job(task=SEGMENT, queue="turns", args=args, lock=conversation_lock(pending))


def conversation_lock(pending: Pending) -> str:
    """Return what the segments of one conversation have in common, or those of a run that belongs to none."""
    return f"{pending.workspace_id}/{pending.conversation_id}"


def expiry_job(workspace_id: str, review_id: str, due: datetime, rest: Sequence[Due] = ()) -> Job:
    """Return the job that answers a review by its breach action when nobody has by then.

    ``rest`` are the further times that it is given, each at a higher priority; they are settled when the review is
    asked for, so that a change of policy does not reach those who wait.
    """
    steps = [{"priority": each.priority, "at": each.at.isoformat()} for each in rest]
    args = {"workspace_id": workspace_id, "review_id": review_id, "due_at": stamp(due), "rest": steps}
    return Job(task=EXPIRE, queue="timers", args=args, run_at=due)


def steps_left(args: JSON) -> list[Due]:
    """Return the further times that a review is given, from the arguments of its job."""
    return [Due(priority=each["priority"], at=datetime.fromisoformat(each["at"])) for each in args.get("rest", ())]


def house_job() -> Job:
    """Return the job that clears away what is old; one process does it at a time."""
    return Job(task=KEEP_HOUSE, queue="house", args={}, dedupe=KEEP_HOUSE)
