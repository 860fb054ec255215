"""What every target has: cases that were checked, and a way to put one through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evals.cases import Case
from evals.rows import Label
from evals.suite import Suite
from policies.types import JSON

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What came out for one case."""

    output: JSON
    scores: Mapping[str, float]
    """Numbers that the metrics are made of; what does not apply to a case is left out."""
    wrong: str | None = None
    """In a few words what is wrong, if anything is."""
    label: Label | None = None
    """Of targets that tell one thing from others: what it should be, and what it was told to be."""
    cost: float | None = None
    """What models charged, in dollars; None where nothing could be charged or nobody knows."""
    trace_id: str | None = None


class Target(Protocol):
    """The part of the product that is measured."""

    async def run(self, case: Case[Any]) -> Observation:
        """Put one case through; called from several tasks at once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workroom:
    """Where a target finds room and whom it tells what takes long."""

    cache: Path
    """Keeps the exported encoder and what was encoded from one run to the next."""
    announce: Announce


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A suite whose cases and sources were all read and checked, ready to run."""

    suite: Suite
    cases: tuple[Case[Any], ...]
    open: Callable[[Workroom], AbstractAsyncContextManager[Target]]
