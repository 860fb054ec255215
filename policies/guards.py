"""What a guard is: a named check on text at one of four places. Those that need a model live in ``tools/guards``.

A guard that crashes or takes too long counts as failed, never as passed; whoever runs it sees to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from policies.types import Outcome, Passage, Reason

Stage = Literal["input", "passage", "tool", "output"]
STAGES: tuple[Stage, ...] = ("input", "passage", "tool", "output")


@dataclass(frozen=True, kw_only=True)
class GuardRequest:
    """One text to look at, and what is known around it. Personal data in it is placeholders."""

    text: str
    stage: Stage
    question: str = ""
    """What the customer asked; at the input stage the text itself."""
    language: str = ""
    """ISO 639-1 code of the question's language, empty when unknown."""
    passages: Sequence[Passage] = ()
    """What a drafted sentence cites."""
    placeholders: frozenset[str] = frozenset()
    """The placeholders that stand for something in this conversation."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a text, by character offsets, that a guard is about."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one guard says of one text."""

    guard: str
    score: float
    """Calibrated probability, 0 to 1, that the text is what the guard looks for; 1 when it could not be computed."""
    reason: Reason
    spans: tuple[Span, ...] = ()


class Guard(Protocol):
    """Looks at a text. It judges alone: what follows from its score is policy's."""

    @property
    def name(self) -> str:
        """The name by which policy.yaml binds it."""
        ...

    @property
    def stages(self) -> frozenset[Stage]:
        """Where it can be used."""
        ...

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text; a score of 0 says that nothing was found."""
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
    """What the guards of one stage say together."""

    outcome: Outcome = Outcome.PASS
    findings: tuple[Finding, ...] = field(default=())
    """Those that failed."""
