"""Groundedness: whether the passages that a drafted sentence cites bear it out, as a calibrated probability."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from policies.errors import ConfigError
from policies.firmness import misstates_firmness
from policies.guards import Finding, GuardRequest, Stage
from policies.types import Citation, Passage, Reason
from tools.encoder.ports import Encoder, TokenEncoder, Vectors
from tools.evidence import VectorsOf
from tools.guards.head import Head, load_head
from tools.guards.support_alignment import FEATURES as ALIGNED
from tools.guards.support_alignment import MOST_TOLD, Aligned, Spelled, align, spelled
from tools.guards.support_features import FEATURES, Numbers, Weighed, nearest, weigh
from tools.knowledge import sentences as splitter
from tools.knowledge.quoting import clean, quote

NAME = "groundedness"
VERBATIM = 0.99
"""Probability that an unchanged quote of whole sentences is supported."""
UNSURE = (0.2, 0.8)
"""Between these probabilities a judge is asked, if there is one."""
MOST_STORED = 24
"""How many cited sentences are compared at most; those with fewest of the sentence's words are left out."""
KEPT = 256
"""How many sentences of passages are kept in words: 12 MB."""
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*_\d+\]")
_TEXTS = {
    "no_citation": "The sentence cites nothing.",
    "unknown_passage": "The sentence cites a passage that was not retrieved.",
    "quote": "The sentence cites words that are not in the passage.",
    "figures": "It states an amount, a time or a date that the cited passages do not state.",
    "names": "It names somebody or something that the cited passages do not name.",
    "misplaced": "It states a figure that the cited passages have for something else.",
    "denial": "It says yes where the cited passages say no, or no where they say yes.",
    "strength": "It promises or demands what the cited passages only allow for, or allows what they demand.",
    "opposite": "It says the opposite of the cited passages in one of its words.",
    "condition": "It leaves out a condition that the cited passages make.",
    "unsure": "The cited passages may bear it out in other words; that could not be made sure of here.",
    "unsupported": "The cited passages do not bear it out.",
}
PLAIN = ("figures", "names", "strength", "opposite", "condition")
"""What contradicts also a claim in words of its own; a denial or a misplaced figure there is a doubt."""
DOUBTED = 0.49
"""The most that a claim in words of its own gets while there is a doubt."""
DOUBTS = ("denial", "misplaced")
_CODES = {"figures": "number", "names": "name", "strength": "modality"}


class Judge(Protocol):
    """A model that was trained to say whether texts bear a claim out, such as a cross-encoder."""

    async def __call__(self, claim: str, sources: Sequence[str]) -> float:
        """Return the probability, 0 to 1, that the sources bear the claim out."""
        ...


@dataclass(frozen=True, kw_only=True)
class Supported:
    """How likely a text is borne out, and what speaks against it."""

    probability: float
    otherwise: tuple[str, ...] = ()
    """What it states otherwise than its sources: names from ``support_features.OTHERWISE``."""
    doubts: tuple[str, ...] = ()
    """What it may state otherwise, being in words of its own: names from ``DOUBTS``."""

    @property
    def unsure(self) -> bool:
        """Whether a better judge may find it borne out: nothing contradicts it, and it is not far off."""
        return not self.otherwise and UNSURE[0] <= self.probability < 0.5


@dataclass(frozen=True, kw_only=True)
class _Told:
    """The sentences that a claim is compared with."""

    texts: Sequence[str]
    vectors: Vectors
    above: str
    is_whole: bool
    """Whether these are all there are: of long sources only some are compared."""


class Weights:
    """The trained head: a logistic regression whose signs say what speaks for a claim and what against it."""

    def __init__(self, head: Head) -> None:
        if tuple(head.about.get("features", ())) != FEATURES:
            raise ConfigError(
                f"The trained part {NAME!r} does not fit this version: it weighs other features.",
                remedy="Install Handrail again, or make it anew with `make heads DATA=folder`.",
                code="head.unfit",
            )
        self._weights = head.arrays["weights"].astype(np.float64)
        self._bias = float(head.arrays["bias"])
        self._contradicted = float(head.arrays["contradicted"])
        self._reworded = head.arrays.get("reworded_weights", np.zeros(len(ALIGNED))).astype(np.float64)
        self._reworded_bias = float(head.arrays.get("reworded_bias", -9.0))

    def judge(self, found: Weighed, laid: Aligned | None, *, firm: bool) -> Supported:
        """Return how likely a claim is borne out.

        A claim that follows a sentence word for word is judged by what it changes. Any other may deny, or tell a
        figure, of something else only in appearance: a doubt and no contradiction, as is another word in the
        place of one. ``firm`` says that it is firmer than its sources, or looser.
        """
        plain = self.plain(found.features)
        if found.otherwise and (laid is None or found.follows):
            return Supported(probability=plain * self._contradicted, otherwise=found.otherwise)
        if laid is None:
            return _with_doubts(plain, ("misplaced",) if found.borrowed else ())
        likely = self._both(plain, laid.features)
        if found.follows:
            likely = max(plain, likely)
        otherwise = tuple(each for each in PLAIN if each in found.otherwise or (each == "strength" and firm))
        if otherwise:
            return Supported(probability=likely * self._contradicted, otherwise=otherwise)
        told = {"misplaced"} if found.replaced else set() if found.follows else {*DOUBTS}
        seen = {*found.otherwise, *(told & {*laid.doubts}), *(("misplaced",) if found.borrowed else ())}
        return _with_doubts(likely, tuple(each for each in DOUBTS if each in seen))

    def _both(self, plain: float, features: Numbers) -> float:
        """Return the mean, as odds, of what words say and what the alignment says."""
        words = math.log(max(plain, 1e-6) / max(1 - plain, 1e-6))
        laid = float(features @ self._reworded) + self._reworded_bias
        return 1 / (1 + math.exp(-(words + laid) / 2))

    def plain(self, features: Numbers) -> float:
        """Return what the features alone say."""
        return 1 / (1 + math.exp(-(float(features @ self._weights) + self._bias)))


