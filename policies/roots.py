"""What is left of a word without its endings, so that *return*, *returned* and *returns* are one."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_IDLE = frozenset(
    _WORD.findall(
        """a an and are as at be been but by can could did do does for from had has have how i if in into is it its
        me my of on or our should so that the their them then there these they this to was we were what when
        where which who why will with would you your he she his her him not no also just than very about more one
        may must am being both each other some such only own same too well yes oh now shall might"""
    )
)
_WHOLE = {"can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not"}
_JOINED = re.compile(r"(?<=\w)n't$|'(?:ll|re|ve|m|d)$")
_ENDINGS = (
    *("ations", "ation", "ically", "ments", "ment", "ness", "ings", "ing", "ions", "ion", "able", "ible", "ally"),
    *("ies", "ied", "ers", "al", "er", "ly", "ed", "es", "s", "e", "y"),
)
_LEAST = 3


@lru_cache(1 << 15)
def root(word: str) -> str:
    """Return a word in lower case without its endings; a number stays as it is."""
    plain = word.lower().replace("’", "'").removesuffix("'s")
    if len(plain) <= _LEAST or not plain.isalpha():
        return plain
    ending = next((each for each in _ENDINGS if plain.endswith(each) and len(plain) - len(each) >= _LEAST), "")
    short = plain[: len(plain) - len(ending)]
    doubled = len(short) > _LEAST and short[-1] == short[-2] and short[-1] not in "sl"
    return short[:-1] if doubled else short


def tokens(text: str) -> list[str]:
    """Return every word of a text, in lower case and in order, *don't* as *do* and *not*."""
    found: list[str] = []
    for each in _WORD.findall(text):
        found += _apart(each.lower().replace("’", "'"))
    return found


def _apart(word: str) -> list[str]:
    if word in _WHOLE:
        return _WHOLE[word].split()
    match = _JOINED.search(word)
    if match is None:
        return [word]
    return [word[: match.start()], "not"] if match[0] == "n't" else [word[: match.start()]]


def roots(text: str) -> list[str]:
    """Return the roots of a text's words in order, without those that carry no meaning of their own."""
    return [root(each) for each in tokens(text) if each not in _IDLE]


def is_idle(word: str) -> bool:
    """Say whether a word carries no meaning of its own."""
    return word.lower() in _IDLE
