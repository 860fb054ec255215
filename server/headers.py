"""What clients ask for in request headers: a stream or JSON, how long to wait, where to go on."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from policies.errors import InputError

DEFAULT_WAIT = 30.0
LONGEST_WAIT = 60.0
EVENT_STREAM = "text/event-stream"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_CURSOR = re.compile(r"([^:\s]{1,100}):(\d{1,15})")
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,6})"?', re.IGNORECASE)


def wants_events(headers: Headers) -> bool:
    """Whether ``Accept`` prefers an event stream to JSON; whoever says nothing gets JSON."""
    weights = _weights(",".join(headers.getlist("accept")))
    events = weights.get(EVENT_STREAM, 0.0)
    return events > 0 and events >= weights.get("application/json", 0.0)


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[kind] = float(quality)
        except ValueError:
            weights[kind] = 0.0
    return weights


def wait_seconds(headers: Headers) -> float:
    """Return how long to wait for a result, from ``Prefer`` (RFC 7240); what it doesn't know it ignores."""
    for item in ",".join(headers.getlist("prefer")).split(","):
        preference = item.split(";")[0].strip()
        if preference.lower() == "respond-async":
            return 0.0
        if match := _WAIT.fullmatch(preference):
            return min(float(match[1]), LONGEST_WAIT)
    return DEFAULT_WAIT


def idempotency_key(headers: Headers) -> str | None:
    """Return the ``Idempotency-Key``, or None; raises ``InputError`` for one that can't be kept."""
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InputError(
            "The Idempotency-Key is not usable.",
            remedy="Send one key of 1 to 255 printable ASCII characters.",
            code="idempotency.key",
        )
    return keys[0]


def last_event_number(headers: Headers, owner: str) -> int | None:
    """Return the number in ``Last-Event-ID``, or None without one.

    Raises ``InputError`` for an id that is malformed or belongs to another stream than ``owner``'s.
    """
    given = headers.get("last-event-id")
    if not given:
        return None
    match = _CURSOR.fullmatch(given)
    if match is None:
        raise InputError(
            "The Last-Event-ID is malformed.",
            remedy=f"Send the id of the last event as it came, such as {owner}:3.",
            code="last_event_id.malformed",
        )
    if match[1] != owner:
        raise InputError(
            f"The Last-Event-ID does not belong to {owner}.",
            remedy="Ask the stream that the event came from.",
            code="last_event_id.foreign",
        )
    return int(match[2])
