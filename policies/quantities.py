"""Figures as they compare: two texts that state the same one in other words have a key in common.

*Two weeks* are 14 days, *half past seven in the evening* is 7:30 pm, *Monday to Friday* has Wednesday in it. What
one text gives as a rate or a part (*a day*, *half*) counts as stated and is never asked of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from policies.facts import Fact, facts

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_ORDINALS = (
    *("fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth"),
    *("fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
_MINUTES = {"minute": 1, "hour": 60, "day": 1440, "night": 1440, "week": 10080}
_IN_MONTHS = {"month": 1, "year": 12}
_HOURS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_HOUR = rf"(?:\d{{1,2}}|{'|'.join(_HOURS)})"
_MONTH = "|".join(_MONTHS)


def _half(match: re.Match[str]) -> str:
    return f"{match['time']} {'am' if match['part'].lower() == 'morning' else 'pm'}"


def _hour(word: str) -> int:
    return int(word) if word.isdigit() else _HOURS.index(word.lower()) + 1


def _past(match: re.Match[str]) -> str:
    hour, minute = _hour(match["hour"]), 30 if match["part"].lower() == "half" else 15
    if match["way"].lower() == "to":
        hour, minute = hour - 1 or 12, 45
    return f"{hour}:{minute}"


def _both(match: re.Match[str]) -> str:
    """Give the first of two times the half of the day that the second one has."""
    first, last = int(match["first"].split(":")[0]) % 12, int(match["last"].split(":")[0]) % 12
    half = match["half"].lower()
    other = half if first <= last else {"a": "p", "p": "a"}[half]
    return f"{match['first']} {other}m {match['to']} {match['last']} {half}m"


def _great(match: re.Match[str]) -> str:
    value = float(match["many"].replace(",", "")) * {"million": 1e6, "thousand": 1e3}[match["great"].lower()]
    return f"{value:.0f}"


def _tenths(match: re.Match[str]) -> str:
    return f"{match['whole']} and a half" if not match["whole"].isdigit() else f"{match['whole']}.5"


_REWRITES = tuple(
    (re.compile(pattern, re.I), new)
    for pattern, new in (
        (r"\b24/7\b|\b(?:24|twenty-four) hours (?:a|per|each|every) day\b", "around the clock"),
        (r"\bhalf an hour\b|\ban? half[- ]hour\b|\bhalf-hour\b", "30 minutes"),
        (r"\b(?:a )?quarter(?:s)? of an hour\b|\bquarter[- ]hour\b", "15 minutes"),
        (r"\ban hour and a half\b|\bone and a half hours\b", "90 minutes"),
        (r"\bhalf a minute\b", "30 seconds"),
        (r"\bhalf a year\b", "6 months"),
        (r"\b(?:a )?fortnight\b", "14 days"),
        (r"\b(?P<part>half|quarter) (?P<way>past|to) (?P<hour>" + _HOUR + r")\b", _past),
        (r"\b12 (?=noon\b|midnight\b)", ""),
        (rf"\b(?P<hour>{_HOUR}) o['’]clock", lambda match: f"{_hour(match['hour'])}:00"),
        (
            rf"\b(?P<time>\d{{1,2}}(?::\d\d)?|(?<=at ){_HOUR}|(?<=by ){_HOUR}) (?:in the|that) "
            r"(?P<part>morning|afternoon|evening)\b",
            lambda match: _half(match) if match["time"][0].isdigit() else match[0],
        ),
        (
            r"\b(?P<first>\d{1,2}(?::\d\d)?)\s?(?P<to>-|–|—|to|and|until|till|through)\s?"
            r"(?P<last>\d{1,2}(?::\d\d)?)\s?(?P<half>[ap])\.?m\b\.?",
            _both,
        ),
        (r"(?P<many>\d+(?:,\d{3})*(?:\.\d+)?) (?P<great>million|thousand)\b", _great),
        (r"\b(?P<whole>\d+) and a half\b", _tenths),
        (rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)\b(?! (?:of )?(?:{_MONTH}))", r"\g<day>"),
        (r"\b(?:USD|US\$) ?(?=\d)", "$"),
        (r"\bEUR ?(?=\d)", "€"),
        (r"\bGBP ?(?=\d)", "£"),
    )
)
_WORD_HALVES = re.compile(r"\b(?P<word>two|three|four|five|six|seven|eight|nine|ten) and a half (?=[a-z])", re.I)
_SHORT_DAYS = re.compile(r"\b(Mon|Tues?|Wed|Thur?s?|Fri|Sat|Sun)\b\.?(?!['’])")
_ORDINAL = re.compile(rf"\b(?:{'|'.join(_ORDINALS)})\b", re.I)
_BARE_CLOCK = re.compile(r"(?<![\d:.,])(\d{1,2}):(\d\d)(?![\d:]|\s?[ap]\.?m\b)", re.I)
_BARE_MONTH = re.compile(rf"(?<!^)\b(?:{_MONTH})\b(?!\s\d)|^(?:{_MONTH.replace('May|', '')})\b(?!\s\d)")
_GENERAL_DAYS = re.compile(r"\b(weekend|weekday)s?\b", re.I)
_RATE = re.compile(
    r"\b(?:an?|per|each|every|one|the|first|last|next|whole|full)[ -](minute|hour|day|night|week|month|year)\b",
    re.I,
)
_DAY_RANGE = re.compile(
    rf"\b({'|'.join(_WEEKDAYS)})s?\s?(?:-|–|—|to|through|until|till)\s?({'|'.join(_WEEKDAYS)})s?\b", re.I
)
_MONTH_RANGE = re.compile(
    rf"\b({_MONTH})(?:\s\d+)?\s?(?:-|–|—|to|through|until|till|and)\s?(?:\d+\s)?({_MONTH})\b"
)
_PARTS = (
    (re.compile(r"\bfirst\b", re.I), ("n:1",)),
    (re.compile(r"\b(?:half|halves|halved)\b", re.I), ("50%", "n:0.5", "n:50")),
    (re.compile(r"\bquarters?\b", re.I), ("25%", "n:25", "mo:3", "m:15")),
    (re.compile(r"\b(?:a|one|by a|third of) ?third\b|\bthird\b", re.I), ("n:3", "33%")),
    (re.compile(r"\b(?:both|either|twice|double|pair|couple|two-step|second)\b", re.I), ("n:2",)),
    (re.compile(r"\b(?:free|nothing|no (?:extra )?(?:charge|cost|fee))\b", re.I), ("n:0", "$0", "€0", "£0", "0%")),
    (re.compile(r"\bdaily|overnight\b", re.I), ("m:1440",)),
    (re.compile(r"\bweekly\b", re.I), ("m:10080",)),
    (re.compile(r"\bmonthly\b", re.I), ("mo:1",)),
    (re.compile(r"\b(?:yearly|annual(?:ly)?|annum|anniversary)\b", re.I), ("mo:12",)),
    (re.compile(r"\baround the clock|day and night|day or night|at any (?:time|hour)\b", re.I), ("m:1440",)),
)
_TOLD_BY = {"weekday": _WEEKDAYS[:5], "weekend": _WEEKDAYS[5:]}
_UNITS = {"kilometer": "km", "kilometre": "km", "gigabyte": "gb", "megabyte": "mb", "terabyte": "tb"}
_NO_FIGURE = frozenset(("one", "once"))


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A figure of a text; it is the same as another if they have a key in common."""

    text: str
    kind: str
    keys: frozenset[str]


