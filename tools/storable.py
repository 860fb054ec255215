"""Values that every database keeps: no infinite numbers, no null characters, no halves of characters."""

from __future__ import annotations

import math
import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
LONGEST_SAYING = 500
"""Characters of what an error says that are kept."""


def storable(value: Any) -> Any:
    """Return plain data without what a database refuses; every member of a mapping is named by a text."""
    if isinstance(value, dict):
        return {storable(str(name)): storable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _UNSTORABLE.sub("", value) if isinstance(value, str) else value


def said_by(error: BaseException) -> str:
    """Return the beginning of what an error says, fit to be kept; nothing where it can't even be asked."""
    try:
        said = str(error)
    except (Exception, SystemExit, KeyboardInterrupt):
        return ""
    return brief(said)


def brief(said: str) -> str:
    """Return the beginning of a text from a developer's code, fit to be kept."""
    # Cut between words: half an address would not be known for personal data any more.
    cut = said if len(said) <= LONGEST_SAYING else said[:LONGEST_SAYING].rsplit(maxsplit=1)[0]
    kept: str = storable(cut)
    return kept
