"""What a question asks for: an amount, a span of time, a date, or a yes or no."""

from __future__ import annotations

import re
from typing import Literal

from policies.facts import Fact, facts
from policies.personal_data import PLACEHOLDER

Asked = Literal["money", "span", "when", "number", "percent", "size", "permission"]

_ASKS: dict[Asked, re.Pattern[str]] = {
    "money": re.compile(
        r"\bhow much (?!longer|time|of|bigger|weight)"
        r"|\b(?:costs?|prices?|charges?|fees?|postage|set me back|come to in total|pay for|spend|worth|expensive"
        r"|dollars?|discount|smallest|biggest|minimum|maximum)\b",
        re.I,
    ),
    "span": re.compile(
        r"\bhow (?:long|soon|fast|quick\w*|many (?:\w+ )?(?:minutes?|hours?|days?|weeks?|months?|years?))\b"
        r"|\b(?:days|turn up|get here|arrive|have it|delivered by|take to)\b"
        r"|\bwhen (?:would|will|does|do|can|should)\b",
        re.I,
    ),
    "when": re.compile(
        r"\bwhen\b|\bwhat (?:time|day|date)\b"
        r"|\b(?:until|last da(?:te|y)|deadline|hours|open|closed?|by when|cut-?off)\b",
        re.I,
    ),
    "percent": re.compile(r"\b(?:percent\w*|per cent|discount|interest|% off|share)\b|%", re.I),
    "number": re.compile(r"\bhow many\b|\b(?:most|limit|maximum|at most|minimum|times)\b", re.I),
    "size": re.compile(
        r"\b(?:size|how (?:big|wide|heavy|much longer|tall)|temperature|weight|measure\w*|cm)\b", re.I
    ),
    # One that offers a choice ("now or later?") wants neither a yes nor a no.
    "permission": re.compile(
        r"(?:^|[.,;!?]\s*|\b(?:and|but|or|so)\s+)(?:can|could|may|is|are|do|does|will|would|am|should)\b"
        r"(?![^.?!]*\bor (?!not\b))",
        re.I,
    ),
}
_ANSWERS: dict[Asked, frozenset[str]] = {
    "money": frozenset({"money"}),
    "span": frozenset({"span"}),
    "when": frozenset({"clock", "date", "weekday", "span"}),
    "percent": frozenset({"percent"}),
    "number": frozenset({"number", "measure", "span", "money"}),
    "size": frozenset({"measure", "number"}),
    "permission": frozenset(),
}
_MODAL = re.compile(
    r"\b(?:can|cannot|may|must|will|not|never|only|available|allowed|possible|free|accept\w*|included|closed)\b",
    re.I,
)


_OPENER = r"(?:how|what|when|where|which|who|is|are|do|does|can|could|will|would|should|may|am)"
_BLANKS = re.compile(r"\s{2,}")
_PART = re.compile(
    rf"(?<=[.!?;])\s|\n|,?\s(?:and|but|or|plus)\s(?={_OPENER}(?:s|'s)?\b)|,\s(?={_OPENER}(?:s|'s)?\b)", re.I
)
_ASKING = re.compile(rf"(?:(?:and|but|so|or|also)\s+)?{_OPENER}(?:s|'s)?\b|.*\?$", re.I | re.S)
_WORD = re.compile(r"[\w']+")
_WHO = re.compile(
    r"\b(?:hi|hello|hey|dear|greetings|good\s(?:morning|afternoon|evening|day)|thanks|thank\syou|there|team"
    r"|my\s(?:full\s)?(?:name|address|e-?mail|phone|number)(?:\s(?:address|number))?\s(?:is|here)|i\sam|i'm|this\sis"
    r"|i\slive\s(?:at|in)|you\scan\s(?:reach|call|write)\s(?:to\s)?me(?:\s(?:at|on))?)\b"
    rf"|{PLACEHOLDER.pattern}",
    re.I,
)
"""What writers say of themselves, which is nothing to be answered."""


def parts(question: str) -> tuple[str, ...]:
    """Return the sentences and questions of a message that has several.

    Left out are those of one or two words besides a greeting and what writers say of themselves.
    """
    plain = _BLANKS.sub(lambda blanks: "\n" if "\n" in blanks[0] else " ", question)
    found = [piece.strip() for piece in _PART.split(plain)]
    found = [piece for piece in found if says_something(piece)]
    return tuple(found) if len(found) > 1 else ()


def says_something(part: str) -> bool:
    """Say whether a part has three words at least besides a greeting and what writers say of themselves."""
    return len(_WORD.findall(_WHO.sub(" ", part))) >= 3


def is_asked(part: str) -> bool:
    """Say whether a part of a message is a question."""
    return bool(_ASKING.match(part))


def asks(question: str) -> frozenset[Asked]:
    """Return what a question asks for; empty when its words do not tell."""
    return frozenset(kind for kind, pattern in _ASKS.items() if pattern.search(question))


def gives(text: str, found: tuple[Fact, ...] | None = None) -> frozenset[Asked]:
    """Return what a text has to offer to questions of each kind."""
    kinds = {fact.kind for fact in (facts(text) if found is None else found)}
    offered: set[Asked] = {asked for asked, needed in _ANSWERS.items() if needed & kinds}
    if _MODAL.search(text):
        offered.add("permission")
    return frozenset(offered)
