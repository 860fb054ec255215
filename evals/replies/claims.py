"""Wrong claims: a negation put in or taken out, and how firmly something is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals.replies.good import Reply
from evals.replies.lists import Change, words

MOST = 2
"""So many changed sentences of one, at different places."""
_OPENING = re.compile(r"^(Yes|No)\b")
_FLIPPED = {"Yes": "No", "No": "Yes"}


def negated(reply: Reply) -> Iterator[str]:
    """Yield the sentence with the contrary claim; a leading yes or no goes with it."""
    for text in _changed(reply.text, words().negation):
        yield _OPENING.sub(lambda match: _FLIPPED[match[0]], text)


def overstated(reply: Reply) -> Iterator[str]:
    """Yield the sentence with a duty for a permission, a certainty for a possibility, or the other way round."""
    yield from _changed(reply.text, words().modality)


def _changed(text: str, changes: Sequence[Change]) -> Iterator[str]:
    taken: list[tuple[int, int]] = []
    for pattern, replacement in changes:
        match = re.search(pattern, text)
        if match is None or any(start < match.end() and match.start() < end for start, end in taken):
            continue
        taken.append(match.span())
        yield text[: match.start()] + match.expand(replacement) + text[match.end() :]
        if len(taken) == MOST:
            return
