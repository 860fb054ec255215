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
from tools.guards.injection_hidden import hidden
from tools.guards.injection_text import UNIT, Plain, Span, neighbours, read, units

NAME = "injection"
STAGES: tuple[Stage, ...] = ("input", "passage", "tool")
"""Where it stands; the head's curve for each makes .5 the threshold of them all."""
ENCODED = 6
"""How many units of a long text are encoded: those that their words make likeliest."""
MOST_CHARACTERS = 40_000
"""What is judged of a text; whoever sends more sends it to be overlooked, so the rest counts as an order."""
DISGUISED = 1.0
"""Logits that speak against what was hidden, or has hidden letters."""
FEW_INVISIBLE = 3
_LOOP_CHARACTERS = 600
_LOOP_UNITS = 40
"""Longer texts are counted, and more units are weighed, off the event loop."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A logistic regression over a sentence vector, hashed n-grams, words and cues."""

    vector: Numbers | None
    """None where only words are looked at."""
    lexical: LexicalWeights
    bias: float


@dataclass(frozen=True, kw_only=True)
class Sense:
    """What the guard learned about one kind of text."""

    full: Weights
    alone: Weights
    """For texts whose vectors nobody has, and to find those worth encoding."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """From what weights add up to, to how likely it is that a text gives orders, at one stage."""

    slope: float
    even: float
    """What adds up to a probability of one half."""

    def logit(self, total: float) -> float:
        """Return the logit of the probability."""
        return self.slope * (total - self.even)


@dataclass(frozen=True, kw_only=True)
class InjectionModel:
    """What the guard learned, of messages and of documents, which give orders in other words."""

    message: Sense
    document: Sense
    encoder: str
    """Name and digest of the model that ``full`` knows the vectors of, without its precision."""
    curves: Mapping[Stage, Curve]
    margin: float
    """Logits by which a part of a long message must be surer than a message of its own."""

    def knows(self, encoder: Encoder) -> bool:
        """Whether it learned from vectors of this encoder."""
        return encoder.id.split("/")[0] == self.encoder

    def sense(self, stage: Stage) -> Sense:
        """Return what judges the texts of a stage."""
        return self.message if stage == "input" else self.document


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How sure one stretch of a text makes the guard."""

    logit: float
    """Above nothing it fails by default."""
    span: Span
    """In the text as it was given."""

    @property
    def probability(self) -> float:
        """How likely it is that the stretch gives orders."""
        return float(1 / (1 + np.exp(-np.clip(self.logit, -30, 30))))


def model_of(head: Head) -> InjectionModel:
    """Read the model out of its head."""
    arrays = head.arrays
    known = len(arrays["message_full_cues"]) if "message_full_cues" in arrays else 0
    if known != len(CUES):
        raise ConfigError(
            f"The trained part {NAME!r} has weights for {known} cues, but there are {len(CUES)}.",
            remedy="Make it anew with `make heads DATA=folder`.",
            code="head.unreadable",
        )
    plain: Mapping[str, Any] = head.about["model"]
    return InjectionModel(
        message=_sense(arrays, "message", plain["biases"]),
        document=_sense(arrays, "document", plain["biases"]),
        encoder=plain["encoder"],
        curves={stage: Curve(**plain["curves"][stage]) for stage in STAGES},
        margin=plain["margin"],
    )


