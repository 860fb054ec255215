"""A glossary: customers' words beside the words that the documents use for the same thing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NOT_DENIED = r"(?<!\bno )(?<!\bnot a )(?<!\bwithout )(?<!\bwithout a )"
_ENDING = r"(?:e?s|e?d|ing)?"
_WORDS_BETWEEN = rf"{_ENDING}(?: [\w']+){{0,3}} "


@dataclass(frozen=True)
class Glossary:
    """Adds the documents' words to a question that uses the customers'."""

    entries: tuple[tuple[str, re.Pattern[str]], ...] = ()

    @classmethod
    def of(cls, synonyms: Mapping[str, Sequence[str]]) -> Glossary:
        """Make a glossary of the documents' words, each with the customers' words for it."""
        return cls(tuple((term, _any_of(said)) for term, said in synonyms.items()))

    def expand(self, question: str) -> str:
        """Return the question followed by the documents' words for what it says in others."""
        low = question.lower()
        added = [term for term, said in self.entries if term.lower() not in low and said.search(question)]
        return " ".join([question, *added])


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    """Match any of the phrases, with the commonest endings; ``*`` stands for up to three words."""
    said = "|".join(_WORDS_BETWEEN.join(re.escape(part) for part in phrase.split(" * ")) for phrase in phrases)
    return re.compile(rf"{_NOT_DENIED}\b(?:{said}){_ENDING}\b", re.IGNORECASE)
