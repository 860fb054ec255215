"""Trains the head of the guard against injections, and measures it where it has not learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.heads import injection_data as material
from evals.heads import injection_documents as documents
from evals.heads import injection_grammar as grammar
from evals.heads import injection_places as places
from evals.heads.base import COMMAND, Announce, Trained
from evals.heads.folds import folds_of, near_duplicates
from evals.heads.injection_data import Example, flags_of
from evals.heads.injection_documents import Collections
from evals.heads.injection_fit import (
    DOCUMENTS,
    MESSAGES,
    Flags,
    Reader,
    Rows,
    Scores,
    Table,
    Trust,
    calibrate,
    fit,
)
from evals.heads.injection_report import Apart, Row, at_one_percent, held_apart, page
from policies.guards import Stage
from policies.types import JSON, Passage
from tools.encoder.ports import Encoder
from tools.guards.head import Head
from tools.guards.injection import NAME, STAGES, Curve, InjectionModel, Sense

SEED = 20_261
FOLDS = 10
PLACED_FOLDS = 5
"""In how many parts our own documents and tools' results are judged."""
SOURCES = ("deepset", "jackhhao", "own", "places", "questions", "articles")
"""Whose whole texts are judged out of fold as messages."""
LONG_ALARMS, DOCUMENT_ALARMS = 0.005, 0.01
"""The share of long honest messages that may fail by a part alone, and of passages of any collection."""
ORDERS, HONEST = 1_200, 800
"""How many lines of the grammar are learned as messages."""
HELD = 40
"""How many orders of each part of the grammar are judged by what never saw that part."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All that is learned of one kind of text, with its features."""

    examples: tuple[Example, ...]
    table: Table
    groups: Rows
    trust: Trust

    @property
    def flags(self) -> Flags:
        """Which examples are attacks."""
        return flags_of(self.examples)

    def rows(self, *sources: str) -> Rows:
        """Return the whole texts of some sources."""
        return np.flatnonzero([each.source in sources for each in self.examples])

    def beside(self, *sources: str) -> Rows:
        """Return all that is not of these sources, nor a part of their texts."""
        away = {*sources, *(f"parts of {each}" for each in sources)}
        return np.flatnonzero([each.source not in away for each in self.examples])

    def without(self, turn: int) -> Rows:
        """Return all but the lines with something of one part of the grammar."""
        return np.flatnonzero([turn not in each.turns for each in self.examples])

    def fit(self, rows: Rows) -> Sense:
        """Fit on some rows."""
        return fit(self.table, rows, self.flags, np.array([each.weight for each in self.examples]), self.trust)

    def texts(self, rows: Rows) -> list[str]:
        """Return the texts of some rows."""
        return [self.examples[int(row)].text for row in rows]


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """Logits out of fold: of texts as wholes, and of their worst units."""

    whole: Scores
    worst: Scores

    def joined(self, margin: float) -> Scores:
        """Return the logits that the guard would give at ``input``."""
        return np.maximum(self.whole, self.worst - margin)


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What the weights add up to for texts of a kind that they were not fitted on."""

    honest: Mapping[tuple[str, Stage], Scores]
    """Passages of collections that were left out."""
    orders: Mapping[Stage, Scores]
    """Lines of parts of the grammar that were left out: as messages, and planted."""
    placed: Mapping[tuple[str, Stage], Scores]
    """Our own documents and tools' results, out of fold: attacks and honest ones."""

    def curve(self, stage: Stage) -> Curve:
        """Return the curve of a stage at which documents stand: few honest ones of any collection fail."""
        found = {name: scores for (name, at), scores in self.honest.items() if at == stage}
        if not found:
            return Curve(slope=1.0, even=0.0)
        even = max(float(np.quantile(scores, 1 - DOCUMENT_ALARMS)) for scores in found.values())
        honest, orders = np.concatenate(list(found.values())), self.orders[stage]
        flags = np.arange(len(honest) + len(orders)) >= len(honest)
        slope, _ = calibrate(np.concatenate([honest, orders]), flags)
        return Curve(slope=slope, even=float(np.ceil(20 * even) / 20))