def respelled(text: str) -> str:
    """Return a text in which figures that are told in words of their own are written plainly."""
    plain = _SHORT_DAYS.sub(_long_day, text)
    plain = _WORD_HALVES.sub(lambda match: f"{_HOURS.index(match['word'].lower()) + 1}.5 ", plain)
    for pattern, new in _REWRITES:
        plain = pattern.sub(new, plain)
    return _ORDINAL.sub(lambda match: str(_ORDINALS.index(match[0].lower()) + 4), plain)


def _long_day(match: re.Match[str]) -> str:
    return next(day for day in _WEEKDAYS if day.startswith(match[1][:3].lower())).capitalize()


def quantities(text: str) -> tuple[Quantity, ...]:
    """Return the figures of a text that another has to have."""
    plain = respelled(text)
    found: list[Quantity] = []
    for match in _BARE_CLOCK.finditer(plain):
        hour, minute = int(match[1]), match[2]
        keys = frozenset((f"{hour % 24}:{minute}", f"{(hour + 12) % 24}:{minute}" if hour <= 12 else ""))
        found.append(Quantity(text=match[0], kind="clock", keys=keys - {""}))
    plain = _BARE_CLOCK.sub(" ", plain)
    found += [each for fact in facts(plain) if (each := _quantity(fact)) is not None]
    for match in _BARE_MONTH.finditer(plain):
        found.append(Quantity(text=match[0], kind="month", keys=frozenset((f"month {match[0]}",))))
    for match in _GENERAL_DAYS.finditer(plain):
        found.append(Quantity(text=match[0], kind="weekday", keys=frozenset((match[1].lower(),))))
    return tuple(found)


