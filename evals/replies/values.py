"""Wrong values: numbers and units, dates and times, names.

A new value never stands in what the sentence cites. Some stand elsewhere in the same article, where they belong to
something else: those are the ones that shared words do not give away.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from evals.replies.good import Reply
from evals.replies.lists import Names, words

T = TypeVar("T")
SPELLED = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH = "|".join(MONTHS)
_DAY = "|".join(WEEKDAYS)
_UNIT = re.compile(
    r"\s*-?(business days?|opening hours?|(?:calendar )?(?:years?|months?)|days?|weeks?|hours?|minutes?|"
    r"inch(?:es)?|pounds?|percent|items?|photos?|liters?|cm|times?|points|pieces|people|per)\b"
)
_NUMBER = re.compile(
    rf"(?P<money>(?:CA\$|[$€£])\d+(?:,\d{{3}})*(?:\.\d+)?)|(?P<percent>\d+(?:\.\d+)?%)"
    rf"|(?<![\w.$-])(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?)(?![\w%]*[:/°]|[\d.]*\d)|\b(?P<word>{'|'.join(SPELLED)}|twice|half)\b"
)
_NUMBER_WRITTEN = rf"\b(?:\d+|{'|'.join(SPELLED)})\b"
_DATE = re.compile(
    rf"\b(?P<date>(?:{_MONTH}) \d{{1,2}}(?!\d))|\b(?P<year>20\d\d)\b|\b(?P<month>{_MONTH})\b(?! \d)"
    rf"|\b(?P<weekday>{_DAY})(?=s?\b)|\b(?P<time>\d{{1,2}}(?= [ap]m))|\b(?P<half>[ap]m)\b|\b(?P<noon>noon)\b"
    r"|\b(?P<same>same day)\b|\b(?P<week>weekdays)\b|\b(?P<feast>Thanksgiving)\b"
)
_KEPT = re.compile(
    rf"\b(?:1-)?\d{{3}}-\d{{3}}(?:-\d{{4}})?|Pay in 4|\b(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?\b|\b20\d\d\b"
    r"|\b\d{1,2}(?:(?= [ap]m)|(?= and \d+ [ap]m)|(?= to \d+, 20))"
    r"|(?:[Tt]he|which|next|that|this|as|our|a|each|for) one\b|\bone of\b"
)
_PHRASES = {"twice": 2.0, "half": 0.5, "a quarter of": 0.25, "four times": 4.0}
_COUNTS_AFTER_ONE = re.compile(r" (?:to|full|base|free) ")
_UNITS = {
    "business days": "weeks",
    "business day": "week",
    "days": "weeks",
    "day": "week",
    "hours": "days",
    "minutes": "hours",
    "weeks": "months",
    "months": "years",
    "years": "months",
    "inches": "feet",
    "pounds": "ounces",
    "per order": "per item",
    "liters": "quarts",
}


def wrong_numbers(reply: Reply, article: str, chance: random.Random) -> Iterator[str]:
    """Yield the sentence with another number, once for each number and way, then with another unit."""
    cited = _values(reply.quotes)
    known = cited | _values(article)
    for match in _numbers(reply.text):
        unit = _unit_after(reply.text, match.end())
        far = [each for each in _other_numbers(match, chance) if _value(each) not in known]
        near = [each for each in _neighbours(match, unit, article) if _value(each) not in cited]
        chance.shuffle(near)
        for new in [*near[:1], *far[:1]]:
            if not _backward(changed := _put(reply.text, match, new)):
                yield changed
    for unit, other in _UNITS.items():
        pattern = re.compile(rf"(?<=[\d\w]) {unit}\b")
        if (found := pattern.search(reply.text)) and f" {other}" not in reply.quotes:
            yield _put(reply.text, found, f" {other}")
            return


def wrong_dates(reply: Reply, article: str, chance: random.Random) -> Iterator[str]:
    """Yield the sentence with another date, weekday or time, once for each of them."""
    for match in _DATE.finditer(reply.text):
        kind = match.lastgroup
        options = _other_dates(str(kind), match[0], chance)
        fresh = [each for each in options if each not in reply.quotes and each not in reply.text]
        wanted = [each for each in fresh if each in article][:1] + [each for each in fresh if each not in article][
            :1
        ]
        for new in wanted[:2]:
            yield _put(reply.text, match, new)


def wrong_names(reply: Reply, article: str, chance: random.Random) -> Iterator[str]:
    """Yield the sentence with another name, once or twice for each name that we know."""
    seen = f"{reply.text} {reply.quotes}".casefold()
    for group in words().names:
        for match in _known(group, reply.text):
            others = [each for each in (*group.known, *group.others) if each.casefold() not in seen]
            inside = [each for each in others if each in article]
            chance.shuffle(inside)
            outside = [each for each in group.others if each in others] or others
            for new in dict.fromkeys([*inside[:1], *outside[:1]]):
                yield _put(reply.text, match, new)


def _backward(text: str) -> bool:
    """Say whether a range ends before it begins: nobody writes that."""
    ranges = re.finditer(rf"({_NUMBER_WRITTEN}) (?:to|and) ({_NUMBER_WRITTEN})", text)
    return any(_value(each[1]) >= _value(each[2]) for each in ranges)


def _known(group: Names, text: str) -> Iterator[re.Match[str]]:
    for name in group.known:
        yield from re.finditer(rf"(?<![\w@./]){re.escape(name)}(?!\w)", text)


def _numbers(text: str) -> list[re.Match[str]]:
    kept = [match.span() for match in _KEPT.finditer(text)]
    return [
        match
        for match in _NUMBER.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in kept)
        and (match[0] != "one" or _UNIT.match(text, match.end()) or _COUNTS_AFTER_ONE.match(text, match.end()))
    ]


def _values(text: str) -> set[float]:
    return {_value(match[0]) for match in _NUMBER.finditer(text)}


def _value(token: str) -> float:
    low = token.lower()
    if low in SPELLED:
        return SPELLED.index(low) + 1
    if low in _PHRASES:
        return _PHRASES[low]
    return float(re.sub(r"[^\d.]", "", token))


def _unit_after(text: str, end: int) -> str:
    found = _UNIT.match(text, end)
    return found[1].rstrip("s") if found else ""


def _other_numbers(match: re.Match[str], chance: random.Random) -> list[str]:
    value = _value(match[0])
    if match["word"]:
        if match["word"] == "half":
            return ["a quarter of"]
        if match["word"] == "twice":
            return ["four times"]
        return _shuffled([SPELLED[n - 1] for n in range(1, 16) if abs(n - value) >= 1 and n > 1], chance)
    steps = [value * 2, value * 3, value + 5, value + 10, value - 2, value / 2, value + 3, value + 4]
    fits = [each for each in steps if each > 1 and (each == int(each) or value != int(value))]
    return [_like(match[0], each) for each in _shuffled(fits, chance)]


def _like(token: str, value: float) -> str:
    """Write a value as another was written."""
    places = len(token.split(".")[1].rstrip("%")) if "." in token else 0
    front = re.match(r"\D*", token)
    assert front is not None
    return f"{front[0]}{value:,.{places}f}{'%' if token.endswith('%') else ''}"


def _neighbours(match: re.Match[str], unit: str, article: str) -> list[str]:
    """Return numbers that the article has with the same unit, written as this one is."""
    kind = "digits" if match["word"] else str(match.lastgroup)
    if (kind == "digits" and not unit) or match["word"] in ("half", "twice"):
        return []
    found = []
    for other, others_unit in _with_units(article):
        same = other.lastgroup in (kind, match.lastgroup) and others_unit == unit
        if same and not (kind == "money" and other[0][0] != match[0][0]):
            found.append(_as_word(other[0]) if match["word"] else str(other[0]))
    return sorted(set(found) - {match[0]})


@cache
def _with_units(article: str) -> list[tuple[re.Match[str], str]]:
    return [(match, _unit_after(article, match.end())) for match in _numbers(article)]


def _as_word(token: str) -> str:
    value = _value(token)
    return SPELLED[int(value) - 1] if value == int(value) and 1 <= value <= len(SPELLED) else token


def _other_dates(kind: str, token: str, chance: random.Random) -> list[str]:
    if kind == "date":
        month, day = token.rsplit(" ", 1)
        days = [f"{month} {n}" for n in range(2, 28) if abs(n - int(day)) > 2]
        return _shuffled([*days, *(f"{each} {day}" for each in MONTHS if each != month)], chance)
    if kind == "month":
        return _shuffled([each for each in MONTHS if each != token], chance)
    if kind == "weekday":
        return _shuffled([each for each in WEEKDAYS if each != token], chance)
    if kind == "time":
        return _shuffled([str(n) for n in range(1, 13) if abs(n - int(token)) > 1], chance)
    fixed = {
        "year": [str(int(token) + 1)] if kind == "year" else [],
        "half": ["pm" if token == "am" else "am"],
        "noon": ["midnight"],
        "same": ["following week"],
        "week": ["Sundays"],
        "feast": ["Labor"],
    }
    return fixed[kind]


def _shuffled(options: list[T], chance: random.Random) -> list[T]:
    chance.shuffle(options)
    return options


def _put(text: str, match: re.Match[str], new: str) -> str:
    if match[0][:1].isupper() and new[:1].islower() and match.start() == 0:
        new = new[0].upper() + new[1:]
    return text[: match.start()] + new + text[match.end() :]
