"""Whose name it is: when two ways of writing a name mean one person.

A name written again in other letters, or a part of it, is that person; so is a surname with an initial. What two
known people share is neither's, and a longer name than the known one is another: more was said than is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_POSSESSIVE = re.compile(r"['’]s$")
_HONORIFICS = frozenset(
    # Of the languages that our own names come from most.
    "mr|mrs|ms|miss|mx|dr|prof|sir|madam|mister|herr|frau|monsieur|madame|mme|mlle|señor|señora|sr|sra".split("|")  # noqa: SIM905
)


def words_of(name: str) -> tuple[str, ...]:
    """Return what of a name tells people apart: its words in small letters, without ``Mr`` and the like."""
    words = [_POSSESSIVE.sub("", each) for each in _WORD.findall(name.casefold())]
    return tuple(each for each in words if each not in _HONORIFICS)


def same_person(name: str, known: Iterable[str]) -> str | None:
    """Return the one of the known names that a name means, or None: nobody's, or it might be several people's."""
    wanted = words_of(name)
    if not wanted:
        return None
    people = [(each, words_of(each)) for each in known]
    whole = [each for each, words in people if words == wanted]
    if whole:
        return whole[0]
    parts = {words: each for each, words in people if _part(wanted, words)}
    return next(iter(parts.values())) if len(parts) == 1 else None


def _part(wanted: Sequence[str], words: Sequence[str]) -> bool:
    """Whether all that is wanted stands in the words, in order; beside a whole word, an initial stands for one."""
    if len(wanted) > len(words) or all(len(each) == 1 for each in wanted):
        return False
    left = iter(words)
    return all(any(_fits(each, word) for word in left) for each in wanted)


def _fits(wanted: str, word: str) -> bool:
    return word == wanted or (len(wanted) == 1 and word.startswith(wanted))
