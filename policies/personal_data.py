"""Personal data in text: found by shape and checksum, replaced by placeholders.

Catches e-mail addresses, card numbers (Luhn, ISO/IEC 7812-1), IBANs (ISO 13616, modulo 97), US social security
numbers and telephone numbers with a plausible number of digits. Misses names, streets and anything spelled out
in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

PLACEHOLDER = re.compile(r"\[(?:EMAIL|CARD|IBAN|SSN|PHONE)_[1-9]\d*\]")
_LOOKS_LIKE_ONE = re.compile(r"\[([A-Z]+_\d+)\]")
_DAMAGED = re.compile(r"(?:EMAIL|CARD|IBAN|SSN|PHONE)_\d+")

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_CARD = re.compile(r"(?<![\w-])(?:\d[ -]?){12,18}\d(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_PHONE = re.compile(
    r"(?<![\w#$€£.-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){1,4}(?![\w-])"
)
_COMPACT_PHONE = re.compile(r"(?<![\w#])\+\d{8,15}(?!\w)")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A piece of personal data: its kind and where it stands, in characters."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Masked:
    """A text with placeholders, and the values behind those that are new."""

    text: str
    values: dict[str, str]
    """Value by placeholder, for placeholders that did not exist before."""


def find(text: str) -> list[Found]:
    """Return what looks like personal data, in order, without overlaps."""
    found: list[Found] = []
    for kind, pattern, plausible in _KINDS:
        for match in pattern.finditer(text):
            item = Found(kind=kind, start=match.start(), end=match.end())
            if plausible(match.group()) and not any(_overlap(item, other) for other in found):
                found.append(item)
    return sorted(found, key=lambda item: item.start)


def mask(text: str, known: Mapping[str, str]) -> Masked:
    """Replace personal data by placeholders.

    ``known`` maps values seen earlier in the conversation to their placeholders, so one value keeps one. What a
    customer typed in the shape of a placeholder loses its brackets, or it could call up a stored value.
    """
    text = _LOOKS_LIKE_ONE.sub(r"(\1)", text)
    taken = dict(known)
    new: dict[str, str] = {}
    pieces, position = [], 0
    for item in find(text):
        value = text[item.start : item.end]
        if value not in taken:
            taken[value] = _next(item.kind, taken.values())
            new[taken[value]] = value
        pieces += [text[position : item.start], taken[value]]
        position = item.end
    return Masked(text="".join([*pieces, text[position:]]), values=new)


def reveal(text: str, values: Mapping[str, str]) -> str:
    """Put values back for a reader who is entitled to them; erased ones stay placeholders."""
    return PLACEHOLDER.sub(lambda match: values.get(match.group(), match.group()), text)


def broken_placeholders(text: str, known: set[str]) -> list[str]:
    """Return placeholders in ``text`` that are damaged or that this conversation does not know."""
    whole = PLACEHOLDER.findall(text)
    rest = PLACEHOLDER.sub("", text)
    return [each for each in whole if each not in known] + _DAMAGED.findall(rest)


def _next(kind: str, taken: Iterable[str]) -> str:
    numbers = [int(each[len(kind) + 2 : -1]) for each in taken if each.startswith(f"[{kind}_")]
    return f"[{kind}_{max(numbers, default=0) + 1}]"


def _overlap(one: Found, other: Found) -> bool:
    return one.start < other.end and other.start < one.end


def _luhn(value: str) -> bool:
    digits = [int(each) for each in value if each.isdigit()]
    if len(set(digits)) == 1:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _iban(value: str) -> bool:
    compact = value.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


def _phone(value: str) -> bool:
    digits = sum(each.isdigit() for each in value)
    return (9 if value.startswith("+") else 10) <= digits <= 15 or bool(re.fullmatch(r"555-01\d\d", value))


def _always(_value: str) -> bool:
    return True


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("EMAIL", _EMAIL, _always),
    ("IBAN", _IBAN, _iban),
    ("CARD", _CARD, _luhn),
    ("SSN", _SSN, _always),
    ("PHONE", _COMPACT_PHONE, _always),
    ("PHONE", _PHONE, _phone),
)
