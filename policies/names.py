"""When two ways of writing a name are one name, and which of its words tell people apart."""

from __future__ import annotations

import re
from unicodedata import normalize

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_PLAIN_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s$")
_HONORIFICS = frozenset(
    # Of the languages that our own names come from most.
    "mr|mrs|ms|miss|mx|dr|prof|sir|madam|mister|herr|frau|monsieur|madame|mme|mlle|señor|señora|sr|sra".split("|")  # noqa: SIM905
)


def words_of(name: str) -> tuple[str, ...]:
    """Return what of a name tells people apart: its words in small letters, without ``Mr`` and the like."""
    words = [_POSSESSIVE.sub("", each) for each in _WORD.findall(name.casefold())]
    return tuple(each for each in words if each not in _HONORIFICS)


def same_name(name: str) -> str:
    """Return what all ways of writing one name have in common: its words, whatever their case and width.

    Blanks and marks between the words make no difference. A part of a name, an initial or a title make another
    name: nothing in "J. Smith" tells John from Jane.
    """
    return " ".join(_PLAIN_WORD.findall(normalize("NFKC", name).casefold())) or name
