"""How a claim in words of its own lies over its sources: which word stands for which, and what is doubtful then.

Every word is seen as the encoder's pieces have it half-way, where a word is still itself and knows its neighbours.
A word that the sources have counts 1, any other as much as the likest word there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policies.clauses import Clause, clauses
from policies.nouns import is_joint, may_modify, noun_ends
from policies.quantities import FIGURE, Quantity, opposite_bounds, quantities, told, value
from policies.roots import is_idle, root
from tools.encoder.ports import Tokens, Vectors
from tools.guards.token_head import words_of

Numbers = NDArray[np.float64]
FOR = ("mean", "low", "clause", "best", "pair", "near", "near_pair", "window_low", "window")
"""What speaks for a claim."""
AGAINST = ("weak", "weak_count", "length", "denied_share")
FEATURES = (*FOR, *AGAINST)
MOST_TOLD = 10
"""How many sentences a claim is laid over at most."""
WEAK = 0.55
"""Below this a word is like none of the sources."""
SAME_WORD = 0.6
ABOVE = 0.9
"""What a word counts that only titles and headings have."""
OTHER_CLAUSE = 0.5
"""From here on a clause says no for yes, if it lies over the right one."""
BOUNDED = 0.3
"""What such a difference counts where one side has a bound or an *only* instead of a denial."""
CONTEXT = -0.04
"""So much better fits another figure's company: the claim's figure is that of something else."""
OTHER_NOUN = 0.5
"""A noun that is less like any word than this is another thing."""
TIED = 0.001
"""Sentences that are so close are as good as each other."""
AROUND, AROUND_TOLD = 5, 6
"""How many words a figure's company reaches to, in a claim and in a source."""


@dataclass(frozen=True)
class Spelled:
    """A text in words, and what each means where it stands."""

    text: str
    words: tuple[tuple[str, int], ...]
    """Each with the place where it begins."""
    vectors: Vectors

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The root of each word."""
        return tuple(root(word.lower()) for word, _ in self.words)

    @cached_property
    def told(self) -> frozenset[str]:
        """What can be asked of a text: the keys of its figures, and its words."""
        return told(self.text) | {f"w {each}" for each in self.roots}

    @cached_property
    def low(self) -> frozenset[str]:
        """The roots of the words that begin with a small letter, and so are no names."""
        pairs = zip(self.words, self.roots, strict=True)
        return frozenset(name for (word, _), name in pairs if not word[0].isupper())

    @cached_property
    def adjacent(self) -> tuple[int, ...]:
        """The first of each two words with nothing between them that may name one thing together."""
        ends = [place + len(word) for word, place in self.words]
        return tuple(
            n
            for n in range(len(ends) - 1)
            if is_joint(self.text, ends[n], self.words[n + 1][1]) and may_modify(self.words[n][0])
        )

    @cached_property
    def joined(self) -> tuple[int, ...]:
        """Those of them that do, as *gift card* does: the second ends what follows a *the* or *your*."""
        ends = noun_ends(self.text)
        last = [self.words[n + 1] for n in self.adjacent]
        return tuple(n for n, (word, place) in zip(self.adjacent, last, strict=True) if place + len(word) in ends)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The clauses of the text."""
        return clauses(self.text)

    @cached_property
    def clause_of(self) -> NDArray[np.intp]:
        """For each word the position of its clause."""
        ends = np.array([each.end for each in self.clauses])
        places = np.array([place for _, place in self.words])
        return np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1).astype(np.intp)

    @cached_property
    def telling(self) -> NDArray[np.intp]:
        """Positions of the words that mean something and are no figures."""
        found = [
            n
            for n, (word, _) in enumerate(self.words)
            if len(word) > 1 and not word[0].isdigit() and not is_idle(word)
        ]
        return np.array(found, np.intp)


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A claim laid over its sources."""

    features: Numbers
    """One for each of ``FEATURES``."""
    doubts: tuple[str, ...]
    """What may be otherwise than told: ``denial``, ``misplaced``."""
    lying: str
    """The sentences that it lies over, the best one first."""


def spelled(text: str, tokens: Tokens) -> Spelled:
    """Join a text's pieces to words."""
    found = [each for each in words_of(text, tokens.offsets) if text[each.start].isalnum()]
    if not found:
        return Spelled(text, (), np.zeros((0, tokens.vectors.shape[1]), np.float32))
    rows = np.stack([tokens.vectors[list(each.pieces)].mean(axis=0) for each in found])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9
    return Spelled(text, tuple((text[each.start : each.end], each.start) for each in found), rows)


