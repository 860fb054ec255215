"""The parts of the product that a suite can measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evals.suite import Suite
from evals.targets import conversation, drafter, retriever, router
from evals.targets.base import Prepared

PREPARE: Mapping[str, Callable[[Suite], Prepared]] = {
    "router": router.prepare,
    "retriever": retriever.prepare,
    "conversation": conversation.prepare,
    "drafter": drafter.prepare,
}


def prepare(suite: Suite) -> Prepared:
    """Read everything that a suite names; raises ``ConfigError`` for the first thing wrong."""
    return PREPARE[suite.file.target](suite)
