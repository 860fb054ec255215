"""The parts of the product that a suite can measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evals.suite import Suite
from evals.targets import attack, checker, conversation, drafter, guard, pii, replies, retriever, router
from evals.targets.base import Prepared

PREPARE: Mapping[str, Callable[[Suite], Prepared]] = {
    "router": router.prepare,
    "retriever": retriever.prepare,
    "conversation": conversation.prepare,
    "drafter": drafter.prepare,
    "pii": pii.prepare,
    "checker": checker.prepare,
    "replies": replies.prepare,
    "attack": attack.prepare,
}


def prepare(suite: Suite) -> Prepared:
    """Read everything that a suite names; raises ``ConfigError`` for the first thing wrong."""
    return PREPARE.get(suite.file.target, guard.prepare)(suite)
