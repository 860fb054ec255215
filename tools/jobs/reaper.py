"""Giving back jobs that nobody works on: their process died or fell silent, or an answer was lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from tools.jobs.manager import PatientManager
from tools.jobs.retries import wait_before

log = logging.getLogger("handrail.jobs")


async def reap(
    manager: PatientManager,
    worker_id: int | None,
    suspects: frozenset[int],
    lease: float,
) -> frozenset[int]:
    """Let jobs wait again that have lost their worker; returns what this worker itself may have lost.

    That is what the server says it works on and it does not hold: perhaps the answer is under way, so a job is
    given back when it is among ``suspects``, the result of the last call.

    All processes do this, without a turn: of two that give back a job one finds it changed. (A lock would be kept
    by a process that is stopped while it has it, and then nobody gave back anything.)
    """
    await _give_back(manager, await manager.get_stalled_jobs(seconds_since_heartbeat=lease))
    await _give_back(manager, await manager.list_jobs_async(status="failed"))
    if worker_id is None:
        return frozenset()
    listed = await manager.list_jobs_async(status="doing", worker_id=worker_id)
    lost = [job for job in listed if job.id not in manager.held]
    await _give_back(manager, [job for job in lost if job.id in suspects])
    return frozenset(job.id for job in lost if job.id is not None)


async def _give_back(manager: PatientManager, jobs: Iterable[Job]) -> None:
    for job in jobs:
        try:
            given = await manager.give_back(job, _next_try(job))
        except ConnectorException as error:
            manager.note_away(error)
            return
        if given:
            why = "had a worker without a handler for it" if job.status == "failed" else "has lost its worker"
            log.warning("the job %s (%s) %s and waits again", job.id, job.task_name, why)


def _next_try(job: Job) -> datetime | None:
    """Return when a job is tried again: at once the first time, then later and later, lest it fell all workers."""
    if job.attempts == 0 and job.status == "doing":
        return None
    return datetime.now(UTC) + timedelta(seconds=wait_before(job.attempts))
