"""Whether a sentence's conditions fit a question: its season, its dates, its amounts, and what is denied.

A month or season of the question is held against the months that a sentence is for ("from May 1 through September
30", "in winter"), an amount against the amounts it is for ("$5,000 to $14,999", "less than $50"), and what the
customer says is not so ("not a member") against what it is about. Misses conditions said otherwise.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from policies.facts import facts, value_of

_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_NUMBER = {name: number for number, name in enumerate(_MONTHS, start=1)} | {"christmas": 12, "xmas": 12}
_SEASONS = {
    "winter": frozenset({12, 1, 2}),
    "spring": frozenset({3, 4, 5}),
    "summer": frozenset({6, 7, 8}),
    "autumn": frozenset({9, 10, 11}),
    "fall": frozenset({9, 10, 11}),
}
_NAMES = "|".join(_MONTHS)
_RANGE = re.compile(
    rf"\b({_NAMES})(?: \d{{1,2}})?(?:, \d{{4}},?)? (?:through|to|until) ({_NAMES})\b", re.IGNORECASE
)
# A plain "may" is a modal verb far more often than a month, a plain "fall" a verb as often as a season.
_ASKED = re.compile(
    rf"\b(?:(?<=in )may|(?<=until )may|(?<=of )may|{_NAMES.replace('may|', '')}|christmas|xmas)\b", re.IGNORECASE
)
_SEASON = re.compile(
    r"\b(?:winter|spring|summer|autumn|(?<=in )fall|(?<=the )fall|fall(?= season))\b", re.IGNORECASE
)
_ASKS_DATE = re.compile(r"\b(?:what|which|last) (?:day|date)s?\b|\bwhen (?:is|are)\b|\bholidays?\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|no|without|non)\b[ -](?:an? |any |the )?(\w{4,})(?: (?:of|in) (?:an? |the )?(\w{4,}))?", re.I
)
_SUM = r"(?:[A-Z]{2})?[$€£](\d[\d,]*(?:\.\d+)?)"
_BETWEEN = re.compile(rf"{_SUM} (?:to|and) {_SUM}")
_BELOW = re.compile(rf"\b(?:less than|under|below|up to) {_SUM}", re.IGNORECASE)
_ABOVE = re.compile(rf"{_SUM} or more|\b(?:more than|over|above|at least) {_SUM}", re.IGNORECASE)
_OTHERS = re.compile(r"\b(?:everyone|everybody|other customers)\b", re.IGNORECASE)
STEM = 5


def month_fit(question: str, text: str) -> float:
    """Return 1 if the months that ``text`` holds for include those asked about, -1 if not, 0 if one is silent."""
    asked, held = _asked_months(question), _held_months(text)
    if not asked or not held:
        return 0.0
    return 1.0 if any(asked <= each for each in held) else -1.0


@lru_cache(maxsize=64)
def _asked_months(question: str) -> frozenset[int]:
    named = frozenset(_NUMBER[name.lower()] for name in _ASKED.findall(question))
    return named or frozenset(month for name in _SEASON.findall(question) for month in _SEASONS[name.lower()])


@lru_cache(maxsize=4_096)
def _held_months(text: str) -> tuple[frozenset[int], ...]:
    ranges = [(_NUMBER[first.lower()], _NUMBER[last.lower()]) for first, last in _RANGE.findall(text)]
    spans = [frozenset(month for month in range(1, 13) if _within(month, *each)) for each in ranges]
    return (*spans, *(_SEASONS[name.lower()] for name in _SEASON.findall(text)))


def _within(month: int, first: int, last: int) -> bool:
    return first <= month <= last if first <= last else month >= first or month <= last


def date_fit(question: str, text: str) -> float:
    """Return -1 if ``text`` is for certain days of the year and the question is about no such thing, else 0."""
    return -1.0 if _dated(text) and not _about_dates(question) else 0.0


@lru_cache(maxsize=64)
def _about_dates(question: str) -> bool:
    return bool(_asked_months(question) or _dated(question) or _ASKS_DATE.search(question))


@lru_cache(maxsize=4_096)
def _dated(text: str) -> bool:
    return any(fact.kind == "date" for fact in facts(text))


def amount_fit(question: str, text: str) -> float:
    """Return 1 if an amount asked about is among those that ``text`` is for, -1 if not, 0 if one is silent."""
    asked, held = _asked_amounts(question), _held_amounts(text)
    if not asked or not held:
        return 0.0
    return 1.0 if any(low <= value <= high for value in asked for low, high in held) else -1.0


@lru_cache(maxsize=64)
def _asked_amounts(question: str) -> tuple[float, ...]:
    return tuple(value for fact in facts(question) if fact.kind == "money" for value in fact.values)


@lru_cache(maxsize=4_096)
def _held_amounts(text: str) -> tuple[tuple[float, float], ...]:
    between = [(value_of(low), value_of(high)) for low, high in _BETWEEN.findall(text)]
    below = [(0.0, value_of(high)) for high in _BELOW.findall(text)]
    above = [(value_of(one or other), math.inf) for one, other in _ABOVE.findall(text)]
    return (*between, *below, *above)


def denial_fit(question: str, text: str) -> float:
    """Return -1 if ``text`` is about something that the question denies, 1 if it denies the same, else 0."""
    found = [stem for stem in _denied(question) if re.search(rf"\b{stem}", text, re.IGNORECASE)]
    if not found:
        return 0.0
    if _OTHERS.search(text):
        return 1.0
    same = any(re.search(rf"\b(?:non-?|not an? |not |without an? ){stem}", text, re.IGNORECASE) for stem in found)
    return 1.0 if same else -1.0


@lru_cache(maxsize=64)
def _denied(question: str) -> frozenset[str]:
    return frozenset(re.escape(word[:STEM].lower()) for pair in _DENIED.findall(question) for word in pair if word)