def _quantity(fact: Fact) -> Quantity | None:
    """Return a figure with its keys; None for a *one* that may count nothing."""
    if fact.text.lower().split()[0].split("-")[0] in _NO_FIGURE and fact.values == (1.0,):
        return None
    return Quantity(text=fact.text, kind=fact.kind, keys=frozenset(_keys(fact)))


def _keys(fact: Fact) -> Iterator[str]:
    if fact.kind == "span":
        yield from _span(fact)
    elif fact.kind == "measure":
        unit = fact.key.split(" ", 1)[1]
        yield f"{fact.key.split(' ')[0]} {_UNITS.get(unit, unit)}"
        if unit == "pound":
            yield f"£{fact.values[0]:g}"
        if unit in ("point", "item"):
            yield f"n:{fact.values[0]:g}"
    elif fact.kind == "number":
        yield f"n:{fact.values[0]:g}"
    elif fact.kind == "money":
        yield from _money(fact)
    else:
        yield fact.key
        if fact.kind == "date" and "/" in fact.key and fact.values and fact.values[0] > 31:
            yield f"month {_MONTHS[int(fact.key.split('/')[0]) - 1]}"


def _span(fact: Fact) -> Iterator[str]:
    unit = fact.key.split(" ", 1)[1]
    values = "-".join(f"{_scaled(value, unit):g}" for value in fact.values)
    yield f"{_scale(unit)}:{values}"
    yield f"bare {'-'.join(f'{value:g}' for value in fact.values)}"


def _scale(unit: str) -> str:
    return "m" if unit in _MINUTES else "mo" if unit in _IN_MONTHS else unit


def _scaled(value: float, unit: str) -> float:
    return value * (_MINUTES.get(unit) or _IN_MONTHS.get(unit) or 1)


def _money(fact: Fact) -> Iterator[str]:
    yield fact.key
    value = fact.values[0]
    if fact.key.startswith("¢"):
        yield from (f"{sign}{value / 100:g}" for sign in "$€")
    elif value < 1:
        yield f"¢{value * 100:g}"


@lru_cache(maxsize=4_096)
def told(text: str) -> frozenset[str]:
    """Return the keys of every figure that a text tells, also in passing: both ends of a range and "
    "what lies in it."""
    plain = respelled(text)
    found = {key for each in quantities(text) for key in each.keys if not key.startswith("bare ")}
    for fact in facts(_BARE_CLOCK.sub(" ", plain)):
        found.update(f"n:{value:g}" for value in fact.values)
        if fact.kind == "number":
            found.add(f"bare {fact.values[0]:g}")
        elif fact.kind == "span":
            unit = fact.key.split(" ", 1)[1]
            found.update(f"{_scale(unit)}:{_scaled(value, unit):g}" for value in fact.values)
        elif fact.kind == "measure":
            found.update(f"{value:g} {fact.key.split(' ', 1)[1]}" for value in fact.values)
        elif fact.kind == "date" and "/" in fact.key:
            found.add(f"month {_MONTHS[int(fact.key.split('/')[0]) - 1]}")
    for match in _BARE_CLOCK.finditer(plain):
        found.add(f"n:{int(match[1])}")
    for match in _RATE.finditer(plain):
        found.add(f"{_scale(match[1].lower())}:{_scaled(1, match[1].lower()):g}")
    for pattern, keys in _PARTS:
        if pattern.search(text):
            found.update(keys)
    return frozenset(found | _between(plain, found))