@cache
def shipped_weights() -> Weights:
    """Load the head that comes with the product."""
    return Weights(load_head(NAME))


class Groundedness:
    """Says how likely sources bear a text out; each of its sentences must be.

    ``vectors_of`` saves encoding passages' sentences again, so that only the text is encoded. ``judge`` is asked
    where the head is unsure.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        vectors_of: VectorsOf | None = None,
        judge: Judge | None = None,
        weights: Weights | None = None,
    ) -> None:
        self._encoder = encoder
        self._vectors_of = vectors_of
        self._judge = judge
        self._weights = weights or shipped_weights()
        self._kept: dict[str, Spelled] = {}

    def forget(self) -> None:
        """Drop the sentences that are kept in words: what an action returned may be among them."""
        self._kept = {}

    async def supported(self, sources: Sequence[str], reply: str) -> float:
        """Return the probability that sources bear a reply out: that of its weakest sentence."""
        pieces = [piece for source in sources for piece in cut(source)]
        claims = cut(reply)
        if not pieces or not claims:
            return 0.0
        texts = [pieces[n] for n in nearest(reply, pieces)]
        vectors = await self._encoder.encode([*claims, *texts])
        whole = len(texts) == len(pieces)
        told = _Told(texts=texts, vectors=vectors[len(claims) :], above="", is_whole=whole)
        return (await self._weakest(claims, vectors[: len(claims)], told)).probability

    async def cited(self, text: str, passages: Sequence[Passage]) -> Supported:
        """Return how likely passages bear a text out."""
        claims = cut(_PLACEHOLDER.sub("", text))
        if not claims or not any(passage.sentences for passage in passages):
            return Supported(probability=0.0)
        vectors, told = await self._told(claims, passages)
        return await self._weakest(claims, vectors, told)

    async def _told(self, claims: Sequence[str], passages: Sequence[Passage]) -> tuple[Vectors, _Told]:
        """Encode claims, and those passages' sentences whose vectors are not stored, in one pass."""
        stored = dict(await self._vectors_of(passages)) if self._vectors_of else {}
        lacking = [passage for passage in passages if passage.id not in stored]
        texts = [each for passage in lacking for each in _sentences(passage)]
        rows = await self._encoder.encode([*claims, *texts])
        stored |= _split(rows[len(claims) :], lacking)
        told = [each for passage in passages for each in _sentences(passage)]
        kept = nearest(" ".join(claims), told, MOST_STORED)
        vectors = np.concatenate([stored[passage.id] for passage in passages])
        above = " ".join(f"{passage.title} {passage.heading}" for passage in passages)
        texts, whole = [told[n] for n in kept], len(kept) == len(told)
        return rows[: len(claims)], _Told(texts=texts, vectors=vectors[kept], above=above, is_whole=whole)

    async def _weakest(self, claims: Sequence[str], vectors: Vectors, told: _Told) -> Supported:
        found = [await self._one(*each, told) for each in zip(claims, vectors, strict=True)]
        return min(found, key=lambda each: each.probability)

    async def _one(self, claim: str, vector: Vectors, told: _Told) -> Supported:
        weighed = weigh(claim, told.texts, vector, told.vectors, told.above)
        laid = await self._laid(claim, vector, told)
        firm = laid is not None and misstates_firmness(claim, laid.lying, " ".join((told.above, *told.texts)))
        found = self._weights.judge(weighed, laid, firm=firm)
        if self._judge is not None and not found.otherwise and UNSURE[0] < found.probability < UNSURE[1]:
            return Supported(probability=await self._judge(claim, told.texts), doubts=found.doubts)
        return found

    async def _laid(self, claim: str, vector: Vectors, told: _Told) -> Aligned | None:
        """Lay a claim over the sentences that are nearest to it; None where the encoder gives no words.

        Of an article that is not compared whole nobody knows what else it has of a claim.
        """
        if not isinstance(self._encoder, TokenEncoder) or not told.is_whole:
            return None
        rows = sorted(np.argsort(told.vectors @ vector, kind="stable")[::-1][:MOST_TOLD].tolist())
        texts = [told.texts[n] for n in rows]
        sources = await self._spelled(self._encoder, texts)
        mine = spelled(claim, (await self._encoder.tokens([claim]))[0])
        return align(mine, sources, vector, told.vectors[rows], told.above)

    async def _spelled(self, encoder: TokenEncoder, texts: Sequence[str]) -> list[Spelled]:
        """Return sources in words; those of passages that are cited again and again are kept."""
        # Who forgets meanwhile has another; nothing comes back into that.
        kept = self._kept
        found = {text: kept[text] for text in texts if text in kept}
        new = [text for text in texts if text not in found]
        if new:
            found |= {text: spelled(text, each) for text, each in zip(new, await encoder.tokens(new), strict=True)}
        kept |= found
        while len(kept) > KEPT:
            del kept[next(iter(kept))]
        return [found[text] for text in texts]


