"""What speaks for and against a claim being borne out by its sources, as numbers that a trained head weighs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from policies.facts import Fact, Stated, facts, missing_names, names, stated
from policies.polarity import Change, changes, denies_otherwise, drops_condition, opposes, overstates
from policies.quantities import told as told_by
from policies.quantities import untold
from policies.roots import root, roots, tokens
from tools.encoder.ports import Vectors

Numbers = NDArray[np.float64]
FEATURES = (
    *("covered", "covered_by_two", "every", "near", "run"),
    *("figures", "names", "misplaced", "denial", "strength", "opposite", "condition"),
    *("novel", "speaker"),
)
SPEAKING = ("covered", "covered_by_two", "every", "near", "run")
"""The features that speak for a claim; all others speak against it."""
OTHERWISE = ("figures", "names", "misplaced", "denial", "strength", "opposite", "condition")
"""The features that name a contradiction, most telling first; 0 where there is none."""
MOST_SOURCES = 16
"""How many sentences of long sources are compared with a claim."""
ELSEWHERE = 0.2
"""So much more of a claim has the sentence it is about than any with its figure, if that is misplaced."""
ABOUT = 0.6
"""The share of a claim's words that the sentence it is about has at least."""
ABOUT_ALL = 0.8
"""The share of a sentence's words in a claim from which the claim tells that sentence too."""
WHOLE_RUN = 0.95
"""From this share of a claim word for word in a sentence it follows that sentence."""
_CAPITAL = re.compile(r"\b[A-Z][\w&'’-]*")
_WORKING = re.compile(r"\b(?:business|working)$|\b(?:business|working) (?:days?|hours?)\b")
_KINDS = tuple(
    frozenset(root(each) for each in words.split())
    for words in (
        "january february march april may june july august september october november december",
        "minute minutes hour hours day days week weeks month months year years",
        "ounce ounces pound pounds gram grams kg kilogram kilograms ton tons",
        "inch inches foot feet yard yards mile miles cm mm km meter meters",
        "pint pints quart quarts gallon gallons liter liters",
        "monday tuesday wednesday thursday friday saturday sunday",
    )
)
"""Words of which one never stands for another."""
MOST_SWAPPED = 3
"""How many words a name has that stands in another's place."""
_ANSWERING = frozenset(("yes", "no", "never", "please", "note"))
"""Words of an answer that need not be in a source; denials are compared on their own."""
_MEASURED = ("money", "percent", "span", "clock", "measure")
_SPEAKER = re.compile(r"\b(?:i|i['’](?:m|ve|d|ll)|me|my|mine|haha|lol|yeah)\b", re.I)


