"""Trains the head of the guard against injections, and measures it where it has not learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.heads import injection_data as material
from evals.heads.base import COMMAND, Announce, Trained
from evals.heads.folds import folds_of, near_duplicates
from evals.heads.injection_data import Example, flags_of
from evals.heads.injection_fit import Flags, Pair, Reader, Rows, Scores, Table, calibrate, fit
from evals.heads.injection_report import Row, at_one_percent, held_apart, page
from policies.types import JSON
from tools.encoder.ports import Encoder
from tools.guards.head import Head
from tools.guards.injection import NAME, THRESHOLDS, model_of

SEED = 20_261
FOLDS = 10
SOURCES = ("deepset", "jackhhao", "own", "questions", "articles", "documents")
"""Whose whole texts are judged out of fold; the last two are documents, the others messages."""
LONG_ALARMS, DOCUMENT_ALARMS = 0.005, 0.01
"""The share of long honest messages, and of honest documents, that may fail by one of their parts alone."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All that is learned, with its features."""

    examples: tuple[Example, ...]
    table: Table
    groups: Rows

    @property
    def flags(self) -> Flags:
        """Which examples are attacks."""
        return flags_of(self.examples)

    def rows(self, *sources: str) -> Rows:
        """Return the whole texts of some sources."""
        return np.flatnonzero([each.source in sources for each in self.examples])

    def beside(self, *sources: str) -> Rows:
        """Return all that is not of these public sets, nor a part of their texts."""
        away = {*sources, *(f"parts of {each}" for each in sources)}
        return np.flatnonzero([each.source not in away for each in self.examples])

    def fit(self, rows: Rows) -> Pair:
        """Fit on some rows."""
        return fit(self.table, rows, self.flags, np.array([each.weight for each in self.examples]))

    def texts(self, rows: Rows) -> list[str]:
        """Return the texts of some rows."""
        return [self.examples[int(row)].text for row in rows]


@dataclass(frozen=True, kw_only=True)
class Margins:
    """How much surer a part must be than a text of its own, in logits."""

    message: float
    document: float


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """Logits out of fold: of texts as wholes, and of their worst units."""

    whole: Scores
    worst: Scores

    def joined(self, margin: float) -> Scores:
        """Return the logits that the guard would give at ``input``."""
        return np.maximum(self.whole, self.worst - margin)


async def train(data: Path, encoder: Encoder, announce: Announce) -> Trained:
    """Train on all of the data; every figure is from texts that what gave it had not learned."""
    announce("injection: reading and encoding the examples")
    reader = Reader(encoder=encoder)
    lesson = await _lesson(data, reader)
    announce(f"injection: {len(lesson.examples):,} examples; {FOLDS} folds over all of them")
    everything = lesson.rows(*SOURCES)
    together, wordy = await _out_of_fold(lesson, reader, everything, lesson.beside())
    short = np.isin(everything, lesson.rows(*SOURCES[:-2]))
    curve = calibrate(together.whole[short], lesson.flags[everything[short]])
    messages = together.worst[short & ~lesson.flags[everything]]
    documents = together.worst[~short]
    margins = Margins(
        message=_margin(messages, LONG_ALARMS, curve), document=_margin(documents, DOCUMENT_ALARMS, curve)
    )
    margin = margins.message
    scores = together.joined(margin)
    announce("injection: fitting the head that ships")
    head = _head(lesson.fit(lesson.beside()), encoder, margins, curve)
    model = model_of(head)
    rows = await _protocols(lesson, reader, margin, announce)
    for source in material.FILES:
        mine = np.isin(everything, lesson.rows(source))
        for name, told in (("all data, 10-fold", together), ("all data, 10-fold, words alone", wordy)):
            rows.append(at_one_percent(name, source, told.joined(margin)[mine], lesson.flags[everything[mine]]))
    announce("injection: honest questions, documents and planted texts")
    probabilities = np.array([model.probability(each) for each in scores])
    apart = await held_apart(data, encoder, model, SEED)
    failed = _at_thresholds(lesson, everything, probabilities)
    by_part = together.worst[~short] - margins.document
    failed.append(("documents, as passages", "honest", int((by_part >= _even(curve)).sum()), len(by_part)))
    report = page(rows, failed, apart, (margins.message, margins.document))
    about = _about(data, lesson, encoder, rows)
    return Trained(name=NAME, head=Head(arrays=head.arrays, about={**about, **head.about}), report=report)


