"""Personal data in text: found by shape and checksum, replaced by placeholders.

Catches e-mail addresses, card numbers (Luhn, ISO/IEC 7812-1), IBANs (ISO 13616, modulo 97), US social security
numbers, dates of birth and telephone numbers with a plausible number of digits. Misses names, streets and anything
spelled out in words: those are found by a ``PersonalDataFinder`` and given to ``mask``.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from string import ascii_letters
from typing import Protocol

from policies.names import same_name

KIND_OF: Mapping[str, str] = {
    "EMAIL_ADDRESS": "EMAIL",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "SSN",
    "PHONE_NUMBER": "PHONE",
    "BIRTH_DATE": "BIRTHDATE",
    "PERSON": "NAME",
    "ADDRESS": "ADDRESS",
    "IP_ADDRESS": "IP",
    "CRYPTO": "WALLET",
    "US_DRIVER_LICENSE": "ID",
    "ID": "ID",
}
"""What is masked, by the type that a finder tells; other types (places, firms, dates) are found and stay."""
KINDS = tuple(dict.fromkeys(KIND_OF.values()))
"""The kinds of placeholders."""
_HAS_PARTS = ("NAME", "ADDRESS", "PERSON")
_ALNUM = re.compile(r"[^\W_](?:.*[^\W_])?", re.DOTALL)
_ANY_KIND = "|".join(KINDS)
PLACEHOLDER = re.compile(rf"\[(?:{_ANY_KIND})_[1-9]\d*\]")
_LOOKS_LIKE_ONE = re.compile(r"\[([A-Z]+_\d+)\]")
_DAMAGED = re.compile(rf"\b(?:{_ANY_KIND})_\d+")

Span = tuple[int, int]

# What people put between groups of digits: blanks, full stops, hyphens and dashes, and what can't be seen.
_INVISIBLE = "\u00ad\u200b-\u200d\u2060\ufeff"
_GAP = rf"[ \t\u00a0\u2000-\u200a\u202f\u3000.\u2010-\u2015\u2212{_INVISIBLE}-]"

_EMAIL = re.compile(
    r"(?<![\w.+-])(?<![\w.+-]['’])[\w.+-]++(?:['’][\w.+-]++)*+[@＠]"
    r"[\w-]++(?:\.[\w-]++)+"
)
_IBAN = re.compile(
    rf"(?<!\w)[A-Za-z]{{2}}[0-9]{{2}}(?:{_GAP}?[A-Za-z0-9]{{4}}){{2,7}}(?:{_GAP}?[A-Za-z0-9]{{1,4}})?(?!\w)"
)
_GROUP = re.compile(rf"\d+(?:[{_INVISIBLE}]+\d+)*")
_DIGITS = re.compile(rf"{_GROUP.pattern}(?:{_GAP}{{1,3}}{_GROUP.pattern})*")
# A card begins with a group of four (or six, or eight) and has 19 digits at most: six groups of three or more.
_FIRST_GROUP = (4, 6, 8)
_MOST_GROUPS = 6
_NO_WORD = re.compile(r"\W+")
_LETTER_VALUES = str.maketrans({letter: str(int(letter, 36)) for letter in ascii_letters})
_SSN = re.compile(rf"(?<![\d-])(?<!\d\s)(?!000|666|9\d\d)\d{{3}}({_GAP})(?!00)\d{{2}}\1(?!0000)\d{{4}}(?![\d-])")
_NORTH_AMERICAN = rf"\(?[2-9]\d\d\)?{_GAP}{{0,3}}\d{{3}}{_GAP}{{0,3}}\d{{4}}"
_MORE = rf"(?:(?:{_GAP}{{0,2}}\(\d{{1,5}}\){_GAP}{{0,2}}|{_GAP}{{1,2}})\d{{2,12}})"
_PHONE = re.compile(
    rf"""(?<![\w#$€£])(?<![#$€£]\s)(?<!\w-)(?<!\d[.,])(?:
    \+1{_GAP}{{0,3}}{_NORTH_AMERICAN}(?!\w)
    |\+\(?\d{{1,15}}\)?{_MORE}{{0,6}}(?!\w)
    |(?:1{_GAP}{{0,3}})?{_NORTH_AMERICAN}(?!\w|[.-]\d)
    |\(\d{{2,5}}\){_GAP}{{0,2}}\d{{2,12}}{_MORE}{{0,3}}(?!\w)
    |00?[1-9]\d{{1,13}}{_MORE}{{0,4}}(?!\w)
    |0\d(?:{_GAP}\d\d){{4}}(?!\w)
    |0\d{_GAP}(?!(?:19|20)\d\d\b)\d{{3,4}}(?:{_GAP}\d{{2,5}}){{1,2}}(?!\w)
    |555{_GAP}01\d\d(?!\w|[.-]\d)
    )""",
    re.VERBOSE,
)
_GROUP_END = re.compile(r"(?<=\w)(?!\w)")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_BIRTH = re.compile(
    rf"""\b(?:born|birth|birthday|birthdate|d\.?o\.?b|geboren|geburtsdatum|nacimiento|naissance|nascita)\b
    [^\d\n]{{0,30}}?\b(?P<date>
    \d{{1,4}}[./-]\d{{1,2}}[./-]\d{{2,4}}
    |\d{{1,2}}(?:st|nd|rd|th)?\ (?:of\ )?{_MONTH},?\ \d{{4}}
    |{_MONTH}\ \d{{1,2}}(?:st|nd|rd|th)?,?\ \d{{4}}
    )(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A piece of personal data: its kind and where it stands, in characters."""

    kind: str
    start: int
    end: int
    score: float = 1.0
    """How sure it is, 0 to 1; what a pattern found is."""


class PersonalDataFinder(Protocol):
    """Finds what is to be masked, names and addresses too; better than ``find``, and not at once."""

    async def __call__(self, text: str) -> list[Found]:
        """Return what is to be masked in a text, in order, without overlaps; kinds are those of ``KINDS``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Masked:
    """A text with placeholders, and the values behind those that are new."""

    text: str
    values: dict[str, str]
    """Value by placeholder, for placeholders that did not exist before."""


def find(text: str) -> list[Found]:
    """Return what looks like personal data, in order, without overlaps."""
    found: list[Found] = []
    for kind, spans in _KINDS:
        new = [Found(kind=kind, start=start, end=end) for start, end in spans(text)]
        text = _without(text, new)
        found += new
    return sorted(found, key=lambda item: item.start)


def value_key(kind: str, value: str) -> str:
    """Return what a value is known by: a name by its words, as ``policies.names`` says, all others as written."""
    return f"name\0{same_name(value)}" if kind == "NAME" else value


@dataclass(frozen=True, kw_only=True)
class Spotted:
    """A text and what of it is to be replaced."""

    text: str
    found: Sequence[Found]

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield the kind and the value of each find."""
        return ((each.kind, self.text[each.start : each.end]) for each in self.found)


@dataclass(kw_only=True)
class Placeholders:
    """Which placeholder stands for which value in one conversation; it grows with every text."""

    known: dict[str, str] = field(default_factory=dict)
    """Placeholder by ``value_key``."""
    highest: dict[str, int] = field(default_factory=dict)
    """The last number that was given, by kind."""
    new: dict[str, str] = field(default_factory=dict)
    """Value by placeholder, for placeholders that did not exist before."""

    def put_into(self, spotted: Spotted) -> str:
        """Return a text with placeholders in the place of its values."""
        pieces, position = [], 0
        for item, (kind, value) in zip(spotted.found, spotted.values(), strict=True):
            pieces += [spotted.text[position : item.start], self._of(kind, value)]
            position = item.end
        return "".join([*pieces, spotted.text[position:]])

    def _of(self, kind: str, value: str) -> str:
        key = value_key(kind, value)
        if key not in self.known:
            self.highest[kind] = self.highest.get(kind, 0) + 1
            self.known[key] = f"[{kind}_{self.highest[kind]}]"
            self.new[self.known[key]] = value
        return self.known[key]


def mask(
    text: str,
    known: Mapping[str, str],
    found: Sequence[Found] | None = None,
    keep: Collection[str] = (),
) -> Masked:
    """Replace personal data by placeholders.

    ``known`` maps values seen earlier in the conversation to their placeholders, so one value keeps one; what is
    one name, ``policies.names`` says. ``found`` and ``keep`` are as ``spot`` has them.
    """
    keys = {value_key(kind_of(placeholder), value): placeholder for value, placeholder in known.items()}
    placeholders = Placeholders(known=keys, highest=_highest(known.values()))
    return Masked(text=placeholders.put_into(spot(text, found, keep)), values=placeholders.new)


def spot(text: str, found: Sequence[Found] | None = None, keep: Collection[str] = ()) -> Spotted:
    """Return a text with what is to be replaced in it.

    ``found`` is what a finder found in this very text; patterns are looked for in any case. What a customer typed
    in the shape of a placeholder loses its brackets, or it could call up a stored value; those to ``keep`` stay.
    """
    text = _LOOKS_LIKE_ONE.sub(lambda match: match[0] if match[0] in keep else f"({match[1]})", text)
    return Spotted(text=text, found=_to_mask(text, found or (), keep))


def kind_of(placeholder: str) -> str:
    """Return the kind that a placeholder names."""
    return placeholder[1:].rpartition("_")[0]


def merged(text: str, *layers: Sequence[Found]) -> list[Found]:
    """Return what was found, in order, without overlaps: where two overlap, what is given earlier goes before.

    Of a name or an address the rest is kept, if it has letters or digits.
    """
    taken: list[Found] = []
    for layer in layers:
        for each in layer:
            for rest in list(_rests(text, each, taken)):
                insort(taken, rest, key=_start)
    return taken


def overlapping(found: Found, others: Sequence[Found]) -> Sequence[Found]:
    """Return those of others, which are in order and without overlaps, that overlap a find."""
    first = bisect_left(others, found.start, key=_start)
    if first and others[first - 1].end > found.start:
        first -= 1
    return others[first : bisect_left(others, found.end, first, key=_start)]


def _start(found: Found) -> int:
    return found.start


def _rests(text: str, found: Found, taken: Sequence[Found]) -> Iterator[Found]:
    """Yield what is left of a find beside those that are taken."""
    over = overlapping(found, taken)
    if not over:
        yield found
    elif found.kind in _HAS_PARTS:
        starts = [found.start, *(each.end for each in over)]
        ends = [*(each.start for each in over), found.end]
        for start, end in zip(starts, ends, strict=True):
            if inner := _ALNUM.search(text, start, max(start, end)):
                yield replace(found, start=inner.start(), end=inner.end())


def _to_mask(text: str, found: Sequence[Found], keep: Collection[str]) -> list[Found]:
    """Return what a finder and the patterns found, without what is a placeholder already."""
    kept = (
        [Found(kind="", start=each.start(), end=each.end()) for each in PLACEHOLDER.finditer(text)] if keep else []
    )
    inside = [each for each in found if 0 <= each.start < each.end <= len(text) and each.kind in KINDS]
    return [each for each in merged(text, kept, find(text), inside) if each.kind]


def reveal(text: str, values: Mapping[str, str]) -> str:
    """Put values back for a reader who is entitled to them; erased ones stay placeholders."""
    return PLACEHOLDER.sub(lambda match: values.get(match.group(), match.group()), text)


def broken_placeholders(text: str, known: set[str]) -> list[str]:
    """Return placeholders in ``text`` that are damaged or that this conversation does not know."""
    whole = PLACEHOLDER.findall(text)
    rest = PLACEHOLDER.sub("", text)
    return [each for each in whole if each not in known] + _DAMAGED.findall(rest)


def _highest(placeholders: Iterable[str]) -> dict[str, int]:
    highest: dict[str, int] = {}
    for placeholder in placeholders:
        kind, _, number = placeholder.strip("[]").rpartition("_")
        highest[kind] = max(highest.get(kind, 0), int(number))
    return highest


def _without(text: str, found: list[Found]) -> str:
    """Return the text with what was found blotted out, so that no other kind takes part of it."""
    pieces, position = [], 0
    for item in found:
        pieces += [text[position : item.start], "\0" * (item.end - item.start)]
        position = item.end
    return "".join([*pieces, text[position:]])


def _births(text: str) -> Iterator[Span]:
    return (match.span("date") for match in _BIRTH.finditer(text))


def _whole(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    return (match.span() for match in pattern.finditer(text))


def _longest(pattern: re.Pattern[str], plausible: Callable[[str], bool], text: str) -> Iterator[Span]:
    """Yield matches, each cut after the last of its groups with which it is plausible."""
    position = 0
    while match := pattern.search(text, position):
        start, stop = match.span()
        ends = [each.start() for each in _GROUP_END.finditer(text, start, stop)]
        end = next((each for each in reversed(ends) if plausible(text[start:each])), None)
        if end is not None:
            yield start, end
        position = end or start + 1


def _cards(text: str) -> Iterator[Span]:
    for run in _DIGITS.finditer(text):
        taken: list[Found] = []
        for _, start, end in sorted(_card_windows(run.group())):
            card = Found(kind="CARD", start=run.start() + start, end=run.start() + end)
            if not overlapping(card, taken):
                insort(taken, card, key=_start)
        yield from ((each.start, each.end) for each in taken)


def _card_windows(run: str) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of a run of digits that may be a card: how far from 16 digits, start and end.

    A stretch is in groups as cards print them; others are sizes, prices and orders more often and count only when
    they are the whole run, evenly spaced.
    """
    groups = [match.span() for match in _GROUP.finditer(run)]
    count = len(groups)
    gaps = {run[groups[n][1] : groups[n + 1][0]] for n in range(count - 1)}
    sizes = [sum(map(str.isdecimal, run[start:end])) for start, end in groups]
    firsts = [n for n, size in enumerate(sizes) if size in _FIRST_GROUP or size >= 13]
    windows = {(n, last) for n in firsts for last in range(n, min(n + _MOST_GROUPS, count))}
    windows = {(n, last) for n, last in windows if min(sizes[n : last + 1]) >= 3}
    if len(gaps) <= 1:
        windows.add((0, count - 1))
    for first, last in windows:
        start, end = groups[first][0], groups[last][1]
        digits = [int(each) for each in run[start:end] if each.isdecimal()]
        if _card(digits):
            yield abs(len(digits) - 16), start, end


def _card(digits: list[int]) -> bool:
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    if not (3 <= digits[0] <= 6 or (digits[0] == 2 and 2 <= digits[1] <= 7)):
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _iban(value: str) -> bool:
    compact = _NO_WORD.sub("", value)
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int(moved.translate(_LETTER_VALUES)) % 97 == 1


def _phone(value: str) -> bool:
    digits = "".join(each for each in value if each.isdecimal())
    if value.startswith("+"):
        return 8 <= len(digits) <= 15
    if digits.startswith("00"):
        return 10 <= len(digits) <= 15
    if digits.startswith("0"):
        return 9 <= len(digits) <= 12
    return 10 <= len(digits) <= 13 or digits.startswith("55501")


_KINDS: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("EMAIL", partial(_whole, _EMAIL)),
    ("IBAN", partial(_longest, _IBAN, _iban)),
    ("CARD", _cards),
    ("SSN", partial(_whole, _SSN)),
    ("BIRTHDATE", _births),
    ("PHONE", partial(_longest, _PHONE, _phone)),
)
