"""Made-up messages with personal data in known places, and others without: what a head learns from beside data.

The words are in ``invented.yaml``; nothing of it comes from a data set or from a customer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_WORDS = Path(__file__).with_name("invented.yaml")
_SLOT = re.compile(r"\{(\w+)\}")
_RARE = 0.15
"""Share of names that are no names anybody has: a head must go by what stands around them."""


class Span(NamedTuple):
    """Something of a kind in a text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Example:
    """A text, what is in it, and the words around that, which examples of one origin share."""

    text: str
    spans: tuple[Span, ...]
    template: str


class _Filled(NamedTuple):
    kind: str | None
    text: str


def invent(count: int, seed: int) -> list[Example]:
    """Make up messages: as many as asked for from the templates, and each plain one once as it stands."""
    chance = random.Random(seed)
    words = _words()
    templates: list[str] = words["templates"]
    made = [_from_template(templates[n % len(templates)], chance) for n in range(count)]
    plain = [Example(text=text, spans=(), template=text) for text in words["plain"]]
    return [recased(each, chance) for each in made] + plain + [_lower(each) for each in plain]


def swapped(example: Example, chance: random.Random) -> Example:
    """Return the example with other people, places, firms and addresses in the places of those that it has."""
    pieces: list[str | _Filled] = []
    position = 0
    for span in sorted(example.spans, key=lambda span: span.start):
        fill = _SWAPS.get(span.kind)
        old = example.text[span.start : span.end]
        pieces += [example.text[position : span.start], _Filled(span.kind, fill(chance) if fill else old)]
        position = span.end
    return _joined([*pieces, example.text[position:]], example.template)


def recased(example: Example, chance: random.Random) -> Example:
    """Return the example as people type it: now and then all in small letters, or in large ones."""
    roll = chance.random()
    if roll < 0.3:
        return _lower(example)
    if roll < 0.36:
        return _cased(example, str.upper)
    return example


def _lower(example: Example) -> Example:
    return _cased(example, str.lower)


def _cased(example: Example, change: Callable[[str], str]) -> Example:
    text = "".join(other if len(other := change(each)) == 1 else each for each in example.text)
    return Example(text=text, spans=example.spans, template=example.template)


def _from_template(template: str, chance: random.Random) -> Example:
    pieces: list[str | _Filled] = []
    position = 0
    for match in _SLOT.finditer(template):
        pieces += [template[position : match.start()], *_SLOTS[match[1]](chance)]
        position = match.end()
    return _joined([*pieces, template[position:]], template)


def _joined(pieces: Sequence[str | _Filled], template: str) -> Example:
    text, spans = "", []
    for piece in pieces:
        if isinstance(piece, _Filled):
            if piece.kind:
                spans.append(Span(piece.kind, len(text), len(text) + len(piece.text)))
            text += piece.text
        else:
            text += piece
    return Example(text=text, spans=tuple(spans), template=template)


@cache
def _words() -> Mapping[str, Any]:
    read: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return {key: _split(value) if isinstance(value, str) else value for key, value in read.items()}


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split("|")] if "|" in text else text.split()


def _one(chance: random.Random, what: str) -> str:
    choices: list[str] = _words()[what]
    return chance.choice(choices)


def _rare(chance: random.Random) -> str:
    return "".join(_one(chance, "syllables") for _ in range(chance.randint(2, 4))).capitalize()


def _first(chance: random.Random) -> str:
    name = _rare(chance) if chance.random() < _RARE else _one(chance, "first_names")
    return f"{name}-{_one(chance, 'first_names')}" if chance.random() < 0.02 else name


def _last(chance: random.Random) -> str:
    name = _rare(chance) if chance.random() < _RARE else _one(chance, "last_names")
    roll = chance.random()
    if roll < 0.06:
        return f"{_one(chance, 'particles')} {name}"
    return f"{name}-{_one(chance, 'last_names')}" if roll < 0.1 else name


