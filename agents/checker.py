"""The checker: whether a drafted sentence is supported, and whether a whole answer may leave."""

from __future__ import annotations

from dataclasses import dataclass

from policies.types import Passage, Sentence


@dataclass(frozen=True, kw_only=True)
class SentenceRequest:
    """One sentence with the passages that it may cite."""

    sentence: Sentence
    passages: tuple[Passage, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerRequest:
    """A whole answer with its question."""

    question: str
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]