class _Grid:
    """Every word of a claim beside every word of its sources."""

    def __init__(self, claim: Spelled, sources: Sequence[Spelled], above: str) -> None:
        self.claim, self.sources = claim, sources
        self.above = frozenset(root(each) for each in re.findall(r"\w+", above.lower()))
        self.told_above = told(above) | {f"w {each}" for each in self.above}
        self.sentence = np.repeat(np.arange(len(sources)), [len(each.words) for each in sources])
        self.starts = np.concatenate([[0], np.cumsum([len(each.words) for each in sources])[:-1]])
        self.roots = np.array([each for source in sources for each in source.roots], dtype=object)
        self.like = self._like()
        self.by_sentence = self._most(self.sentence, len(sources))

    def _like(self) -> Numbers:
        told = np.concatenate([each.vectors for each in self.sources])
        like: Numbers = (self.claim.vectors @ told.T).astype(np.float64)
        for row, each in zip(like, self.claim.roots, strict=True):
            row[self.roots == each] = 1.0
        return like

    def _most(self, part: NDArray[np.intp], parts: int) -> Numbers:
        """Return how like each telling word is to the likest one of each part of the sources."""
        rows = self.like[self.claim.telling]
        found = np.zeros((len(rows), parts))
        for n in range(parts):
            if (mine := part == n).any():
                found[:, n] = rows[:, mine].max(axis=1)
        return found

    def in_clauses(self) -> tuple[Numbers, list[tuple[int, Clause]]]:
        """Return the same for each clause of the sources, with the sentence that each is of."""
        counts = np.cumsum([0, *(len(each.clauses) for each in self.sources)])
        part = [each.clause_of + count for each, count in zip(self.sources, counts, strict=False)]
        every = [(n, clause) for n, each in enumerate(self.sources) for clause in each.clauses]
        return self._most(np.concatenate(part), len(every)), every

    def known_above(self) -> NDArray[np.bool_]:
        """Say of each telling word whether titles and headings have it."""
        return np.array([self.claim.roots[n] in self.above for n in self.claim.telling], bool)


def align(claim: Spelled, sources: Sequence[Spelled], vector: Vectors, vectors: Vectors, above: str) -> Aligned:
    """Lay a claim over its sources; ``vectors`` has a unit row for each of them."""
    near = (vectors @ vector).astype(np.float64)
    sources = [each if each.words else _nothing(each, claim) for each in sources]
    grid = _Grid(claim, sources, above)
    if not len(claim.telling):
        return Aligned(features=np.zeros(len(FEATURES)), doubts=(), lying=sources[int(near.argmax())].text)
    whole = grid.by_sentence.mean(axis=0)
    at = _places(grid, near, whole)
    share, doubtful = _denials(grid, at)
    values = _values(grid, near, vectors, vector, whole) | {"denied_share": share}
    found = {"denial": doubtful, "misplaced": _is_misplaced(grid, whole)}
    doubts = tuple(name for name, holds in found.items() if holds)
    return Aligned(
        features=np.array([values[name] for name in FEATURES]),
        doubts=doubts,
        lying=" ".join(sources[n].text for n in at),
    )


def _nothing(source: Spelled, claim: Spelled) -> Spelled:
    """Stand in for a sentence without words, which is like nothing."""
    return Spelled(source.text, (("", 0),), np.zeros((1, claim.vectors.shape[1]), np.float32))


