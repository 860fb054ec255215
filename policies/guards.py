"""How policy binds guards: named checks on text at one of four places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policies.types import Outcome

Stage = Literal["input", "passage", "tool", "output"]
STAGES: tuple[Stage, ...] = ("input", "passage", "tool", "output")


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
