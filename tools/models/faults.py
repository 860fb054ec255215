"""Reads what a provider's client raised: whether to try again, when, and whether the provider is to blame.

Clients of different providers share no classes, so this looks at what they all have: a status, response headers,
and names of classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from policies.errors import HandrailError

BUSY = 429
REFUSED = "model.refused"
KEY = (401, 403)
WRONG_KEY = "model.key"
WORTH_A_RETRY = (408, 409, 425, BUSY)
_FORM = (400, 404, 415, 422, 500, 501)
_CONNECTION = {
    "APIConnectionError",
    "APITimeoutError",
    "ConnectionError",
    "NetworkError",
    "TransportError",
    "TimeoutException",
    "ServiceUnavailable",
    "DeadlineExceeded",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What went wrong in one call."""

    code: str
    text: str
    retry: bool = True
    blames: bool = True
    """Whether it counts against the provider; a request that it refuses does not."""
    after: float | None = None
    """Seconds that the provider asks to be left alone for."""


SLOW = Fault(code="model.slow", text="It did not answer in time.")
DEADLINE = Fault(code="model.deadline", text="There was no time left.", retry=False, blames=False)


class CallFailed(Exception):
    """One call failed in a way that we saw ourselves, such as silence or a reply that was cut."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


def read_fault(error: Exception, now: datetime | None = None) -> Fault:
    """Return what an exception of any provider's client means; texts never quote what was sent or answered."""
    if isinstance(error, CallFailed):
        return error.fault
    if isinstance(error, HandrailError):
        return Fault(code=error.code, text=error.message, retry=False, blames=False)
    status = _status(error)
    if status is not None:
        return _of_status(status, retry_after(_headers(error), now or datetime.now(UTC)))
    if isinstance(error, TimeoutError):
        return SLOW
    names = {each.__name__ for each in type(error).__mro__}
    if isinstance(error, OSError) or _CONNECTION & names:
        return Fault(code="model.unreachable", text=f"The connection failed ({type(error).__name__}).")
    if isinstance(error, ValueError):
        return Fault(code="model.garbled", text=f"Its reply can't be read ({type(error).__name__}).")
    if any(name.endswith("FinishReasonError") for name in names):
        text = "Its reply is not whole: it ran out of tokens, or was filtered."
        return Fault(code="model.cut", text=text, retry=False, blames=False)
    # A provider's own error without a status is one that came in the middle of a stream.
    return Fault(code="model.failed", text=f"It failed ({type(error).__name__}).", retry="APIError" in names)


def may_be_the_form(error: Exception) -> bool:
    """Whether a provider may have failed because of the form of a request, and not of what it asks."""
    return _status(error) in _FORM


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds a provider asks to wait, from a number or a date; None when it does not say."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return _seconds(float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.replace(".", "", 1).isdigit():
            return _seconds(float(value))
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _seconds(value: float) -> float | None:
    return max(0.0, value) if math.isfinite(value) else None


def _of_status(status: int, after: float | None) -> Fault:
    if status == BUSY:
        # Asked to wait, everybody waits; only a refusal that says no time counts as a failure.
        return Fault(
            code="model.rate_limited", text="It has no capacity (429).", after=after, blames=after is None
        )
    if status in KEY:
        return Fault(code=WRONG_KEY, text=f"It does not accept the key ({status}).", retry=False)
    if status >= 500 or status in WORTH_A_RETRY:
        return Fault(code="model.failed", text=f"It failed ({status}).", after=after)
    return Fault(code=REFUSED, text=f"It refused the request ({status}).", retry=False, blames=False)


def _status(error: Exception) -> int | None:
    for name in ("status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and 400 <= value < 600:
            return int(value)
    return None


def _headers(error: Exception) -> Mapping[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return {str(name).lower(): str(value) for name, value in headers.items()} if headers is not None else {}