def _between(plain: str, found: set[str]) -> set[str]:
    """Return the days and months inside ranges, and what days make a week's end or the rest of it."""
    more: set[str] = set()
    for match in _DAY_RANGE.finditer(plain):
        first, last = (_WEEKDAYS.index(match[n].lower()) for n in (1, 2))
        more.update(_WEEKDAYS[n % 7] for n in range(first, last + 1 if last >= first else last + 8))
    for match in _MONTH_RANGE.finditer(plain):
        first, last = (_MONTHS.index(match[n]) for n in (1, 2))
        more.update(f"month {_MONTHS[n % 12]}" for n in range(first, last + 1 if last >= first else last + 13))
    for general, days in _TOLD_BY.items():
        if general in found:
            more.update(days)
        if not (found | more).isdisjoint(days):
            more.add(general)
    return more


def untold(claim: str, known: frozenset[str]) -> tuple[Quantity, ...]:
    """Return the figures of a claim that are not among those that its sources tell."""
    return tuple(each for each in quantities(claim) if each.keys.isdisjoint(known))


_MOST = (
    r"within|up to|at most|(?:no|not|never) (?:more|later|longer|over) than|until|till|by|before"
    r"|less than|fewer than"
    r"|under|below|as (?:many|much|long|late) as|(?:a )?maximum(?: of)?|in under"
)
_LEAST = (
    r"at least|(?:no|not) (?:less|fewer|sooner|earlier) than|more than|over|above|exceed\w*"
    r"|(?:a )?minimum(?: of)?|from"
    r"|after|beyond|longer than|starting at"
)
_SPELLED = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty"
_VALUES = {word: float(n) for n, word in enumerate(("zero", *_HOURS))}
_VALUES |= {"fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "half": 0.5, "twice": 2.0, "quarter": 0.25}
FIGURE = re.compile(rf"[$€£]?\d[\d,.:]*\d|\d|\b(?:{_SPELLED}|half|quarter|twice)\b", re.I)
"""A number as it stands in a text, whatever it counts."""
_FIGURE = rf"[$€£]?\d[\d.,]*|\b(?:{_SPELLED}|noon|midnight|{_MONTH.lower()})\b"
_BOUNDS = (
    re.compile(rf"\b(?:(?P<least>{_LEAST})|(?P<most>{_MOST}))\s(?:[a-z]+\s)?(?P<figure>{_FIGURE})", re.I),
    re.compile(
        rf"(?P<figure>{_FIGURE})(?:\s[a-z%]+){{0,3}}?\s(?:or (?P<least>more|later|longer|older|over|above)"
        r"|or (?P<most>less|fewer|earlier|younger|under))\b",
        re.I,
    ),
)


def value(figure: str) -> float | str:
    """Return the value of what ``FIGURE`` finds, or the text itself, so that two can be compared."""
    plain = figure.lower().strip("$€£").replace(",", "").rstrip(".")
    if plain in _VALUES:
        return _VALUES[plain]
    try:
        return float(plain)
    except ValueError:
        return plain


def opposite_bounds(claim: str, sources: Iterable[str]) -> bool:
    """Say whether a claim has at least for at most, or the other way about, of a figure that its "
    "sources have."""
    found = _bounds(claim)
    if not found:
        return False
    stated: dict[float | str, set[str]] = {}
    for source in sources:
        for figure, ways in _bounds(source).items():
            stated.setdefault(figure, set()).update(ways)
    return any(figure in stated and ways.isdisjoint(stated[figure]) for figure, ways in found.items())


def _bounds(text: str) -> dict[float | str, set[str]]:
    found: dict[float | str, set[str]] = {}
    plain = respelled(text)
    for pattern in _BOUNDS:
        for match in pattern.finditer(plain):
            found.setdefault(value(match["figure"]), set()).add("least" if match["least"] else "most")
    return found