def _parts(grid: _Grid) -> list[NDArray[np.intp]]:
    """Return the telling words of each clause of the claim, as positions among them."""
    of = grid.claim.clause_of[grid.claim.telling]
    return [found for n in range(len(grid.claim.clauses)) if len(found := np.flatnonzero(of == n))]


def _places(grid: _Grid, near: Numbers, whole: Numbers) -> tuple[int, ...]:
    """Return the best sentence of all, then the best of each clause."""
    best = [int((whole + near).argmax())]
    best += [int((grid.by_sentence[rows].mean(axis=0) + 0.15 * near).argmax()) for rows in _parts(grid)]
    return tuple(dict.fromkeys(best))


def _values(grid: _Grid, near: Numbers, vectors: Vectors, vector: Vectors, whole: Numbers) -> dict[str, float]:
    by, known = grid.by_sentence, grid.known_above()
    top = np.maximum(by.max(axis=1), np.where(known, ABOVE, 0.0))
    window = np.concatenate(
        [
            by[rows][:, np.argsort(by[rows].mean(axis=0) + 0.15 * near)[::-1][:2]].max(axis=1)
            for rows in _parts(grid)
        ]
    )
    window = np.maximum(window, np.where(known[np.concatenate(_parts(grid))], ABOVE, 0.0))
    long = [float(top[rows].mean()) for rows in _parts(grid) if len(rows) > 1]
    first = by[:, int(whole.argmax())]
    weak = top < WEAK
    return {
        "mean": float(top.mean()),
        "low": float(np.sort(top)[:2].mean()),
        "clause": min(long, default=float(top.mean())),
        "best": float(whole.max()),
        "pair": float(np.maximum(first[:, None], by).mean(axis=0).max()),
        "near": float(near.max()),
        "near_pair": _near_pair(vectors, vector, float(near.max())),
        "window_low": float(np.sort(window)[:2].mean()),
        "window": float(window.mean()),
        "weak": float(weak.mean()),
        "weak_count": float(np.log1p(weak.sum())),
        "length": float(np.log1p(len(top))),
    }


def _near_pair(vectors: Vectors, vector: Vectors, least: float) -> float:
    """Return how near a claim is to two sentences in a row, if nearer than to one."""
    pairs = vectors[1:] + vectors[:-1]
    norms = np.linalg.norm(pairs, axis=1)
    found: list[float] = ((pairs @ vector) / np.maximum(norms, 1e-9)).tolist()
    return max([least, *found])


def _denials(grid: _Grid, at: Sequence[int]) -> tuple[float, bool]:
    """Return the share of words that only one side denies, and whether the claim may say yes for no."""
    by_clause, every = grid.in_clauses()
    doubtful = any(_says_otherwise(grid, rows, by_clause, every) for rows in _parts(grid))
    mine = sum(each.denials for each in grid.claim.clauses)
    only = any(each.only for each in grid.claim.clauses)
    best = sum(each.denials for each in grid.sources[at[0]].clauses)
    around = sum(each.denials for n in at for each in grid.sources[n].clauses)
    odd = mine % 2 != best % 2
    anew, lost = mine > 0 and around == 0, mine == 0 and best > 0 and not only
    return _denied_share(grid), doubtful or odd or anew or lost


def _says_otherwise(
    grid: _Grid, rows: NDArray[np.intp], by_clause: Numbers, every: Sequence[tuple[int, Clause]]
) -> bool:
    """Say whether a clause of the claim denies what the clause it lies over does not, or the other way about."""
    clause = grid.claim.clauses[grid.claim.clause_of[grid.claim.telling[rows[0]]]]
    score = np.clip((by_clause[rows] - 0.45) / 0.55, 0, 1).sum(axis=0) / len(rows)
    best = int(score.argmax())
    told = every[best][1]
    if clause.denies == told.denies:
        return False
    excused = clause.only != told.only or (clause.bounded and told.bound) or (told.bounded and clause.bound)
    weight = BOUNDED if excused else 1.0
    return weight * min(1.0, float(score[best]) + 0.3) >= OTHER_CLAUSE


