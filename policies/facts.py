"""What a text states in figures: amounts, percentages, spans of time, dates, times of day and names.

Two texts can be compared by the keys: ``$1,000.00`` and ``1000 dollars`` have the same one, ``30 days`` and
``30 business days`` have not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from policies.roots import root

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
    "oz": "ounce",
    "lb": "pound", "lbs": "pound", "inches": "inch", "feet": "foot", "ft": "foot", "kilograms": "kg",
    "centimeter": "cm", "centimeters": "cm", "cms": "cm", "millimeter": "mm", "millimeters": "mm",
    "centimetre": "cm", "millimetre": "mm", "kilometer": "km", "kilometre": "km", "metre": "meter",
    "gigabyte": "gb", "megabyte": "mb", "terabyte": "tb",
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
    r"inch(?:es)?|feet|foot|ft|cms?|centimet(?:er|re)s?|mm|millimet(?:er|re)s?|kg|kilograms?|pounds?|lbs?|grams?|miles?"
    r"|km|kilomet(?:er|re)s?|met(?:er|re)s?|[kmgt]b|(?:giga|mega|tera)bytes?"
    r"|watt-hours?|wh|lit(?:er|re)s?|ounces?|oz|quarts?|gallons?|yards?|points?|items?|°\s?[cf]|degrees?"
)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]}|\\.)?" if name != "may" else "may" for name in _MONTHS)
_PATTERN = re.compile(
    rf"""
    (?P<iso>\b\d{{4}}-\d\d-\d\d\b)
    |\b(?P<month>{_MONTH})\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s(?P<year>\d{{4}}))?
    |\b(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month2>{_MONTH})\b(?:,?\s(?P<year2>\d{{4}}))?
    |\b(?P<month3>{_MONTH})\s(?:of\s)?(?P<year3>\d{{4}})\b
    |\b(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d))?\s?(?P<half>[ap])\.?m\b\.?
    |\b(?P<noon>noon|midnight)\b
    |\b(?P<weekday>{"|".join(_WEEKDAYS)})s?\b
    |(?P<symbol>(?:\b(?:CA|US|AU|NZ|C|A))?[$€£])\s?(?P<money>{_DIGITS})
    |\b(?P<money2>{_NUMBER})\s?(?P<currency>dollars?|bucks|usd|cad|euros?|eur|gbp|cents?|quid)\b
    |\b(?P<percent>{_NUMBER})\s?(?:%|percent\b|per\scent\b)
    |\b(?P<span>{_NUMBER})(?:{_TO}(?P<span_end>{_NUMBER}))?(?:\s|-)(?P<working>(?:business|working)[\s-])?
        (?:(?:calendar|extra|more|full|additional|further|consecutive)\s)?(?P<working2>business\s)?(?P<unit>{_SPAN})\b
    |\b(?P<measure>{_NUMBER})(?:{_TO}(?P<measure_end>{_NUMBER}))?(?:\s|-)?(?P<size>{_MEASURE})(?!\w)
    |(?<![\w.])(?P<number>{_NUMBER})(?![\w%]|[.,]\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MOST_DAYS = 31
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


# As a bare number these count nothing: *once your parcel ships*, *one of them*, *the one you chose*.
_UNCOUNTED = re.compile(
    r"once\b(?!\s+(?:a|an|per|each|every|in|within|or|and|only|daily|weekly|monthly|yearly)\b|\s*[.,;:!?)]|\s*$)"
    r"|one\b(?=\s+(?:of|another|who|that|which|can|may|must|should|is|has|or\sthe\sother)\b|\s*[.,;:!?)]|\s*$)",
    re.I,
)
_POINTED = re.compile(r"\b(?:no|this|that|the|which|any|every|each|another|only|right|wrong|new|old)\s$", re.I)


@lru_cache(maxsize=64)
def facts(text: str) -> tuple[Fact, ...]:
    """Return the figures of a text in order. Several checks read the same sentence, so the last ones are kept."""
    plain = text.translate(_PLAIN)
    found = (match for match in _PATTERN.finditer(plain) if not _uncounted(match, plain))
    return tuple(fact for match in found for fact in _read(match, text))


def _uncounted(match: re.Match[str], text: str) -> bool:
    if match["number"] is None or match["number"].lower() not in ("one", "once"):
        return False
    return bool(
        _UNCOUNTED.match(text, match.start()) or _POINTED.search(text, max(match.start() - 9, 0), match.start())
    )


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What texts state: to be read once and compared with any number of claims."""

    keys: frozenset[str] = frozenset()
    values: frozenset[float] = frozenset()
    words: frozenset[str] = frozenset()
    """Every word as names are compared."""
    initials: frozenset[str] = frozenset()

    def __or__(self, other: Stated) -> Stated:
        """Return what both state together."""
        return Stated(
            keys=self.keys | other.keys,
            values=self.values | other.values,
            words=self.words | other.words,
            initials=self.initials | other.initials,
        )


def stated(text: str) -> Stated:
    """Read what a text states."""
    found = facts(text)
    words = {_plain_name(word) for word in _NAMED.findall(text)}
    words |= {root(word) for word in words}
    return Stated(
        keys=frozenset(fact.key for fact in found),
        values=frozenset(value for fact in found for value in fact.values),
        words=frozenset(words | {part for word in words for part in word.split("-")}),
        initials=frozenset(each.replace(".", "") for each in _INITIALS.findall(text)) | _shortened(text),
    )


def _shortened(text: str) -> frozenset[str]:
    """Return the initials of names of several words, as people write them short."""
    groups = (match.group().split() for match in _NAME.finditer(text))
    found = {"".join(word[0] for word in group) for group in groups if len(group) > 1}
    return frozenset(found | {short for short, words in _SHORT.items() if words.search(text)})


def _is_stated_apart(fact: Fact, known: Stated) -> bool:
    """Say whether a bare number stands anywhere, or a month with its year does, each for itself."""
    if fact.kind != "number" and not (fact.kind == "date" and fact.values[0] > _MOST_DAYS):
        return False
    month = _MONTHS[int(fact.key.split("/")[0]) - 1] if fact.kind == "date" else ""
    said = not month or not known.words.isdisjoint((month, month[:3]))
    return said and known.values.issuperset(fact.values)


def missing(claim: str, source: str | Stated) -> tuple[Fact, ...]:
    """Return the figures of a claim that its source does not state.

    A bare number may carry any unit in the source; a number with a unit needs that unit.
    """
    known = source if isinstance(source, Stated) else stated(source)
    return tuple(fact for fact in facts(claim) if fact.key not in known.keys and not _is_stated_apart(fact, known))


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
        yield from _date(_month(name), int(day), found.get("year") or found.get("year2"))
    elif "month3" in found:
        yield "date", f"{_month(found['month3'])}/{found['year3']}", (float(found["year3"]),)
        yield "number", found["year3"], (float(found["year3"]),)
    elif "hour" in found:
        hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "p" else 0)
        yield "clock", f"{hour}:{found.get('minute', '00')}", (float(found["hour"]),)
    elif "noon" in found:
        yield "clock", "12:00" if found["noon"].lower() == "noon" else "0:00", ()
    elif "weekday" in found:
        yield "weekday", found["weekday"].lower(), ()
    else:
        yield from _amounts(found)


def _month(name: str) -> int:
    return next(n for n, each in enumerate(_MONTHS, 1) if each.startswith(name.lower()[:3]))


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
        unit = ("business " if {"working", "working2"} & found.keys() else "") + _unit(found["unit"])
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


_NAME = re.compile(
    r"(?<![.!?:]\s)(?<!^)(?<![\w-])[A-Z][\w&'’-]*\w(?:\s+[A-Z][\w&'’-]*\w)*"
    # First in a sentence any word has a capital: one of several that have counts, or one that owns something.
    r"|(?<![\w-])[A-Z][\w&-]*\w(?:(?:\s+[A-Z][\w&'’-]*\w)+|['’]s\b)"
)
_LED = re.compile(
    r"(?:The|A|An|In|On|At|By|For|From|To|With|Our|Your|His|Her|Their|Its|My|If|When|While|After|Before|Since|Until"
    r"|As|And|But|Or|Both|Each|All|No|Is|Are|Does|Do|Can|Will|Was|It|He|She|They|We|You|This|That|These|Those"
    r"|Well|Yes|No|Oh|Also|However|Please|What|Who|There|Here|Let|How|Where|Only|Most|Some|Many|Every|Any|Once"
    r"|Because|Although|Though|Unless|Should|Between|During|Within|Under|Over|Through|Until|Either|Neither|Unlike"
    r"|Besides|Then|Just|Still|Not|Never|Nobody|Nothing|Everyone|Everything|Anyone|Anything|Someone|One|Don['’]t"
    r"|Up|Off|Out|Into|Upon|Per|Via|Like|Whether|Whenever|Wherever|Whatever|Whichever|Such|So|Or|Nor|Yet|Sorry"
    r"|Good|Great|Sure|Thanks|Thank|Hello|Hi|Dear|[A-Z][a-z]+ly)(?:['’](?:s|re|ve|ll|d|m))?"
)
_COMMON = frozenset({*_MONTHS, *_WEEKDAYS, "i'm", "i'll", "i've", "ok"})
_PEOPLE = ("", "n", "an", "ian", "ese", "ish", "i", "ern", "s", "es")
"""What makes of a place those who are from there."""
_SHORT = {
    short: re.compile(rf"\b(?:{words})", re.I)
    for short, words in {
        "SMS": "text messages?|texts?",
        "TV": "television",
        "PC": "computer",
        "ID": "identi",
        "ATM": "cash machine",
        "US": "united states|american?",
        "USA": "united states",
        "UK": "united kingdom|britain|british",
        "EU": "european union",
    }.items()
}
_NAMED = re.compile(r"[\w&'’]+(?:-[\w&'’]+)*")
_INITIALS = re.compile(r"\b(?:[A-Z]\.){2,}|\b[A-Z]{2,6}\b")


def names(text: str) -> tuple[str, ...]:
    """Return the words that are capitalised inside a sentence, without months and days of the week."""
    found = (word for group in _groups(text) for word in group)
    return tuple(dict.fromkeys(found))


def _groups(text: str) -> Iterator[list[str]]:
    for match in _NAME.finditer(text):
        group = [each for each in match.group().split() if _plain_name(each) not in _COMMON]
        first = group and match.group().startswith(group[0]) and _LED.fullmatch(group[0])
        if group := group[1:] if first else group:
            yield group


def missing_names(claim: str, source: str | Stated) -> tuple[str, ...]:
    """Return the names of a claim that its source does not have.

    Those from a place are known with the place, the parts of a joined name one by one, and a name of several words
    with its initials.
    """
    known = source if isinstance(source, Stated) else stated(source)
    lacking: list[str] = []
    for group in _groups(claim):
        if len(group) < 2 or "".join(word[0] for word in group) not in known.initials:
            lacking += [word for word in group if word not in known.initials and not _is_known(word, known.words)]
    return tuple(dict.fromkeys(lacking))


def _is_known(name: str, known: frozenset[str]) -> bool:
    return all(_is_known_part(part, known) for part in _plain_name(name).split("-") if part)


def _is_known_part(part: str, known: frozenset[str]) -> bool:
    if part in known or len(part) < 2 or root(part) in known:
        return True
    stems = [part.removesuffix(ending) for ending in _PEOPLE if ending and part.endswith(ending)]
    near = [stem + more for stem in (part, *stems) if len(stem) > 3 for more in (*_PEOPLE, "a", "y", "e")]
    return not known.isdisjoint(near)


def _plain_name(word: str) -> str:
    return word.lower().replace("’", "'").removesuffix("'s").rstrip("s'")
