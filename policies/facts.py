"""What a text states in figures: amounts, percentages, spans of time, dates, times of day and names.

Two texts can be compared by the keys: ``$1,000.00`` and ``1000 dollars`` have the same one, ``30 days`` and
``30 business days`` have not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["money", "percent", "span", "clock", "date", "weekday", "measure", "number"]

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# fmt: on
_WORDS = {word: float(value) for value, word in enumerate(_SMALL)}
_WORDS |= {word: 20.0 + 10 * place for place, word in enumerate(_TENS)}
_WORDS |= {"hundred": 100.0, "thousand": 1000.0, "dozen": 12.0, "once": 1.0, "twice": 2.0}
_UNITS = {
    "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour", "yr": "year", "yrs": "year", "wk": "week",
    "lb": "pound", "lbs": "pound", "inches": "inch", "feet": "foot", "ft": "foot", "kilograms": "kg",
    "centimeter": "cm", "centimeters": "cm", "cms": "cm", "millimeter": "mm", "millimeters": "mm",
    "liter": "liter", "litre": "liter", "litres": "liter", "liters": "liter", "wh": "watt-hour",
}  # fmt: skip

# What matching without case takes for plain letters too.
_PLAIN = str.maketrans("\u017f\u212a\u0131\u0130", "skii")

_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_WORD_NUMBER = "|".join(sorted(_WORDS, key=len, reverse=True))
_NUMBER = rf"(?:{_DIGITS}|(?:{_WORD_NUMBER})(?:-(?:{'|'.join(_SMALL[1:10])}))?)"
_TO = r"\s?(?:-|–|—|to|or|and|through|until)\s?"
_SPAN = r"minutes?|mins?|hours?|hrs?|days?|weeks?|wks?|months?|years?|yrs?|seconds?|nights?"
_MEASURE = (
    r"inch(?:es)?|feet|foot|ft|cms?|centimeters?|mm|millimeters?|kg|kilograms?|pounds?|lbs?|grams?|miles?|km"
    r"|watt-hours?|wh|lit(?:er|re)s?|points?|items?|°\s?[cf]|degrees?"
)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]}|\\.)?" if name != "may" else "may" for name in _MONTHS)
_PATTERN = re.compile(
    rf"""
    (?P<iso>\b\d{{4}}-\d\d-\d\d\b)
    |\b(?P<month>{_MONTH})\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s(?P<year>\d{{4}}))?
    |\b(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month2>{_MONTH})\b(?:,?\s(?P<year2>\d{{4}}))?
    |\b(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d))?\s?(?P<half>[ap])\.?m\b\.?
    |\b(?P<noon>noon|midnight)\b
    |\b(?P<weekday>{"|".join(_WEEKDAYS)})s?\b
    |(?P<symbol>(?:\b(?:CA|US|AU|NZ|C|A))?[$€£])\s?(?P<money>{_DIGITS})
    |\b(?P<money2>{_NUMBER})\s?(?P<currency>dollars?|bucks|usd|cad|euros?|eur|gbp|cents?|quid)\b
    |\b(?P<percent>{_NUMBER})\s?(?:%|percent\b|per\scent\b)
    |\b(?P<span>{_NUMBER})(?:{_TO}(?P<span_end>{_NUMBER}))?(?:\s|-)(?P<working>(?:business|working)[\s-])?
        (?:calendar\s)?(?P<unit>{_SPAN})\b
    |\b(?P<measure>{_NUMBER})(?:{_TO}(?P<measure_end>{_NUMBER}))?(?:\s|-)?(?P<size>{_MEASURE})(?!\w)
    |(?<![\w.])(?P<number>{_NUMBER})(?![\w%]|[.,]\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CURRENCY = {
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "buck": "$", "ca$": "ca$", "c$": "ca$", "cad": "ca$",
    "au$": "au$", "a$": "au$", "nz$": "nz$",
    "€": "€", "euro": "€", "eur": "€", "£": "£", "gbp": "£", "quid": "£", "cent": "¢",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure of a text."""

    kind: Kind
    key: str
    """The same for the same fact, however it is written."""
    text: str
    start: int
    values: tuple[float, ...] = ()
    """The bare numbers in it, both ends of a range."""


def facts(text: str) -> tuple[Fact, ...]:
    """Return the figures of a text in order."""
    return tuple(fact for match in _PATTERN.finditer(text.translate(_PLAIN)) for fact in _read(match, text))


def missing(claim: str, source: str) -> tuple[Fact, ...]:
    """Return the figures of a claim that its source does not state.

    A bare number may carry any unit in the source; a number with a unit needs that unit.
    """
    stated = facts(source)
    keys = {fact.key for fact in stated}
    values = {value for fact in stated for value in fact.values}
    return tuple(
        fact
        for fact in facts(claim)
        if fact.key not in keys and not (fact.kind == "number" and set(fact.values) <= values)
    )


def value_of(word: str) -> float:
    """Return the value of a number in digits or in words; raises ``KeyError`` for another word."""
    plain = word.translate(_PLAIN).replace(",", "").lower()
    if plain[:1].isdigit():
        return float(plain)
    return sum(_WORDS[part] for part in plain.split("-"))


def _read(match: re.Match[str], text: str) -> Iterator[Fact]:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    for kind, key, values in _keys(found):
        yield Fact(kind=kind, key=key, text=text[slice(*match.span())].strip(), start=match.start(), values=values)


def _keys(found: dict[str, str]) -> Iterator[tuple[Kind, str, tuple[float, ...]]]:
    if "iso" in found:
        year, month, day = found["iso"].split("-")
        yield from _date(int(month), int(day), year)
    elif "month" in found or "month2" in found:
        name, day = found.get("month") or found["month2"], found.get("day") or found["day2"]
        month_number = next(n for n, each in enumerate(_MONTHS, 1) if each.startswith(name.lower()[:3]))
        yield from _date(month_number, int(day), found.get("year") or found.get("year2"))
    elif "hour" in found:
        hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "p" else 0)
        yield "clock", f"{hour}:{found.get('minute', '00')}", (float(found["hour"]),)
    elif "noon" in found:
        yield "clock", "12:00" if found["noon"].lower() == "noon" else "0:00", ()
    elif "weekday" in found:
        yield "weekday", found["weekday"].lower(), ()
    else:
        yield from _amounts(found)


def _date(month: int, day: int, year: str | None) -> Iterator[tuple[Kind, str, tuple[float, ...]]]:
    yield "date", f"{month}/{day}", (float(day),)
    if year:
        yield "number", year, (float(year),)


def _amounts(found: dict[str, str]) -> Iterator[tuple[Kind, str, tuple[float, ...]]]:
    if "money" in found or "money2" in found:
        value = value_of(found.get("money") or found["money2"])
        sign = (found.get("symbol") or found["currency"]).lower()
        yield "money", f"{_CURRENCY.get(sign.rstrip('s'), sign)}{value:g}", (value,)
    elif "percent" in found:
        value = value_of(found["percent"])
        yield "percent", f"{value:g}%", (value,)
    elif "span" in found:
        unit = ("business " if "working" in found else "") + _unit(found["unit"])
        yield from _range("span", found["span"], found.get("span_end"), unit)
    elif "measure" in found:
        yield from _range("measure", found["measure"], found.get("measure_end"), _unit(found["size"]))
    else:
        value = value_of(found["number"])
        yield "number", f"{value:g}", (value,)


def _range(kind: Kind, first: str, last: str | None, unit: str) -> Iterator[tuple[Kind, str, tuple[float, ...]]]:
    values = tuple(value_of(each) for each in (first, last) if each)
    yield kind, f"{'-'.join(f'{value:g}' for value in values)} {unit}", values


def _unit(word: str) -> str:
    plain = re.sub(r"\s", "", word.lower())
    return _UNITS.get(plain) or _UNITS.get(plain.rstrip("s")) or plain.rstrip("s")


_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)(?<![\w-])[A-Z][\w&'’-]*[A-Za-z](?:\s+[A-Z][\w&'’-]*[A-Za-z])*")
_COMMON = frozenset({*_MONTHS, *_WEEKDAYS, "i'm", "i'll", "i've", "ok"})


def names(text: str) -> tuple[str, ...]:
    """Return the words that are capitalised inside a sentence, without months and days of the week."""
    found = (word for match in _NAME.finditer(text) for word in match.group().split())
    return tuple(dict.fromkeys(word for word in found if _plain_name(word) not in _COMMON))


def missing_names(claim: str, source: str) -> tuple[str, ...]:
    """Return the names of a claim that its source does not have."""
    known = {_plain_name(word) for word in re.findall(r"[\w&'’-]+", source)}
    return tuple(name for name in names(claim) if _plain_name(name) not in known)


def _plain_name(word: str) -> str:
    return word.lower().replace("’", "'").removesuffix("'s").rstrip("s'")