def _denied_share(grid: _Grid) -> float:
    rows = grid.claim.telling
    found = grid.like[rows].argmax(axis=1)
    like = grid.like[rows, found]
    here = np.array([each.denies for each in grid.claim.clauses])[grid.claim.clause_of[rows]]
    told = np.concatenate([np.array([each.denies for each in s.clauses])[s.clause_of] for s in grid.sources])
    kept = like > SAME_WORD
    total = float(like[kept].sum())
    return float(like[kept & (here != told[found])].sum()) / total if total else 0.0


def _is_misplaced(grid: _Grid, whole: Numbers) -> bool:
    """Say whether a figure or a name may be that of something else, or a bound be turned round."""
    if opposite_bounds(grid.claim.text, [each.text for each in grid.sources]):
        return True
    if _figure_elsewhere(grid, whole) or _name_elsewhere(grid) or _in_other_company(grid):
        return True
    return _is_torn(grid) or _other_noun(grid) or _other_part(grid)


def _figure_elsewhere(grid: _Grid, whole: Numbers) -> bool:
    """Say whether only sentences that its clause hardly lies over have a figure of the claim."""
    for each in quantities(grid.claim.text):
        lies = _lies(grid, each.text, whole)
        holders = [n for n, source in enumerate(grid.sources) if not each.keys.isdisjoint(source.told)]
        if holders and max(lies[holders]) - lies.max() < CONTEXT - 0.02:
            return True
        if holders and any(_has_rival(grid, each, n) for n in np.flatnonzero(lies >= max(lies[holders])).tolist()):
            return True
    return False


def _has_rival(grid: _Grid, figure: Quantity, sentence: int) -> bool:
    """Say whether a sentence has another figure of the same kind in place of one of the claim."""
    source = grid.sources[sentence]
    if not figure.keys.isdisjoint(source.told):
        return False
    others = (each for each in quantities(source.text) if each.kind == figure.kind)
    return any(each.keys.isdisjoint(grid.claim.told) for each in others)


def _is_torn(grid: _Grid) -> bool:
    """Say whether no sentence has all figures and names together that a clause of the claim has."""
    everywhere = frozenset().union(*(each.told for each in grid.sources))
    low = {
        name
        for each in grid.sources
        for (word, _), name in zip(each.words, each.roots, strict=True)
        if not word[0].isupper()
    }
    for clause in grid.claim.clauses:
        asked = [each.keys for each in quantities(clause.text)]
        asked += [frozenset((f"w {name}",)) for name in _capital(grid, clause) if name not in low]
        asked = [keys for keys in asked if keys.isdisjoint(grid.told_above) and not keys.isdisjoint(everywhere)]
        if len(asked) > 1 and not any(_has_all(each, asked) for each in grid.sources):
            return True
    return False


def _capital(grid: _Grid, clause: Clause) -> list[str]:
    """Return the roots of a clause's words that have a capital letter."""
    words = zip(grid.claim.words, grid.claim.roots, strict=True)
    return [
        name
        for (word, place), name in words
        if clause.start <= place < clause.end and word[0].isupper() and len(word) > 1 and not is_idle(word)
    ]


def _has_all(source: Spelled, asked: Sequence[frozenset[str]]) -> bool:
    return not any(keys.isdisjoint(source.told) for keys in asked)


def _other_noun(grid: _Grid) -> bool:
    """Say whether a noun or a name is like nothing in the sentence that the rest of its clause lies over.

    What the sources have nowhere may be another word for something in any of them.
    """
    ends = noun_ends(grid.claim.text)
    return any(
        _stands_alone(grid, row, rows)
        for rows in _parts(grid)
        if len(rows) > 2
        for row in rows
        if _is_noun(grid, int(grid.claim.telling[row]), ends)
    )


def _is_noun(grid: _Grid, n: int, ends: Collection[int]) -> bool:
    """Say whether a word of the claim is a noun or a name, and no title or heading has it."""
    word, place = grid.claim.words[n]
    return grid.claim.roots[n] not in grid.above and (
        place + len(word) in ends or (place > 0 and word[0].isupper())
    )


