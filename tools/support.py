"""How well a text is borne out by its sources: shared words, nearness of vectors, figures and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.facts import facts, missing, missing_names
from policies.polarity import negated, overstates, without_negations
from policies.types import Reason
from tools.encoder.ports import Vectors
from tools.wording import words

MOST_SOURCES = 12
"""How many sentences of long sources are compared with a claim."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """What speaks for a claim and what against it."""

    probability: float
    """That the sources bear the claim out, 0 to 1."""
    best: int
    """Position of the source that is nearest to the claim."""
    reasons: tuple[Reason, ...]


def contained(claim: str, source: str) -> float:
    """Return the share of a claim's words that its source has; 1 for a claim without any."""
    wanted = words(claim)
    return len(wanted & words(source)) / len(wanted) if wanted else 1.0


def nearest_texts(claim: str, texts: Sequence[str], most: int = MOST_SOURCES) -> list[str]:
    """Return the texts that share most words with a claim, in their order: not all are worth encoding."""
    if len(texts) <= most:
        return list(texts)
    wanted = words(claim)
    shared = [len(wanted & words(text)) for text in texts]
    best = sorted(range(len(texts)), key=lambda n: -shared[n])[:most]
    return [texts[n] for n in sorted(best)]


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


def weigh_support(
    claim: str, sources: Sequence[str], claimed: Vectors, stated: Vectors, above: str = ""
) -> Support:
    """Weigh a claim against its sources; ``stated`` has one unit row for each of them.

    ``above`` are words around the sources, such as headings, whose names and figures count as stated too.
    """
    nearness = stated @ claimed
    shares = np.array([contained(claim, source) for source in sources], np.float32)
    best = int((nearness + shares).argmax())
    whole = contained(claim, " ".join(sources))
    z = 6.0 * (whole - 0.7) + 4.0 * (float(shares[best]) - 0.5) + 5.0 * (float(nearness[best]) - 0.65)
    reasons = contradictions(claim, sources[best], " ".join([above, *sources]))
    return Support(probability=1 / (1 + math.exp(-(z - 2.5 * len(reasons)))), best=best, reasons=reasons)


def contradictions(claim: str, nearest: str, everything: str) -> tuple[Reason, ...]:
    """Return what a claim states otherwise than its sources; ``nearest`` is the one it seems to come from."""
    found = [
        _reason("check.number", f"“{fact.text}” is not in the source.") for fact in missing(claim, everything)
    ]
    found += [
        _reason("check.name", f"“{name}” is not in the source.") for name in missing_names(claim, everything)
    ]
    if negated(claim) != negated(nearest):
        found.append(_reason("check.negation", "It says yes where the source says no, or no where it says yes."))
    if overstates(claim, nearest):
        found.append(_reason("check.modality", "It promises or demands what the source only allows for."))
    return tuple(found)


def _reason(code: str, text: str) -> Reason:
    return Reason(code=code, text=text)
