"""Guards: named checks on text at one of four places, and how policy binds them.

A guard says how likely it is that a text is what it looks for; policy says from which probability on the text has
failed, and what follows. Guards that are computed from text alone live in ``policies``; those that need a model in
``tools.guards``, which also runs them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from policies.rules import strictest
from policies.types import Citation, Outcome, Passage, Reason

Stage = Literal["input", "passage", "tool", "output"]
STAGES: tuple[Stage, ...] = ("input", "passage", "tool", "output")
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class GuardRequest:
    """A text that a guard is to judge, and what is known around it."""

    stage: Stage
    text: str
    """A customer's message, a passage, a tool's result or a drafted sentence, with placeholders."""
    language: str = ""
    """The customer's language, ISO 639-1; empty when nobody said."""
    question: str = ""
    """What the customer asked, at ``output``."""
    citations: tuple[Citation, ...] = ()
    """What a drafted sentence cites."""
    passages: tuple[Passage, ...] = ()
    """What a drafted sentence may cite; at ``passage`` the one that is judged."""
    own: bool = False
    """Whether these are policy's own words, which rest on no passage and may promise what they promise."""
    placeholders: frozenset[str] = frozenset()
    """The placeholders of this conversation, at ``output``; any other belongs to nobody here."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one guard found in one text."""

    guard: str
    score: float
    """Probability, 0 to 1, that the text is what the guard looks for."""
    reason: Reason
    """What it would be held back for, in a sentence for a person."""
    spans: Spans = ()
    """Where in the text, as start and end in characters; empty when it is all of it."""


class Guard(Protocol):
    """A named check on text. It may raise: what can't be judged has failed."""

    @property
    def name(self) -> str:
        """What policy calls it."""
        ...

    @property
    def stages(self) -> Collection[Stage]:
        """Where it can be used."""
        ...

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How policy uses a guard at one stage."""

    guard: str
    stage: Stage
    threshold: float
    """From this score on the text has failed."""
    effect: Outcome
    """What then follows: revise (a drafted sentence is left out), review, escalate or block."""
    seconds: float = 2.0
    """How long it may take; more counts as failed."""


@dataclass(frozen=True, kw_only=True)
class Guarding:
    """What all guards of a stage found in one text."""

    outcome: Outcome = Outcome.PASS
    """The strictest effect of those that failed."""
    failed: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no guard failed."""
        return not self.failed


def guarding(findings: Iterable[tuple[Binding, Finding]]) -> Guarding:
    """Say what follows from what the bound guards of a stage found; a score that is no number has failed."""
    failed = [(binding, finding) for binding, finding in findings if not finding.score < binding.threshold]
    return Guarding(
        outcome=strictest([binding.effect for binding, _ in failed]),
        failed=tuple(finding for _, finding in failed),
    )


class Guards(Protocol):
    """All guards that a policy binds."""

    async def check(self, request: GuardRequest) -> Guarding:
        """Let the guards of the request's stage judge its text."""
        ...
