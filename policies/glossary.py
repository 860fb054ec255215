"""A glossary: customers' words beside the words that the documents use for the same thing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NOT_DENIED = r"(?<!\bno )(?<!\bnot a )(?<!\bwithout )(?<!\bwithout a )"
_BLANKS = re.compile(r"\s+")
_ENDING = r"(?:e?s|e?d|ing)?"
_WORDS_BETWEEN = rf"{_ENDING}(?: [\w']+){{0,3}} "


@dataclass(frozen=True)
class Glossary:
    """Adds the documents' words to a question that uses the customers'."""

    entries: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = ()
    """The documents' words, how what customers say for them begins, and all that they say."""

    @classmethod
    def of(cls, synonyms: Mapping[str, Sequence[str]]) -> Glossary:
        """Make a glossary of the documents' words, each with the customers' words for it."""
        return cls(tuple((term, _beginnings(said), _any_of(said)) for term, said in synonyms.items()))

    def expand(self, question: str) -> str:
        """Return the question followed by the documents' words for what it says in others."""
        plain = _BLANKS.sub(" ", question)
        low = plain.lower()
        added = [
            term
            for term, begins, said in self.entries
            if term.lower() not in low and any(each in low for each in begins) and said.search(plain)
        ]
        return " ".join([question, *added])


def _beginnings(phrases: Sequence[str]) -> tuple[str, ...]:
    """Return what a question must have for a search for the phrases to be worth its time."""
    return tuple(phrase.split(" * ")[0].lower() for phrase in phrases)


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    """Match any of the phrases, with the commonest endings; ``*`` stands for up to three words."""
    said = "|".join(_WORDS_BETWEEN.join(re.escape(part) for part in phrase.split(" * ")) for phrase in phrases)
    return re.compile(rf"{_NOT_DENIED}\b(?:{said}){_ENDING}\b", re.IGNORECASE)