class GroundednessGuard:
    """Finds drafted sentences that the passages they cite do not bear out.

    Catches: no citation, a passage that was not retrieved, a quote that is not in it, and sentences that state
    another figure, unit, date or name, deny, promise or demand otherwise, drop a condition or add a claim of their
    own. A quote of whole sentences passes without a look at its meaning, and policy's own words rest on nothing.

    Misses: another word for a thing that is in the passage too (the wrong one of two products), and what follows
    only by inference; long paraphrases are refused more often than they should be. It reads English.

    Figures: ``design/checker.md``; made again by ``make heads DATA=DIR``. Source: our own; that every part of a
    claim needs support is from Kamoi et al., "WiCE: Real-World Entailment for Claims in Wikipedia", 2023.
    """

    name = NAME
    stages: tuple[Stage, ...] = ("output",)

    def __init__(
        self, encoder: Encoder, *, vectors_of: VectorsOf | None = None, judge: Judge | None = None
    ) -> None:
        self._groundedness = Groundedness(encoder, vectors_of=vectors_of, judge=judge)

    def forget(self) -> None:
        """Drop what is remembered of recent sources, as after an erasure."""
        self._groundedness.forget()

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one drafted sentence."""
        if request.own:
            return _finding(0.0, "unsupported")
        if not request.citations:
            return _finding(1.0, "no_citation")
        known = {passage.id: passage for passage in request.passages}
        problems = [problem for each in request.citations if (problem := _problem(each, known))]
        if problems:
            return _finding(1.0, problems[0])
        if _is_quoted_whole(request.text, request.citations, known):
            return _finding(1 - VERBATIM, "unsupported")
        passages = list({each.passage_id: known[each.passage_id] for each in request.citations}.values())
        found = await self._groundedness.cited(request.text, passages)
        return _finding(1 - found.probability, _said(found))


def _with_doubts(likely: float, doubts: tuple[str, ...]) -> Supported:
    """Return what doubts leave of a probability: ``DOUBTED`` at most, and what is likelier stays so."""
    least = UNSURE[0]
    if doubts and likely > least:
        likely = least + (likely - least) * (DOUBTED - least) / (1 - least)
    return Supported(probability=likely, doubts=doubts)


def _said(found: Supported) -> str:
    if found.otherwise:
        return found.otherwise[0]
    return "unsure" if found.unsure else "unsupported"


def cut(text: str) -> list[str]:
    """Return the sentences of a text as people read them."""
    return [quote(text, start, end) for start, end in splitter.spans(text)]


def _sentences(passage: Passage) -> list[str]:
    return [quote(passage.text, start, end) for start, end in passage.sentences]


def _split(rows: Vectors, passages: Sequence[Passage]) -> Mapping[str, Vectors]:
    if not passages:
        return {}
    cuts = np.cumsum([len(passage.sentences) for passage in passages])[:-1]
    return {passage.id: part for passage, part in zip(passages, np.split(rows, cuts), strict=True)}


def _problem(citation: Citation, known: Mapping[str, Passage]) -> str | None:
    passage = known.get(citation.passage_id)
    if passage is None:
        return "unknown_passage"
    start, end = citation.start - passage.start, citation.end - passage.start
    if 0 <= start < end <= len(passage.text) and quote(passage.text, start, end) == citation.quote:
        return None
    if citation.quote.strip() and clean(citation.quote) in clean(passage.text):
        return None
    return "quote"


def _is_quoted_whole(text: str, citations: Sequence[Citation], known: Mapping[str, Passage]) -> bool:
    if text != " ".join(each.quote for each in citations):
        return False
    return all(_is_whole(each, known[each.passage_id]) for each in citations)


def _is_whole(citation: Citation, passage: Passage) -> bool:
    """Say whether a quote is whole sentences: a part of one may say something else."""
    start, end = citation.start - passage.start, citation.end - passage.start
    if start not in {a for a, _ in passage.sentences} or end not in {b for _, b in passage.sentences}:
        return False
    return quote(passage.text, start, end) == citation.quote


def _finding(score: float, what: str) -> Finding:
    reason = Reason(code=f"guard.{NAME}.{_CODES.get(what, what)}", text=_TEXTS[what])
    return Finding(guard=NAME, score=score, reason=reason)
