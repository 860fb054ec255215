"""Answers in JSON, written straight from our own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

# Answers hold what customers wrote: no cache keeps them, no browser guesses their type.
_GUARDED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def reply(
    value: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Return a response with ``value`` (plain JSON or our dataclasses) as its body."""
    return Response(
        orjson.dumps(value), status_code=status, headers={**_GUARDED, **(headers or {})}, media_type=media_type
    )