def _person(chance: random.Random) -> str:
    first, last, roll = _first(chance), _last(chance), chance.random()
    if roll < 0.1:
        return first
    if roll < 0.16:
        return f"{first} {chance.choice('ABCDEFGHJKLMNPRSTW')}. {last}"
    if roll < 0.2:
        return f"{first[0]}. {last}"
    if roll < 0.24:
        return f"{first} {_first(chance)} {last}"
    if roll < 0.28:
        return f"{first} {last} {_last(chance)}"
    return f"{first} {last}"


def _digits(chance: random.Random, shape: str) -> str:
    """Fill a shape: # is a digit, % one that is not 0, @ a capital letter."""
    kinds = {"#": "0123456789", "%": "123456789", "@": "ABCDEFGHJKLMNPQRSTUVWXYZ"}
    return "".join(chance.choice(kinds[each]) if each in kinds else each for each in shape)


def _shape(*shapes: str) -> Callable[[random.Random], str]:
    return lambda chance: _digits(chance, chance.choice(shapes))


_house = _shape("%", "%#", "%##", "%###", "%#")
_zip = _shape("#####", "#####", "#####-####", "@%# #@@", "@@%# %@@", "@%@ %@%", "####", "#### @@", "## ###")


def _street_only(chance: random.Random) -> str:
    return f"{_one(chance, 'street_names')} {_one(chance, 'street_kinds')}"


