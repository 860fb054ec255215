"""What happens to a job that failed: it is logged without its arguments, and waits before its next try."""

from __future__ import annotations

import logging

from policies.errors import Unavailable

log = logging.getLogger("handrail.jobs")
FIRST_WAIT = 1
LONGEST_WAIT = 60


def wait_before(tries: int) -> int:
    """Return how many seconds a job waits that has failed ``tries`` times: 1, 2, 4 and so on up to 60."""
    return min(LONGEST_WAIT, FIRST_WAIT << min(max(tries - 1, 0), 10))


def note_failure(task: str, job_id: int | None, error: Exception) -> None:
    """Write a failure into the log: a warning if a dependency is away, else with its traceback."""
    if isinstance(error, Unavailable):
        log.warning("the job %s (%s) is tried again later: %s", job_id, task, error.message)
    else:
        log.error("the job %s (%s) failed and is tried again later", job_id, task, exc_info=error)
