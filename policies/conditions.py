"""Whether a sentence's conditions fit a question: the months it holds for, and what the customer says is not so.

Catches ranges of months ("from May 1 through September 30") against months in the question, and words that the
question denies ("not a member") against sentences that are about just that. Misses conditions said otherwise.
"""

from __future__ import annotations

import re

_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_NUMBER = {name: number for number, name in enumerate(_MONTHS, start=1)} | {"christmas": 12, "xmas": 12}
_NAMES = "|".join(_MONTHS)
_RANGE = re.compile(
    rf"\b({_NAMES})(?: \d{{1,2}})?(?:, \d{{4}},?)? (?:through|to|until) ({_NAMES})\b", re.IGNORECASE
)
# A plain "may" is a modal verb far more often than a month.
_ASKED = re.compile(
    rf"\b(?:(?<=in )may|(?<=until )may|(?<=of )may|{_NAMES.replace('may|', '')}|christmas|xmas)\b", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(?:not|no|without|non)\b[ -](?:an? |any |the )?(\w{4,})(?: (?:of|in) (?:an? |the )?(\w{4,}))?", re.I
)
STEM = 5


def month_fit(question: str, text: str) -> float:
    """Return 1 if the months that ``text`` holds for include those asked about, -1 if not, 0 if one is silent."""
    asked = {_NUMBER[name.lower()] for name in _ASKED.findall(question)}
    found = _RANGE.findall(text)
    ranges = [(_NUMBER[first.lower()], _NUMBER[last.lower()]) for first, last in found]
    if not asked or not ranges:
        return 0.0
    return 1.0 if any(all(_within(month, *each) for month in asked) for each in ranges) else -1.0


def _within(month: int, first: int, last: int) -> bool:
    return first <= month <= last if first <= last else month >= first or month <= last


def denial_fit(question: str, text: str) -> float:
    """Return -1 if ``text`` is about something that the question denies, 1 if it denies the same, else 0."""
    denied = {word[:STEM].lower() for pair in _DENIED.findall(question) for word in pair if word}
    found = [stem for stem in denied if re.search(rf"\b{stem}", text, re.IGNORECASE)]
    if not found:
        return 0.0
    same = any(re.search(rf"\b(?:non-?|not an? |not |without an? ){stem}", text, re.IGNORECASE) for stem in found)
    return 1.0 if same else -1.0