async def _lesson(data: Path, reader: Reader) -> Lesson:
    told = [each for source in material.FILES for each in material.public(data, source)]
    examples = tuple(material.with_parts([*told, *material.honest(data)], SEED) + material.own(SEED))
    table = await reader.table([each.text for each in examples])
    return Lesson(examples=examples, table=table, groups=_groups(examples, table))


def _groups(examples: Sequence[Example], table: Table) -> Rows:
    """Number the groups: near-duplicates of the public sets are one, with all of their parts."""
    names = {name: number for number, name in enumerate(dict.fromkeys(each.group for each in examples))}
    groups = np.array([names[each.group] for each in examples], np.intp)
    public = np.flatnonzero([each.source in material.FILES for each in examples])
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
        pair = lesson.fit(learned[folds[learned] != fold])
        here = np.flatnonzero(folds[judged] == fold)
        for vectors, told in zip((True, False), both, strict=True):
            told.whole[here], told.worst[here] = await reader.judge(
                pair, lesson.texts(judged[here]), vectors=vectors
            )
    return both[0], both[1]


def _margin(worst: Scores, alarms: float, curve: tuple[float, float]) -> float:
    """Return by how much a part must be surer, so that only this share of honest texts fails by one at .5."""
    long = worst[worst > -99]
    if not len(long):
        return 0.0
    return max(0.0, float(np.ceil(10 * (np.quantile(long, 1 - alarms) - _even(curve))) / 10))


def _even(curve: tuple[float, float]) -> float:
    """Return the logit that means a probability of one half."""
    return -curve[1] / curve[0]


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
        for name, learned in (
            ("this set alone, 10-fold", mine),
            ("this set, own and honest examples, 10-fold", lesson.beside(other)),
        ):
            told, _ = await _out_of_fold(lesson, reader, mine, learned)
            rows.append(at_one_percent(name, source, told.joined(margin), flags))
        crossed = _characters(lesson.texts(theirs), lesson.flags[theirs], texts)
        rows.append(at_one_percent("character n-grams, from the other set", source, crossed, flags))
        for name, learned in (
            ("from the other set alone", theirs),
            ("from the other set, own and honest examples", lesson.beside(source)),
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


def _at_thresholds(lesson: Lesson, rows: Rows, probabilities: Scores) -> list[tuple[str, str, int, int]]:
    """Count by source which texts fail at the default threshold of ``input``, out of fold."""
    found = []
    for source in SOURCES:
        for kind, flag in (("attacks", True), ("honest", False)):
            mine = np.isin(rows, lesson.rows(source)) & (lesson.flags[rows] == flag)
            if mine.any():
                failed = int((probabilities[mine] >= THRESHOLDS["input"]).sum())
                found.append((source, kind, failed, int(mine.sum())))
    return found


def _head(pair: Pair, encoder: Encoder, margins: Margins, curve: tuple[float, float]) -> Head:
    arrays: dict[str, NDArray[Any]] = {}
    for name, weights in (("full", pair.full), ("alone", pair.alone)):
        arrays[f"{name}_characters"] = weights.lexical.characters.astype(np.float16)
        arrays[f"{name}_words"] = weights.lexical.words.astype(np.float16)
        arrays[f"{name}_cues"] = weights.lexical.cues.astype(np.float32)
    if pair.full.vector is not None:
        arrays["full_vector"] = pair.full.vector
    plain = {
        "encoder": encoder.id.split("/")[0],
        "margin": margins.message,
        "document_margin": margins.document,
        "slope": curve[0],
        "intercept": curve[1],
        "full_bias": pair.full.bias,
        "alone_bias": pair.alone.bias,
    }
    return Head(arrays=arrays, about={"model": plain})


def _about(data: Path, lesson: Lesson, encoder: Encoder, rows: Sequence[Row]) -> JSON:
    figures: Mapping[str, JSON] = {f"{row.source}: {row.name}": row.figures() for row in rows}
    return {
        "command": COMMAND,
        "seed": SEED,
        "encoder": encoder.id,
        "files": material.sources(data),
        "rows": {"learned": len(lesson.examples), "own": len(lesson.rows("own"))},
        "figures": figures,
    }