async def train(data: Path, encoder: Encoder, announce: Announce) -> Trained:
    """Train on all of the data; every figure is from texts that what gave it had not learned."""
    announce("injection: reading and encoding the examples")
    reader = Reader(encoder=encoder)
    told = documents.collections(data)
    messages, lesson = await _messages(data, reader), await _documents(data, reader, told)
    announce(f"injection: {len(messages.examples):,} messages, {len(lesson.examples):,} parts of documents")
    everything = messages.rows(*SOURCES)
    together, wordy = await _out_of_fold(messages, reader, everything, messages.beside())
    slope, intercept = calibrate(together.whole, messages.flags[everything])
    curve = Curve(slope=slope, even=-intercept / slope)
    margin = _margin(together.worst[~messages.flags[everything]], LONG_ALARMS, curve)
    announce("injection: without each collection of documents, and without each part of the grammar")
    unseen = await _unseen(messages, lesson, reader, told)
    curves = {"input": curve, **{stage: unseen.curve(stage) for stage in STAGES[1:]}}
    announce("injection: fitting the head that ships")
    model = InjectionModel(
        message=messages.fit(messages.beside()),
        document=lesson.fit(lesson.beside()),
        encoder=encoder.id.split("/")[0],
        curves=curves,
        margin=margin,
    )
    rows = await _protocols(messages, reader, margin, announce)
    for source in material.FILES:
        mine = np.isin(everything, messages.rows(source))
        for name, judged in (("all data, 10-fold", together), ("all data, 10-fold, words alone", wordy)):
            rows.append(
                at_one_percent(name, source, judged.joined(margin)[mine], messages.flags[everything[mine]])
            )
    announce("injection: honest questions, documents and planted texts")
    failed = _failed(messages, everything, together.joined(margin) >= curve.even)
    left_out = _left_out(unseen, curves)
    apart = await held_apart(data, reader, model, told.kept, SEED)
    report = page(rows, failed, left_out, apart, model)
    head = _head(model)
    about = _about(data, (messages, lesson), encoder, rows)
    return Trained(name=NAME, head=Head(arrays=head.arrays, about={**about, **head.about}), report=report)


async def _messages(data: Path, reader: Reader) -> Lesson:
    told = [each for source in material.FILES for each in material.public(data, source)]
    examples = tuple(
        material.with_parts([*told, *material.honest(data)], SEED)
        + material.own(SEED)
        + places.messages()
        + material.grammar_lines(ORDERS, HONEST, SEED)
    )
    table = await reader.table([each.text for each in examples])
    return Lesson(examples=examples, table=table, groups=_groups(examples, table), trust=MESSAGES)


async def _documents(data: Path, reader: Reader, told: Collections) -> Lesson:
    examples = tuple(documents.examples(data, told.learned, SEED))
    table = await reader.table([each.text for each in examples])
    return Lesson(examples=examples, table=table, groups=_groups(examples, table), trust=DOCUMENTS)


async def _unseen(messages: Lesson, lesson: Lesson, reader: Reader, told: Collections) -> Unseen:
    honest: dict[tuple[str, Stage], Scores] = {}
    for name, texts in told.learned.items():
        away = documents.left_out(name, texts)
        kept = np.flatnonzero([each.group not in away for each in lesson.examples])
        sense = lesson.fit(kept)
        passages = documents.passages_of(name, list(away.values()), SEED)
        for stage in STAGES[1:]:
            honest[name, stage] = await documents.totals(reader, sense, passages, stage)
    pages = documents.passages_of("pages", [*told.kept.values()][-1] if told.kept else [], SEED)
    orders: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    for turn in range(grammar.TURNS):
        senses = {"input": messages.fit(messages.without(turn))}
        senses["passage"] = senses["tool"] = lesson.fit(lesson.without(turn))
        for stage in STAGES:
            hosts = _held(turn, pages, stage)
            orders[stage] += list(await documents.totals(reader, senses[stage], hosts, stage)) if hosts else []
    placed = await _placed(lesson, reader)
    return Unseen(
        honest=honest, orders={stage: np.array(scores) for stage, scores in orders.items()}, placed=placed
    )