@dataclass(frozen=True)
class Reading:
    """One sentence of a source, read once."""

    text: str
    roots: frozenset[str]
    words: frozenset[str]
    """The roots of all words, those too that carry no meaning of their own."""
    stated: Stated
    figures: tuple[Fact, ...]
    told: frozenset[str]
    """The keys of its figures."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """One claim against its sources."""

    features: Numbers
    """One for each of ``FEATURES``."""
    nearest: int
    """Position of the sentence that the claim seems to come from."""
    otherwise: tuple[str, ...]
    """Which of ``OTHERWISE`` the claim states otherwise than its sources."""
    follows: bool
    """Whether it follows that sentence nearly word for word."""
    replaced: bool = False
    """Whether it does so with other words in the place of some."""
    borrowed: bool = False
    """Whether one of those words is what the sources say of something else."""


@lru_cache(maxsize=4_096)
def read(text: str) -> Reading:
    """Read a sentence; the same ones are cited again and again."""
    words = frozenset(root(each) for each in tokens(text))
    return Reading(text, frozenset(roots(text)), words, stated(text), facts(text), told_by(text))


def nearest(claim: str, texts: Sequence[str], most: int = MOST_SOURCES) -> list[int]:
    """Return where the texts are that share most words with a claim, rare ones weighing more, in their order.

    Of long sources not all sentences are worth encoding.
    """
    if len(texts) <= most:
        return list(range(len(texts)))
    held = [read(text).roots for text in texts]
    weight = _weights(roots(claim), held)
    shared = [math.fsum(weight[each] for each in weight if each in words) for words in held]
    return sorted(sorted(range(len(texts)), key=lambda n: -shared[n])[:most])


def weigh(claim: str, told: Sequence[str], claimed: Vectors, stating: Vectors, above: str = "") -> Weighed:
    """Weigh a claim against one or more sentences; ``stating`` has one unit row for each of them.

    ``above`` are words around the sources, such as headings and titles, which count as stated too.
    """
    readings = [read(text) for text in told]
    around = read(above)
    said = _Said(claim, [each.roots for each in readings])
    shares = np.array([said.share(each.roots) for each in readings])
    near = (stating @ claimed).astype(np.float64)
    best = int((near + shares).argmax())
    known = reduce(Stated.__or__, (each.stated for each in readings), around.stated)
    everything = frozenset().union(around.roots, *(each.roots for each in readings))
    everywhere = around.words.union(*(each.words for each in readings))
    others = [each.text for n, each in enumerate(readings) if n != best]
    figures = around.told.union(*(each.told for each in readings))
    found = _otherwise(claim, readings[best], known, figures, others)
    swapped = _swapped(claim, readings[best].text, told) or _misplaced(claim, said, readings)
    found["misplaced"] = float(swapped and not found["figures"] and not found["names"])
    values = {
        "covered": said.share(everything),
        "covered_by_two": _best_two(said, readings),
        "every": _share_of_all(claim, everywhere),
        "near": float(near.max()),
        "run": _longest_run(claim, readings[best].text),
        "novel": math.log1p(len(said.words - everything)),
        "speaker": float(bool(_SPEAKER.search(claim)) and not any(_SPEAKER.search(each) for each in told)),
        **found,
    }
    numbers = np.array([values[name] for name in FEATURES])
    changed = changes(claim, readings[best].text)
    return Weighed(
        features=numbers,
        nearest=best,
        otherwise=tuple(each for each in OTHERWISE if found[each]),
        follows=values["run"] >= WHOLE_RUN or bool(changed),
        replaced=any(each.said and each.stated for each in changed),
        borrowed=_borrows(said.words, readings[best].roots, everything, changed),
    )


class _Said:
    """The words of a claim; a word that few of the sources have weighs more."""

    def __init__(self, claim: str, held: Sequence[frozenset[str]]) -> None:
        self.words = frozenset(roots(claim))
        self.weight = _weights(self.words, held)
        self._total = math.fsum(self.weight.values())

    def share(self, words: frozenset[str]) -> float:
        """Return the weighted share of the claim's words that are among these; 1 for a claim without any."""
        return self.part(self.words, words)

    def part(self, some: Iterable[str], words: frozenset[str]) -> float:
        """Return the same for some of the claim's words."""
        weights = {each: self.weight.get(each, 1.0) for each in some}
        total = math.fsum(weights.values())
        return math.fsum(weight for each, weight in weights.items() if each in words) / total if total else 1.0


def _weights(words: Iterable[str], held: Sequence[frozenset[str]]) -> dict[str, float]:
    spread = Counter(each for some in held for each in some)
    return {each: math.log(1 + (len(held) + 1) / (spread[each] + 0.5)) for each in sorted(set(words))}


def _best_two(said: _Said, readings: Sequence[Reading]) -> float:
    """Return the share that two sentences cover together: the best one, and what adds most to it."""
    first = max(readings, key=lambda each: said.share(each.roots)).roots
    return max(said.share(first | each.roots) for each in readings)


def _share_of_all(claim: str, words: Collection[str]) -> float:
    """Return the share of all different words of a claim, those without a meaning of their own too."""
    own = {root(each) for each in tokens(claim) if each not in _ANSWERING}
    return sum(each in words for each in own) / len(own) if own else 1.0


