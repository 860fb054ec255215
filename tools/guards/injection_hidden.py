"""What a document says where no reader looks: comments, unseen elements, texts behind pictures and names.

Such a stretch has no honest reason to give orders, so it is judged like a message. All patterns are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNSEEN = (
    r"(?:display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|opacity\s{0,3}:\s{0,3}0(?![.\d])"
    r"|font-size\s{0,3}:\s{0,3}0(?![.\d])|color\s{0,3}:\s{0,3}(?:white|#fff(?:fff)?)\b|\shidden\b)"
)
_HIDDEN = (
    re.compile(r"<!--((?:(?!<!--).){8,2000}?)-->", re.S),
    re.compile(r"^\[//\]: ?# ?[(\"'](.{8,500})[)\"']", re.M),
    re.compile(rf"<[a-z][a-z0-9]{{0,10}}\b[^<>]{{0,200}}{_UNSEEN}[^<>]{{0,200}}>([^<]{{8,1000}})<", re.I),
    re.compile(r"\b(?:alt|title|aria-label|content|summary|data-[a-z-]{1,30})\s?=\s?\"([^\"]{12,500})\"", re.I),
    re.compile(r"\b(?:alt|title|aria-label|content|summary|data-[a-z-]{1,30})\s?=\s?'([^']{12,500})'", re.I),
    re.compile(r"!\[([^\]\[]{12,500})\]\("),
)
MOST = 8
"""How many stretches of one text are looked at."""


def hidden(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a text says something that its readers do not see, the first ``MOST`` of each kind."""
    for pattern in _HIDDEN:
        for number, match in enumerate(pattern.finditer(text)):
            if number == MOST:
                break
            yield match.span(1)