async def _placed(lesson: Lesson, reader: Reader) -> dict[tuple[str, Stage], Scores]:
    """Ask about each of our own documents and tools' results what never saw it."""
    folds = folds_of(lesson.groups, lesson.flags, PLACED_FOLDS, SEED)
    fold_of = {each.group: int(fold) for each, fold in zip(lesson.examples, folds, strict=True)}
    found: dict[tuple[str, Stage], list[float]] = {}
    for fold in range(PLACED_FOLDS):
        sense = lesson.fit(np.flatnonzero(folds != fold))
        for each in places.placed("document", "tool"):
            if fold_of.get(each.group) == fold:
                stage: Stage = "tool" if each.place == "tool" else "passage"
                told = [documents.passage(each.place, each.text)]
                kind = "honest" if each.attack is None else "orders"
                score = await documents.totals(reader, sense, told, stage, inside=False)
                found.setdefault((kind, stage), []).append(float(score[0]))
    return {name: np.array(scores) for name, scores in found.items()}


def _held(turn: int, pages: Sequence[Passage], stage: Stage) -> list[Passage]:
    """Return lines made of one part of the grammar alone: as messages, or planted into honest pages."""
    lines = grammar.orders(HELD, SEED + 7, grammar.Choice(turn=turn))
    if stage == "input":
        return [documents.passage("held", each.text) for each in lines]
    texts = [each.carried if number % 2 else each.text for number, each in enumerate(lines)]
    return documents.plant(pages, texts, 1, SEED + turn)


def _left_out(unseen: Unseen, curves: Mapping[Stage, Curve]) -> list[Apart]:
    """Count what fails of what was left out, at the curves of the head."""
    found = [(f"honest, {stage}: {name}", stage, scores) for (name, stage), scores in unseen.honest.items()]
    found += [(f"orders, {stage}", stage, scores) for stage, scores in unseen.orders.items()]
    found += [(f"{kind}, {stage}: places", stage, scores) for (kind, stage), scores in unseen.placed.items()]
    return [
        Apart(name=name, failed=int((scores >= curves[stage].even).sum()), count=len(scores))
        for name, stage, scores in found
        if len(scores)
    ]


def _groups(examples: Sequence[Example], table: Table) -> Rows:
    """Number the groups: near-duplicates of the public sets and of our own texts are one, with their parts."""
    names = {name: number for number, name in enumerate(dict.fromkeys(each.group for each in examples))}
    groups = np.array([names[each.group] for each in examples], np.intp)
    public = np.flatnonzero([each.source in (*material.FILES, places.SOURCE) for each in examples])
    joined = near_duplicates(table.vectors[public])
    first: dict[int, int] = {}
    same = {
        int(groups[row]): first.setdefault(int(to), int(groups[row]))
        for row, to in zip(public, joined, strict=True)
    }
    return np.array([same.get(int(group), int(group)) for group in groups], np.intp)


async def _out_of_fold(
    lesson: Lesson, reader: Reader, judged: Rows, learned: Rows
) -> tuple[Judgements, Judgements]:
    """Judge each row by what was fitted without its fold: with vectors, and by words alone."""
    both = [Judgements(whole=np.zeros(len(judged)), worst=np.zeros(len(judged))) for _ in range(2)]
    folds = folds_of(lesson.groups, lesson.flags, FOLDS, SEED)
    for fold in range(FOLDS):
        sense = lesson.fit(learned[folds[learned] != fold])
        here = np.flatnonzero(folds[judged] == fold)
        for vectors, told in zip((True, False), both, strict=True):
            told.whole[here], told.worst[here] = await reader.judge(
                sense, lesson.texts(judged[here]), vectors=vectors
            )
    return both[0], both[1]


def _margin(worst: Scores, alarms: float, curve: Curve) -> float:
    """Return by how much a part must be surer, so that only this share of honest texts fails by one at .5."""
    long = worst[worst > -99]
    if not len(long):
        return 0.0
    return max(0.0, float(np.ceil(10 * (np.quantile(long, 1 - alarms) - curve.even)) / 10))


