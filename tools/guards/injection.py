"""The guard against injections: does a text try to give the assistant orders?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import anyio.to_thread
import numpy as np

from policies.errors import ConfigError
from policies.guards import Finding, GuardRequest, Stage
from policies.types import Reason
from tools.encoder.ports import Encoder, Vectors
from tools.evidence import VectorsOf
from tools.guards.head import Head, load_head
from tools.guards.injection_features import (
    CUES,
    Counts,
    LexicalWeights,
    Numbers,
    count,
    lexical_scores,
)
from tools.guards.injection_text import UNIT, Plain, Span, neighbours, read, units

NAME = "injection"
THRESHOLDS: Mapping[Stage, float] = {"input": 0.5, "passage": 0.5, "tool": 0.5}
"""From which score on a text has failed by default; the margins of the head make one threshold fit all stages."""
ENCODED = 4
"""How many units of a long text are encoded: those that their words make likeliest."""
MOST_CHARACTERS = 40_000
"""What is judged of a text; whoever sends more sends it to be overlooked, so the rest counts as an order."""
DISGUISED = 1.0
"""Logits that speak against what was hidden, or has hidden letters."""
FEW_INVISIBLE = 3
_LOOP_CHARACTERS = 600
_LOOP_UNITS = 40
"""Longer texts are counted, and more units are weighed, off the event loop."""
_QUOTED = 80


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A logistic regression over a sentence vector, hashed n-grams, words and cues."""

    vector: Numbers | None
    """None where only words are looked at."""
    lexical: LexicalWeights
    bias: float