def _street_line(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return _one(chance, "foreign_streets").replace("{n}", _house(chance))
    unit = chance.choice(("", "", "", " Apt {}", " Apt. {}", ", Unit {}", " #{}", ", Suite {}", ", Flat {}"))
    return f"{_house(chance)} {_street_only(chance)}{unit.format(_house(chance))}"


def _rest(chance: random.Random) -> str:
    city, code = _one(chance, "cities"), _zip(chance)
    forms = (
        f"{city}, {_one(chance, 'state_codes')} {code}",
        f"{code} {city}",
        f"{city} {code}",
        f"{city}, {_one(chance, 'countries')}",
        f"{city}, {_one(chance, 'states')} {code}",
        f"{code} {city}, {_one(chance, 'countries')}",
    )
    return chance.choice(forms)


def _address(chance: random.Random) -> str:
    line = _street_line(chance)
    return line if chance.random() < 0.3 else f"{line}, {_rest(chance)}"


def _address_lines(chance: random.Random) -> str:
    return f"{_street_line(chance)}\n{_rest(chance)}"


def _date(chance: random.Random) -> str:
    day, year, month = chance.randint(1, 28), chance.randint(1935, 2027), _one(chance, "months")
    number = chance.randint(1, 12)
    forms = (
        f"{number}/{day}/{year}",
        f"{day:02}/{number:02}/{year % 100:02}",
        f"{day:02}.{number:02}.{year}",
        f"{year}-{number:02}-{day:02}",
        f"{day} {month} {year}",
        f"{month} {day}, {year}",
        f"{month} {day}",
        f"{_one(chance, 'weekdays')}, {month} {day}",
    )
    return chance.choice(forms)


def _email(chance: random.Random) -> str:
    local = chance.choice((f"{_rare(chance)}.{_rare(chance)}", f"{_rare(chance)}{chance.randint(1, 99)}"))
    return f"{local.lower()}@{_one(chance, 'domains')}"


def _phone(chance: random.Random) -> str:
    return _digits(chance, _one(chance, "phones"))


_card = _shape(
    "4### #### #### ####", "4###############", "5%## #### #### ####", "5%##-####-####-####", "3%## ###### #####"
)
_ssn = _shape("###-##-####", "### ## ####", "###-##-####")
_iban = _shape(
    "DE## #### #### #### #### ##",
    "GB##@@@@##############",
    "FR## #### #### #### #### #### ###",
    "NL##@@@@##########",
)
_licence = _shape("@#######", "@##-##-####", "@@######", "########", "@####-#####-#####")
_ip = _shape("%##.%#.%#.%##", "10.%.%#.%##", "172.%#.%.%#")
_tracking = _shape(
    "1Z###@@###########",
    "#### #### #### #### ####",
    "@@#########@@",
    "%#########",
    "############",
    "SN-####-####",
    "##########",
)
_order = _shape(
    "@@-#####",
    "#######",
    "#@@####",
    "%#####",
    "ORD-####-####",
    "###-#######-#######",
    "#%####-##",
    "@#####",
    "#########",
)
_code = _shape("@@@@##", "@-###", "@@####", "@@@@@", "####", "@@-##-@@", "E###")
_amount = _shape("$%#.##", "£%##", "%## EUR", "€%#,##", "$%,###.##", "%## dollars", "USD %#")
_size = _shape("%#", "%#.5", "@", "XL", "M", "%#W %#L", "EU %#")


def _text(
    make: Callable[[random.Random], str], kind: str | None = None
) -> Callable[[random.Random], list[_Filled]]:
    return lambda chance: [_Filled(kind, make(chance))]


def _listed(what: str, kind: str | None = None) -> Callable[[random.Random], list[_Filled]]:
    return lambda chance: [_Filled(kind, _one(chance, what))]


def _honoured(chance: random.Random) -> list[_Filled]:
    honorific = _one(chance, "honorifics")
    return [_Filled("TITLE", honorific), _Filled(None, " "), _Filled("PERSON", _last(chance))]


_SLOTS: Mapping[str, Callable[[random.Random], list[_Filled]]] = {
    "person": _text(_person, "PERSON"),
    "first": _text(_first, "PERSON"),
    "last": _text(_last, "PERSON"),
    "honor_last": _honoured,
    "address": _text(_address, "ADDRESS"),
    "address_lines": _text(_address_lines, "ADDRESS"),
    "street_line": _text(_street_line, "ADDRESS"),
    "street_only": _text(_street_only, "ADDRESS"),
    "zip": _text(_zip, "ADDRESS"),
    "city": _listed("cities", "LOCATION"),
    "country": _listed("countries", "LOCATION"),
    "state": _listed("states", "LOCATION"),
    "company": _listed("companies", "ORGANIZATION"),
    "job": _listed("jobs", "TITLE"),
    "date": _text(_date, "DATE_TIME"),
    "weekday": _listed("weekdays", "DATE_TIME"),
    "phone": _text(_phone, "PHONE_NUMBER"),
    "email": _text(_email, "EMAIL_ADDRESS"),
    "card": _text(_card, "CREDIT_CARD"),
    "ssn": _text(_ssn, "US_SSN"),
    "iban": _text(_iban, "IBAN_CODE"),
    "licence": _text(_licence, "US_DRIVER_LICENSE"),
    "ip": _text(_ip, "IP_ADDRESS"),
    "url": _text(lambda chance: f"www.{_rare(chance).lower()}.test/{_rare(chance).lower()}", "DOMAIN_NAME"),
    "product": _listed("products"),
    "brand": _listed("brands"),
    "month": _listed("months"),
    "order": _text(_order),
    "tracking": _text(_tracking),
    "code": _text(_code),
    "amount": _text(_amount),
    "size": _text(_size),
    "house": _text(_house),
    "four": _text(_shape("####")),
    "days": _text(_shape("%", "%#")),
    "age": _text(_shape("%", "%#")),
    "percent": _text(lambda chance: f"{chance.randint(1, 90)}{chance.choice(('%', ' percent', ' %'))}"),
    "po_box": _text(_shape("PO Box %##", "P.O. Box %###", "Postfach %####", "Box %###"), "ADDRESS"),
    "year": _text(_shape("19##", "20##")),
    "time": _text(_shape("%:30", "% pm", "1%:00")),
    "version": _text(_shape("%.#.#")),
}
_SWAPS: Mapping[str, Callable[[random.Random], str]] = {
    "PERSON": _person,
    "ADDRESS": lambda chance: _address(chance) if chance.random() < 0.7 else _street_line(chance),
    "LOCATION": lambda chance: _one(chance, chance.choice(("cities", "countries", "cities"))),
    "ORGANIZATION": lambda chance: _one(chance, "companies"),
    "PHONE_NUMBER": _phone,
    "DATE_TIME": _date,
}
