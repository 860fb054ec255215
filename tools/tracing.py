"""What log lines belong to: the run, conversation and trace that a task is working on.

Ids alone are kept, never a text that somebody wrote. A bound scope ends with its block; ``note`` adds to the scope
at hand what becomes known later, such as the run that a request began.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ID = re.compile(r"(?:con|run|msg|rev|req)_[0-9a-f]{1,32}|[0-9a-f]{32}")
_SCOPE: ContextVar[dict[str, str] | None] = ContextVar("handrail_log_scope", default=None)


@contextmanager
def bound(**ids: str | None) -> Iterator[None]:
    """Let log lines of this block name these ids, beside those that are bound around it."""
    token = _SCOPE.set(dict(_SCOPE.get() or {}))
    try:
        note(**ids)
        yield
    finally:
        _SCOPE.reset(token)


def note(**ids: str | None) -> None:
    """Add ids to the scope at hand; does nothing without one, nor for what does not look like an id of ours."""
    scope = _SCOPE.get()
    if scope is not None:
        scope.update({name: text for name, text in ids.items() if text is not None and _ID.fullmatch(text)})


def current() -> dict[str, str]:
    """Return the ids that are bound here."""
    return dict(_SCOPE.get() or {})


def trace_id() -> str:
    """Return the id of the trace at hand, such as a request's, or a new one where there is none."""
    return current().get("trace") or secrets.token_hex(16)
