"""Every error that Handrail raises on purpose.

HandrailError                 code, message, remedy
├── ConfigError               a file or a setting is wrong: the operator mends it
├── InputError                the caller sent something unusable (4xx)
│   ├── NotFound              no such row for this caller
│   ├── Conflict              the state does not allow it (already decided, owner changed)
│   └── IdempotencyMismatch   the key was used with another body
├── Fenced                    a newer attempt owns the run: stop writing
├── Overtaken                 a person or a newer message came first: nothing was sent
├── Unavailable               a dependency is down: try again later
├── Refused                   an action says that it did nothing
└── GuardFailed               a guard crashed or timed out: counts as a failed check
"""

from __future__ import annotations

from typing import Any


class HandrailError(Exception):
    """Something went wrong that has a name."""

    code = "internal"

    def __init__(self, message: str, *, remedy: str | None = None, code: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code or type(self).code
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class ConfigError(HandrailError):
    """A file or a setting is wrong; ``str()`` says file, line, field and remedy."""

    code = "config.invalid"


class InputError(HandrailError):
    """The caller sent something unusable."""

    code = "input.invalid"


class NotFound(InputError):
    """There is no such thing for this caller."""

    code = "not_found"


class Conflict(InputError):
    """The present state does not allow it."""

    code = "conflict"


class IdempotencyMismatch(InputError):
    """This Idempotency-Key was used with another body."""

    code = "idempotency.mismatch"


class Fenced(HandrailError):
    """A newer attempt owns this run; the one that sees this stops without writing."""

    code = "run.fenced"


class Overtaken(HandrailError):
    """The conversation moved on while an answer was made, so the answer was not sent."""

    code = "conversation.overtaken"


class Unavailable(HandrailError):
    """A dependency does not answer at present."""

    code = "unavailable"


class Refused(HandrailError):
    """An action did nothing, and says why; the text is shown to a person of ours."""

    code = "act.refused"


class GuardFailed(HandrailError):
    """A guard crashed or ran out of time, which counts as its failure."""

    code = "guard.failed"
