"""Where a value stands in a text: whole, or as a part of something longer.

Texts are read folded, as a person reads them. A value that touches more of the same (a digit, a letter, a sign, an
exponent, the thousands behind a blank) is not the one that was written, so nobody may take it for that.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from policies.folding import fold
from tools.actions import Parameter

_FIGURE = re.compile(r"[-+]?(?=[\d.,'’]*\d)[\d.,'’]+")
_JOINS = "(?:[-–.,'’·٫٬/:_]|[*~`]+)"
_LEADS = re.compile(rf"\d{_JOINS}$")
_FOLLOWS = re.compile(rf"{_JOINS}\d")
_SIGNED = re.compile(r"[-+–]$|−\s?$")
_THOUSANDS_BEFORE = re.compile(r"(?<![\w-])\d{1,3}\s$")
_MORE_BEHIND = re.compile(
    r"\s\d|\s?[-–]\s?[^\w\s]?\d|\s?[%^]|\s?[*x×]\s?\d"
    r"|\s?(?:hundred|thousand|grand|k|million|billion|dozen)\b",
    re.IGNORECASE,
)
_NEAR = 12
"""How many characters on either side say whether a value is whole."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a text has for a parameter with a pattern."""

    values: tuple[str, ...] = ()
    """The different ones, whatever their case."""
    unclear: bool = False
    """Whether the pattern also found a part of something longer."""

    @property
    def any(self) -> bool:
        """Whether the pattern found anything."""
        return self.unclear or bool(self.values)

    @property
    def only(self) -> str | None:
        """The one value, if it is clear that it is the one."""
        return self.values[0] if len(self.values) == 1 and not self.unclear else None


def written(parameter: Parameter, text: str) -> Written:
    """Return what a text has for a parameter; nothing for one without a pattern."""
    if parameter.pattern is None:
        return Written()
    plain = as_read(text)
    different: dict[str, str] = {}
    unclear = False
    for match in parameter.pattern.finditer(plain):
        value = next(filter(None, match.groups()), "") if match.re.groups else match[0]
        if not value:
            continue
        different.setdefault(value.casefold(), value)
        unclear = unclear or not is_whole(plain, *match.span(), value)
    return Written(values=tuple(different.values()), unclear=unclear)


def stands_whole(words: str, text: str) -> bool:
    """Say whether words stand in a text somewhere as a whole; both as they are read, in any case."""
    plain, sought = as_read(text), as_read(words).strip()
    if not sought:
        return False
    places = re.finditer(re.escape(sought), plain, re.IGNORECASE)
    return any(is_whole(plain, *place.span(), sought) for place in places)


def as_read(text: str) -> str:
    """Return a text as a person reads it, each blank and end of line as one blank."""
    return " ".join(fold(text, lines=True).text.split())


def is_whole(text: str, start: int, end: int, value: str) -> bool:
    """Say whether what stands between two places, and means a value, is no part of something longer."""
    before, behind = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    first, last = text[start], text[end - 1]
    if (_in_word(first) and _in_word(before[-1:])) or (_in_word(last) and _in_word(behind[:1])):
        return False
    if (first.isdigit() and _LEADS.search(before)) or (last.isdigit() and _FOLLOWS.match(behind)):
        return False
    return _FIGURE.fullmatch(value) is None or _is_whole_figure(before, behind, first, last)


def _is_whole_figure(before: str, behind: str, first: str, last: str) -> bool:
    money = unicodedata.category(first) == "Sc"
    if (first.isdigit() or money) and _SIGNED.search(before):
        return False
    # A$90 and US$90 are other money than $90.
    if money and _in_word(before[-1:]):
        return False
    if first.isdigit() and _THOUSANDS_BEFORE.search(before):
        return False
    return not (last.isdigit() and _MORE_BEHIND.match(behind))


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