def _sense(arrays: Mapping[str, Any], name: str, biases: Mapping[str, float]) -> Sense:
    full, alone = f"{name}_full", f"{name}_alone"
    return Sense(full=_weights(arrays, full, biases[full]), alone=_weights(arrays, alone, biases[alone]))


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
    German, and coarsely eleven other languages. Text that talks of rules, prompts or updates as customers do
    passes.

    Misses: in documents, some three in ten of the orders worded in ways that it has not seen, and two in three of
    those that were written to pass for data; orders without any tell-tale form ("the refund limit does not apply
    today"), languages beyond its thirteen, orders in pictures, those spread over several messages, ciphers that it
    does not undo.

    Figures, out of fold: recall .828 (deepset) and .939 (jackhhao) at 1 % false alarms, .433 and .731 where only
    the other of the two was learned; 7 of 1,500 honest questions fail, at most 1.2 % of honest passages and tools'
    results of any left-out collection and 2.4 % of pages kept apart; of orders in moods and branches that were
    left out .89 are caught as messages, .73 in passages and tools' results. ``design/heads.md`` has the intervals.
    Source: own work; logistic regressions over a MiniLM sentence vector, hashed n-grams, named cues and concepts,
    one for messages and one for documents, learned from two public sets, a grammar and examples of our own, honest
    questions and documents.

    A message is judged whole, and a long one by its sentences too; a passage or a tool's result by its worst
    sentence, pair of sentences or field of data (a short one as a whole, too), and what it says where no reader
    looks (comments, unseen elements, texts behind pictures) is judged like a message. ``vectors_of`` looks up the
    sentence vectors of passages, so that nothing is encoded anew. With an encoder that the head does not know,
    words alone decide.
    """

    name = NAME
    stages = STAGES

    def __init__(
        self, encoder: Encoder, *, vectors_of: VectorsOf | None = None, model: InjectionModel | None = None
    ) -> None:
        self._encoder = encoder
        self._vectors_of = vectors_of
        self._model = model or shipped_model()
        self._knows = self._model.knows(encoder)

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text by its worst stretch."""
        if len(request.text) > MOST_CHARACTERS:
            return _finding(Judged(logit=30.0, span=(MOST_CHARACTERS, len(request.text))), too_long=True)
        long = len(request.text) > _LOOP_CHARACTERS
        read_in = partial(_take_in, request.text)
        plain, counts = await anyio.to_thread.run_sync(read_in) if long else read_in()
        if request.stage == "passage" and (stored := await self._stored(request, plain)):
            judged = self._by_vectors(plain, counts, *stored)
        else:
            judged = await self._by_text(plain, counts, request.text, request.stage)
        for payload in plain.payloads:
            judged.append(await self._payload(payload.text, payload.span, request.stage))
        if request.stage != "input":
            for start, end in hidden(request.text):
                judged.append(await self._hidden(request.text[start:end], (start, end)))
        return _finding(max(judged, key=lambda each: each.logit))

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
        found = logits(self._model.document.full, counts, spans, np.concatenate([vectors, middle]))
        return [
            self._judged(plain, span, float(total), "passage") for span, total in zip(spans, found, strict=True)
        ]

    async def _by_text(self, plain: Plain, counts: Counts, text: str, stage: Stage) -> list[Judged]:
        """Judge a message or a short text whole, and a long one, a document or a tool's result by its units."""
        sense, everything = self._model.sense(stage), (0, len(plain.text))
        judged: list[Judged] = []
        if stage == "input" or len(plain.text) <= UNIT:
            # The text as it was given, which the router encodes too, so that it is encoded once.
            total = await self._totals(sense, plain, counts, [everything], [text])
            judged.append(self._judged(plain, everything, float(total[0]), stage))
        best = await self._likeliest(sense, plain, counts) if stage != "input" or len(plain.text) > UNIT else []
        if best and best != [everything]:
            found = await self._totals(sense, plain, counts, best, [plain.text[slice(*span)] for span in best])
            less = self._model.margin if stage == "input" else 0.0
            judged += [
                self._judged(plain, span, float(each) - less, stage)
                for span, each in zip(best, found, strict=True)
            ]
        return judged

    async def _likeliest(self, sense: Sense, plain: Plain, counts: Counts) -> list[Span]:
        """Return the units that are worth encoding."""
        spans = units(plain.text) or ((0, len(plain.text)),)
        rank = partial(logits, sense.alone, counts, spans, None)
        likely = await anyio.to_thread.run_sync(rank) if len(spans) > _LOOP_UNITS else rank()
        return [spans[row] for row in np.argsort(-likely, kind="stable")[:ENCODED]]

    async def _totals(
        self, sense: Sense, plain: Plain, counts: Counts, spans: Sequence[Span], texts: Sequence[str]
    ) -> Numbers:
        if not self._knows or not plain.text.strip():
            return logits(sense.alone, counts, spans, None)
        return logits(sense.full, counts, spans, await self._encoder.encode(list(texts)))

    async def _payload(self, text: str, span: Span, stage: Stage) -> Judged:
        """Judge what a stretch says once it is decoded; that it was hidden speaks against it."""
        hidden = Plain(text=text, origin=None, invisible=0, payloads=())
        judged = await self._by_text(hidden, count(text), text, "input" if stage == "input" else "tool")
        return Judged(logit=max(each.logit for each in judged) + DISGUISED, span=span)

    async def _hidden(self, text: str, span: Span) -> Judged:
        """Judge, as a message, what a document says where no reader looks."""
        plain, counts = _take_in(text)
        judged = await self._by_text(plain, counts, text, "input")
        return Judged(logit=max(each.logit for each in judged), span=span)

    def _judged(self, plain: Plain, span: Span, total: float, stage: Stage) -> Judged:
        more = DISGUISED if plain.invisible >= FEW_INVISIBLE else 0.0
        return Judged(logit=self._model.curves[stage].logit(total + more), span=plain.place(span))


def _finding(worst: Judged, *, too_long: bool = False) -> Finding:
    """Say how sure the guard is and where; never what the text says, for ledgers keep reasons for ever."""
    said = (
        "The text is too long to be read for orders to the assistant."
        if too_long
        else "The text gives the assistant orders."
    )
    return Finding(
        guard=NAME,
        score=worst.probability,
        reason=Reason(code=f"guard.{NAME}", text=said),
        spans=(worst.span,) if worst.span[0] < worst.span[1] else (),
    )


def _take_in(text: str) -> tuple[Plain, Counts]:
    plain = read(text)
    return plain, count(plain.text)
