"""Faults on purpose: named points in a segment where something can be made to go wrong, for trials and tests.

Each step of the graph is a point by its name. ``claimed`` comes after a run is claimed. Each sending transaction
(``release``, ``deliver``, ``pause``, ``hand_over``, ``demote``, ``act``) is a point before it is committed, and
one with ``.done`` after.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from itertools import count
from typing import Protocol

STEPS = ("intake", "route", "retrieve", "act", "draft", "check", "escalate")
SENDS = ("release", "deliver", "pause", "hand_over", "demote")
POINTS = ("claimed", *STEPS, *SENDS, *(f"{name}.done" for name in SENDS))
EFFECT_POINTS = (*POINTS, "effect", "act.done")
"""Those of an assistant with effects: their step, and after one was promised and before it is done."""


class Faults(Protocol):
    """Told of every point that a segment comes to."""

    async def at(self, point: str) -> None:
        """Do nothing, or harm."""
        ...


class NoFaults:
    """Lets everything go its way."""

    async def at(self, point: str) -> None:
        """Do nothing."""


@dataclass
class KillAt:
    """Kills this process (SIGKILL) when a segment comes to a point for the given time, counted from 1."""

    point: str
    time: int = 1

    def __post_init__(self) -> None:
        self._times = count(1)

    async def at(self, point: str) -> None:
        """Kill the process, or do nothing."""
        if point == self.point and next(self._times) == self.time:
            os.kill(os.getpid(), signal.SIGKILL)