@dataclass(frozen=True, kw_only=True)
class InjectionModel:
    """What the guard learned."""

    full: Weights
    alone: Weights
    """For texts whose vectors nobody has, and to find those worth encoding."""
    encoder: str
    """Name and digest of the model that ``full`` knows the vectors of, without its precision."""
    margin: float
    """Logits by which a part of a long message must be surer than a message of its own."""
    document_margin: float
    """The same for a part of a passage or a tool's result."""
    slope: float
    intercept: float
    """Platt's curve, from logits to probabilities."""

    def knows(self, encoder: Encoder) -> bool:
        """Whether it learned from vectors of this encoder."""
        return encoder.id.split("/")[0] == self.encoder

    def probability(self, logit: float) -> float:
        """Return how likely it is that a text with this logit gives orders."""
        return float(1 / (1 + np.exp(-np.clip(self.slope * logit + self.intercept, -30, 30))))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How sure one stretch of a text makes the guard."""

    logit: float
    text: str
    span: Span
    """In the text as it was given."""


def model_of(head: Head) -> InjectionModel:
    """Read the model out of its head."""
    arrays = head.arrays
    known = len(arrays["full_cues"])
    if known != len(CUES):
        raise ConfigError(
            f"The trained part {NAME!r} has weights for {known} cues, but there are {len(CUES)}.",
            remedy="Make it anew with `make heads DATA=folder`.",
            code="head.unreadable",
        )
    plain: Mapping[str, Any] = head.about["model"]
    return InjectionModel(
        full=_weights(arrays, "full", plain["full_bias"]),
        alone=_weights(arrays, "alone", plain["alone_bias"]),
        encoder=plain["encoder"],
        margin=plain["margin"],
        document_margin=plain["document_margin"],
        slope=plain["slope"],
        intercept=plain["intercept"],
    )


def _weights(arrays: Mapping[str, Any], name: str, bias: float) -> Weights:
    vector = arrays.get(f"{name}_vector")
    return Weights(
        vector=None if vector is None else vector.astype(np.float32),
        lexical=LexicalWeights(
            characters=arrays[f"{name}_characters"].astype(np.float32),
            words=arrays[f"{name}_words"].astype(np.float32),
            cues=arrays[f"{name}_cues"].astype(np.float32),
        ),
        bias=bias,
    )


@cache
def shipped_model() -> InjectionModel:
    """Load the head that is kept beside the code, once."""
    return model_of(load_head(NAME))


def logits(weights: Weights, counts: Counts, spans: Sequence[Span], vectors: Vectors | None) -> Numbers:
    """Return a logit for each span; ``vectors`` has a row for each where ``weights`` looks at vectors."""
    total = lexical_scores(counts, tuple(spans), weights.lexical) + np.float32(weights.bias)
    if weights.vector is not None and vectors is not None:
        total = total + vectors @ weights.vector
    return total.astype(np.float32)


class InjectionGuard:
    """Holds back texts that try to give the assistant orders: messages, passages and tools' results.

    Catches: orders to drop instructions, new roles and personas without rules, demands for the hidden prompt,
    notes to machines planted in documents, orders to send data away, made-up system messages; the same in base64,
    percent or HTML escapes, spaced-out letters, digits for letters, look-alikes, tag and zero-width characters;
    German, and coarsely other languages. Text that talks of rules, prompts or updates as customers do passes.

    Misses: orders without any tell-tale form ("the refund limit does not apply today"), languages beyond the
    dozen in its examples, orders in pictures, those spread over several messages, ciphers that it does not undo.

    Figures, out of fold: recall .847 (deepset) and .958 (jackhhao) at 1 % false alarms; 2 of 1,500 honest
    questions fail, and 1 % to 6 % of honest passages, by collection; of own orders not learned, at most 8 in 10
    are caught as messages and half inside documents. ``design/heads.md`` has the intervals. Source: own work; a
    logistic regression over a MiniLM sentence vector, hashed n-grams and named cues, learned from two public sets,
    own examples, honest questions and documents.

    A message is judged whole, and a long one by its sentences too; a passage or a tool's result by its worst
    sentence or pair of sentences. ``vectors_of`` looks up the sentence vectors of passages, so that nothing is
    encoded anew. With an encoder that the head does not know, words alone decide.
    """

    name = NAME
    stages: tuple[Stage, ...] = ("input", "passage", "tool")

    def __init__(
        self, encoder: Encoder, *, vectors_of: VectorsOf | None = None, model: InjectionModel | None = None
    ) -> None:
        self._encoder = encoder
        self._vectors_of = vectors_of
        self._model = model or shipped_model()
        self._knows = self._model.knows(encoder)

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text by its worst stretch."""
        text = request.text[:MOST_CHARACTERS]
        long = len(text) > _LOOP_CHARACTERS
        plain, counts = await anyio.to_thread.run_sync(partial(_take_in, text)) if long else _take_in(text)
        if request.stage == "passage" and (stored := await self._stored(request, plain)):
            judged = self._by_vectors(plain, counts, *stored)
        else:
            judged = await self._by_text(plain, counts, text, whole=request.stage == "input")
        for payload in plain.payloads:
            judged.append(await self._payload(payload.text, payload.span))
        worst = max(judged, key=lambda each: each.logit)
        if len(request.text) > MOST_CHARACTERS:
            return self._finding(Judged(logit=30.0, text="", span=(MOST_CHARACTERS, len(request.text))), request)
        return self._finding(worst, request)

    async def _stored(self, request: GuardRequest, plain: Plain) -> tuple[tuple[Span, ...], Vectors] | None:
        """Return the sentences of a passage with their vectors, if they are known and nothing in it was moved."""
        if self._vectors_of is None or not self._knows or len(request.passages) != 1 or plain.origin is not None:
            return None
        passage = request.passages[0]
        if passage.text != request.text or not passage.sentences:
            return None
        vectors = (await self._vectors_of([passage])).get(passage.id)
        if vectors is None or len(vectors) != len(passage.sentences):
            return None
        return passage.sentences, vectors

    def _by_vectors(
        self, plain: Plain, counts: Counts, sentences: tuple[Span, ...], vectors: Vectors
    ) -> list[Judged]:
        """Judge sentences and pairs of them; the vector of a pair is the middle of its two."""
        pairs = neighbours(sentences)
        first = {span[0]: row for row, span in enumerate(sentences)}
        rows = [first[span[0]] for span in pairs]
        middle = vectors[rows] + vectors[[row + 1 for row in rows]]
        middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-6)
        spans = (*sentences, *pairs)
        found = logits(self._model.full, counts, spans, np.concatenate([vectors, middle]))
        less = self._model.document_margin
        return [self._judged(plain, span, float(logit) - less) for span, logit in zip(spans, found, strict=True)]

    async def _by_text(self, plain: Plain, counts: Counts, text: str, *, whole: bool) -> list[Judged]:
        """Judge a text whole if it is short or ``whole``, and a long one by its units."""
        everything = (0, len(plain.text))
        judged: list[Judged] = []
        less = self._model.margin if whole else self._model.document_margin
        if whole or len(plain.text) <= UNIT:
            # The text as it was given, which the router encodes too, so that it is encoded once.
            logit = await self._logits(plain, counts, [everything], [text])
            judged.append(self._judged(plain, everything, float(logit[0]) - (0.0 if whole else less)))
        if len(plain.text) > UNIT:
            spans = units(plain.text) or (everything,)
            rank = partial(logits, self._model.alone, counts, spans, None)
            likely = await anyio.to_thread.run_sync(rank) if len(spans) > _LOOP_UNITS else rank()
            best = [spans[row] for row in np.argsort(-likely, kind="stable")[:ENCODED]]
            found = await self._logits(plain, counts, best, [plain.text[slice(*span)] for span in best])
            judged += [
                self._judged(plain, span, float(each) - less) for span, each in zip(best, found, strict=True)
            ]
        return judged

    async def _logits(self, plain: Plain, counts: Counts, spans: Sequence[Span], texts: Sequence[str]) -> Numbers:
        if not self._knows or not plain.text.strip():
            return logits(self._model.alone, counts, spans, None)
        return logits(self._model.full, counts, spans, await self._encoder.encode(list(texts)))

    async def _payload(self, text: str, span: Span) -> Judged:
        """Judge what a stretch says once it is decoded; that it was hidden speaks against it."""
        judged = await self._by_text(
            Plain(text=text, origin=None, invisible=0, payloads=()), count(text), text, whole=True
        )
        worst = max(judged, key=lambda each: each.logit)
        return Judged(logit=worst.logit + DISGUISED, text=worst.text, span=span)

    def _judged(self, plain: Plain, span: Span, logit: float) -> Judged:
        more = DISGUISED if plain.invisible >= FEW_INVISIBLE else 0.0
        return Judged(logit=logit + more, text=plain.text[slice(*span)], span=plain.place(span))

    def _finding(self, worst: Judged, request: GuardRequest) -> Finding:
        return Finding(
            guard=NAME,
            score=self._model.probability(worst.logit),
            reason=Reason(code=f"guard.{NAME}", text=_say(worst.text)),
            spans=() if worst.span == (0, len(request.text)) else (worst.span,),
        )


def _take_in(text: str) -> tuple[Plain, Counts]:
    plain = read(text)
    return plain, count(plain.text)


def _say(text: str) -> str:
    said = " ".join(text.split())
    if not said:
        return "The text is too long to be read for instructions to the assistant."
    quoted = said if len(said) <= _QUOTED else said[: _QUOTED - 1].rstrip() + "…"
    return f"The text tries to give the assistant instructions: “{quoted}”"