def _longest_run(claim: str, source: str) -> float:
    """Return the share of a claim that its longest piece word for word in a sentence makes up."""
    own, other = ([root(each) for each in tokens(text)] for text in (claim, source))
    longest = 0
    before = [0] * (len(other) + 1)
    for word in own:
        row = [0]
        row += [before[n] + 1 if word == each else 0 for n, each in enumerate(other)]
        longest = max(longest, *row)
        before = row
    return longest / len(own) if own else 1.0


def _otherwise(
    claim: str, nearest: Reading, known: Stated, figures: frozenset[str], others: Sequence[str]
) -> dict[str, float]:
    return {
        "figures": float(min(2, len(untold(claim, figures)))),
        "names": float(min(3, len(missing_names(claim, known)))),
        "denial": float(denies_otherwise(claim, nearest.text, others)),
        "strength": float(overstates(claim, nearest.text)),
        "opposite": float(opposes(claim, nearest.text)),
        "condition": float(drops_condition(claim, nearest.text)),
    }


def _misplaced(claim: str, said: _Said, readings: Sequence[Reading]) -> bool:
    """Say whether the sources have a figure of a claim for something else.

    The sentence with most of its other words has another such figure; none that has this one comes near.
    """
    own = [fact for fact in facts(claim) if fact.kind in _MEASURED]
    about = said.words - {each for fact in own for each in roots(fact.text)}
    if not own or not about:
        return False
    shares = [said.part(sorted(about), each.roots) for each in readings]
    best = max(range(len(readings)), key=lambda n: shares[n])
    if shares[best] < ABOUT:
        return False
    for fact in own:
        holders = [n for n, each in enumerate(readings) if _has(each, fact)]
        rivals = [each for each in readings[best].figures if each.kind == fact.kind]
        if not holders or not rivals or any(_retold(said, readings[n]) for n in holders):
            continue
        if shares[best] - max(shares[n] for n in holders) >= ELSEWHERE:
            return True
    return False


def _swapped(claim: str, source: str, told: Sequence[str]) -> bool:
    """Say whether a claim is its source word for word but for a figure, a unit or a name in another's place."""
    found = changes(claim, source)
    if not found:
        return False
    capital = {word.lower() for word in _CAPITAL.findall(claim)}
    named = {word.lower() for text in told for word in names(text)}
    return any(_other_figure(each) or _other_name(each, capital, named) for each in found)


def _other_figure(change: Change) -> bool:
    said, there = (
        {value for fact in facts(text) for value in fact.values} for text in (change.said, change.stated)
    )
    if said and there and not said <= there:
        return True
    if bool(_WORKING.search(change.said)) != bool(_WORKING.search(change.stated)):
        return True
    words, others = ({root(each) for each in text.split()} for text in (change.said, change.stated))
    return any(words & some and others & some and words & some != others & some for some in _KINDS)


def _other_name(change: Change, capital: Collection[str], named: Collection[str]) -> bool:
    said, there = change.said.split(), change.stated.split()
    if max(len(said), len(there)) > MOST_SWAPPED or not roots(change.said) or not there:
        return False
    return all(each in capital for each in said) and all(each in named for each in there)


def _borrows(
    said: frozenset[str], stated: frozenset[str], everywhere: frozenset[str], changed: Iterable[Change]
) -> bool:
    """Say whether a word of the sources stands in the place of another one, or two have changed places.

    Who rewords a sentence has words of their own there; those of the sources are about something else.
    """
    for each in changed:
        mine, theirs = frozenset(roots(each.said)), frozenset(roots(each.stated))
        new, gone = mine - theirs, theirs - mine
        if gone and new & (stated if gone & said else everywhere):
            return True
    return False


def _retold(said: _Said, reading: Reading) -> bool:
    """Say whether a claim has nearly all words of a sentence, which is then told beside another."""
    own = reading.roots - {each for fact in reading.figures for each in roots(fact.text)}
    return len(own & said.words) >= ABOUT_ALL * len(own)


def _has(reading: Reading, fact: Fact) -> bool:
    return fact.key in reading.stated.keys or reading.stated.values.issuperset(fact.values or (math.nan,))
