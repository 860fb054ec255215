"""Contents of messages as spans hold them: only where it is asked for, and never with personal data.

What models read and write has placeholders for personal data by then. Patterns are looked for once more: a model
may have made up a number, and a receiver of traces has no vault to erase from.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from policies.personal_data import PLACEHOLDER, mask


def written(messages: Iterable[tuple[str, str]]) -> str:
    """Return messages, as (role, text), as the conventions of OpenTelemetry have them."""
    return orjson.dumps(
        [{"role": role, "parts": [{"type": "text", "content": masked(text)}]} for role, text in messages]
    ).decode()


def masked(text: str) -> str:
    """Return a text with placeholders for what looks like personal data; those that it has stay."""
    known = {each: each for each in PLACEHOLDER.findall(text)}
    return mask(text, known, keep=known).text