def _stands_alone(grid: _Grid, row: int, rows: NDArray[np.intp]) -> bool:
    like = grid.by_sentence[row]
    rest = grid.by_sentence[rows[rows != row]].mean(axis=0)
    there = like[rest >= rest.max() - TIED].max() if like.max() >= 1.0 else like.max()
    return bool(there < OTHER_NOUN)


def _other_part(grid: _Grid) -> bool:
    """Say whether one of two words that name a thing together stands for another one of the sources."""
    claim = grid.claim
    mine = [claim.roots[n : n + 2] for n in claim.joined]
    known = {source.roots[n : n + 2] for source in grid.sources for n in source.adjacent}
    stated = {source.roots[n : n + 2]: source for source in grid.sources for n in source.joined}
    return any(
        (pair[0] == other[0]) != (pair[1] == other[1]) and not set(pair) <= set(source.roots)
        for pair in mine
        if pair not in known
        for other, source in stated.items()
        if other not in mine
    )


def _lies(grid: _Grid, figure: str, whole: Numbers) -> Numbers:
    """Return how the clause of a figure lies over each sentence; the whole claim if it has no words beside it."""
    place = grid.claim.text.find(bare := figure.lstrip("$€£"))
    here = _word_at(grid.claim, place) if bare and place >= 0 else None
    if here is None:
        return whole
    of = grid.claim.clause_of
    rows = np.flatnonzero(of[grid.claim.telling] == of[here])
    lies: Numbers = grid.by_sentence[rows].mean(axis=0) if len(rows) else whole
    return lies


def _name_elsewhere(grid: _Grid) -> bool:
    """Say whether a capitalised word is in none of the two sentences that its clause lies over."""
    for rows in _parts(grid):
        best = np.argsort(grid.by_sentence[rows].mean(axis=0))[::-1][:2]
        for word, place, name in ((*grid.claim.words[n], grid.claim.roots[n]) for n in grid.claim.telling[rows]):
            named = word[0].isupper() and place and name not in grid.above
            if named and all(name not in grid.sources[n].roots for n in best):
                return True
    return False


def _in_other_company(grid: _Grid) -> bool:
    """Say whether the words around a figure are rather those around another figure of the sources."""
    stated = [
        (n, match.start(), value(match[0]))
        for n, s in enumerate(grid.sources)
        for match in FIGURE.finditer(s.text)
    ]
    for match in FIGURE.finditer(grid.claim.text):
        here = _word_at(grid.claim, match.start())
        company = [] if here is None else _company(grid.claim, here)
        if len(company) < 2:
            continue
        own = other = -1.0
        for n, place, number in stated:
            if number == value(match[0]):
                own = max(own, _fit(grid, company, n, place, len(grid.sources[n].words)))
            else:
                other = max(other, _fit(grid, company, n, place, AROUND_TOLD))
        if own >= 0 and own - other < CONTEXT:
            return True
    return False


def _company(claim: Spelled, here: int) -> list[int]:
    """Return the telling words around one, of the same clause."""
    of = claim.clause_of
    return [n for n in claim.telling.tolist() if 0 < abs(n - here) <= AROUND and of[n] == of[here]]


def _fit(grid: _Grid, company: Sequence[int], sentence: int, place: int, reach: int) -> float:
    """Return how like some words of the claim are to those around a place in a sentence."""
    source = grid.sources[sentence]
    there = _word_at(source, place)
    if there is None:
        return -1.0
    first, last = max(0, there - reach), min(len(source.words), there + reach + 1)
    columns = [grid.starts[sentence] + n for n in range(first, last) if n != there]
    return float(grid.like[np.ix_(company, columns)].max(axis=1).mean()) if columns else -1.0


def _word_at(text: Spelled, place: int) -> int | None:
    return next((n for n, (word, start) in enumerate(text.words) if start <= place < start + len(word)), None)
