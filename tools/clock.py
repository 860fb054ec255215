"""Time and identifiers, behind ports so that tests and offline evals can fix them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import uuid_utils


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        ...


class Ids(Protocol):
    """Makes identifiers."""

    def new(self, kind: str) -> str:
        """Return a fresh identifier that begins with ``kind`` and an underscore."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        return datetime.now(UTC)


class TimeOrderedIds:
    """UUID version 7 (RFC 9562), so that rows made later sort later."""

    def new(self, kind: str) -> str:
        """Return a fresh identifier such as ``run_0199c2f0...``."""
        return f"{kind}_{uuid_utils.uuid7().hex}"


@dataclass
class FixedClock:
    """A clock that stands still until it is moved."""

    at: datetime = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time that was set."""
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move the clock."""
        self.at += by


@dataclass
class CountedIds:
    """Identifiers ``run_1``, ``run_2``, ``msg_3``, ... in the order they were asked for."""

    _counter: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def new(self, kind: str) -> str:
        """Return the next identifier."""
        return f"{kind}_{next(self._counter)}"
