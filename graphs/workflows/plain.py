"""Plain values: what may come in from outside as JSON, and masking what a developer's graph gives us."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import rfc8785
from pydantic_core import to_jsonable_python

from graphs.writing import Findings
from policies.errors import InputError
from tools.storage import vault
from tools.storage.store import Tx

LARGEST = 2**53
DEEPEST = 50


def canonical(value: Any) -> str:
    """Return plain JSON as canonical text (RFC 8785)."""
    return rfc8785.dumps(value).decode()


def require_plain(value: Any, pointer: str) -> None:
    """Make sure that JSON can be kept and found again as it is; raises ``InputError`` that says what can't."""
    for place, wrong in _wrong(value, pointer, 0):
        raise InputError(
            f"A value can't be kept: {wrong}.",
            remedy="Mend what `errors` names.",
            code="workflow.input",
            errors=[{"in": "body", "pointer": place, "detail": wrong}],
        )


def _wrong(value: Any, at: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        yield at, f"it is more than {DEEPEST} levels deep"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _wrong(name, at, depth + 1)
            yield from _wrong(item, f"{at}/{name}", depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _wrong(item, f"{at}/{number}", depth + 1)
    elif isinstance(value, str):
        if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in value):
            yield at, "a text has a null character or half of a surrogate pair"
    elif isinstance(value, float) and not math.isfinite(value):
        yield at, "a number is not finite"
    elif isinstance(value, int) and abs(value) >= LARGEST:
        yield at, "a whole number is too large to be kept exactly; send it as a text"


def jsonable(value: Any) -> Any:
    """Return what a developer's graph gave as plain JSON: models, decimals, dates and the like as their texts."""
    return orjson.loads(orjson.dumps(to_jsonable_python(value, fallback=str)))


def texts(value: Any) -> Iterator[str]:
    """Yield every text in plain data, names of members left out."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def masked(tx: Tx, run_id: str, value: Any, found: Findings) -> Any:
    """Return plain data with placeholders for personal data; the values go to the run's vault.

    Names of members are words of a schema: of those, only what a pattern knows is personal data.
    """
    names = vault.all_masked(tx, run_id, _names(value), {})
    return _replaced(value, names, vault.all_masked(tx, run_id, texts(value), found))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _replaced(value: Any, names: Mapping[str, str], by: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names[name]: _replaced(item, names, by) for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, names, by) for item in value]
    return by[value] if isinstance(value, str) else value