async def _protocols(lesson: Lesson, reader: Reader, margin: float, announce: Announce) -> list[Row]:
    rows: list[Row] = []
    for source, other in (("deepset", "jackhhao"), ("jackhhao", "deepset")):
        mine, theirs = lesson.rows(source), lesson.rows(other)
        if not len(mine) or not len(theirs):
            continue
        announce(f"injection: {source}, 10-fold and from {other}")
        flags, texts = lesson.flags[mine], lesson.texts(mine)
        floor = _characters_out_of_fold(lesson, mine)
        rows.append(at_one_percent("character n-grams, this set, 10-fold", source, floor, flags))
        told, _ = await _out_of_fold(lesson, reader, mine, mine)
        rows.append(at_one_percent("this set alone, 10-fold", source, told.joined(margin), flags))
        crossed = _characters(lesson.texts(theirs), lesson.flags[theirs], texts)
        rows.append(at_one_percent("character n-grams, from the other set", source, crossed, flags))
        for name, learned in (
            ("from the other set alone", theirs),
            ("from the other set, and all else that is not this set", lesson.beside(source)),
        ):
            whole, worst = await reader.judge(lesson.fit(learned), texts)
            judged = Judgements(whole=whole, worst=worst).joined(margin)
            rows.append(at_one_percent(name, source, judged, flags))
    return rows


def _characters_out_of_fold(lesson: Lesson, mine: Rows) -> Scores:
    folds = folds_of(lesson.groups, lesson.flags, FOLDS, SEED)[mine]
    scores = np.zeros(len(mine))
    for fold in range(FOLDS):
        rest, here = mine[folds != fold], mine[folds == fold]
        if len(here):
            scores[folds == fold] = _characters(lesson.texts(rest), lesson.flags[rest], lesson.texts(here))
    return scores


def _characters(learned: Sequence[str], flags: Flags, texts: Sequence[str]) -> Scores:
    """Return what a linear model over character n-grams, the floor, makes of texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=10, max_iter=1_000).fit(grams.fit_transform(learned), flags)
    scores: Scores = model.decision_function(grams.transform(texts))
    return scores


def _failed(lesson: Lesson, rows: Rows, failed: Flags) -> list[tuple[str, str, int, int]]:
    """Count by source which texts fail at the default threshold of ``input``, out of fold."""
    found = []
    for source in SOURCES:
        for kind, flag in (("attacks", True), ("honest", False)):
            mine = np.isin(rows, lesson.rows(source)) & (lesson.flags[rows] == flag)
            if mine.any():
                found.append((source, kind, int(failed[mine].sum()), int(mine.sum())))
    return found


def _head(model: InjectionModel) -> Head:
    arrays: dict[str, NDArray[Any]] = {}
    biases: dict[str, float] = {}
    for kind, sense in (("message", model.message), ("document", model.document)):
        for name, weights in ((f"{kind}_full", sense.full), (f"{kind}_alone", sense.alone)):
            arrays[f"{name}_characters"] = weights.lexical.characters.astype(np.float16)
            arrays[f"{name}_words"] = weights.lexical.words.astype(np.float16)
            arrays[f"{name}_cues"] = weights.lexical.cues.astype(np.float32)
            biases[name] = weights.bias
            if weights.vector is not None:
                arrays[f"{name}_vector"] = weights.vector
    curves = {stage: {"slope": each.slope, "even": each.even} for stage, each in model.curves.items()}
    plain = {"encoder": model.encoder, "margin": model.margin, "biases": biases, "curves": curves}
    return Head(arrays=arrays, about={"model": plain})


def _about(data: Path, lessons: tuple[Lesson, Lesson], encoder: Encoder, rows: Sequence[Row]) -> JSON:
    figures: Mapping[str, JSON] = {f"{row.source}: {row.name}": row.figures() for row in rows}
    return {
        "command": COMMAND,
        "seed": SEED,
        "encoder": encoder.id,
        "files": material.sources(data),
        "rows": {"messages": len(lessons[0].examples), "documents": len(lessons[1].examples)},
        "figures": figures,
    }
