"""What sentences have in common, and whether they exclude each other."""

from __future__ import annotations

from policies.facts import facts
from policies.polarity import negated, without_negations
from tools.wording import words


def contained(claim: str, source: str) -> float:
    """Return the share of a claim's words that its source has; 1 for a claim without any."""
    wanted = words(claim)
    return len(wanted & words(source)) / len(wanted) if wanted else 1.0


def contradict(one: str, other: str) -> bool:
    """Say whether two sentences say the same of the same thing but for a figure or a negation."""
    if negated(one) == negated(other) and not _other_figures(one, other):
        return False
    return _subject(one) == _subject(other) != frozenset()


def _other_figures(one: str, other: str) -> bool:
    first, second = ({fact.key for fact in facts(text)} for text in (one, other))
    return bool(first and second and first != second)


def _subject(text: str) -> frozenset[str]:
    """Return what a sentence is about: its words without figures and words of denial."""
    for fact in facts(text):
        text = text.replace(fact.text, " ")
    return words(without_negations(text))
