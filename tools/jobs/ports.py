"""Jobs: work that is promised in the transaction of the rows that it is about, and delivered at least once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio

from policies.types import JSON
from tools.storage.store import Tx

Handler = Callable[[JSON], Awaitable[None]]
"""Does a job; takes its ``args``. It may be called again after a crash, so it must not mind."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done. Jobs of one ``lock`` are done one after the other, in the order they were promised."""

    task: str
    args: JSON
    queue: str = "turns"
    lock: str | None = None
    dedupe: str | None = None
    """While a job with this key waits, another is silently not taken; the key is free from when the job begins."""
    run_at: datetime | None = None
    """Not before this time; such a job takes no lock, because it would hold back what comes before its time."""

    def __post_init__(self) -> None:
        if self.run_at is not None and self.lock is not None:
            raise ValueError("A delayed job takes no lock: it would hold back all later jobs of that lock.")


class Jobs(Protocol):
    """Where jobs are promised, and who delivers them."""

    def enqueue(self, tx: Tx, job: Job) -> None:
        """Promise a job in a transaction: it is delivered if and only if the transaction commits."""
        ...

    def holds(self, tx: Tx, lock: str) -> bool:
        """Whether a job of this lock waits or is at work."""
        ...

    async def work(
        self,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        stop: anyio.Event,
        drain: float,
    ) -> None:
        """Deliver jobs of these queues (all when None) until ``stop`` is set.

        Then nothing new is begun; what is at work has ``drain`` seconds to end, and is delivered again later if it
        does not. A handler that raises is tried again after a while, later and later, at most a minute apart.
        A database that is away is waited for.
        """
        ...

    async def settled(self) -> None:
        """Wait until no job that is due waits or is at work; one that waits for its next try is not due."""
        ...

    async def counts(self) -> JSON:
        """Return how many jobs wait, are delayed and are at work: ``{"waiting", "delayed", "working"}``.

        One that failed is delayed until its next try, one that comes after it in its lock waits.
        """
        ...
