"""A classifier of short texts over sentence vectors and words, which also says whether any label fits at all.

One multinomial logistic regression on the sentence vector beside the text's weighted words. Its temperature and
its rejection are fitted by cross-validation in which a part of the examples *and* a part of the labels are
hidden at once: hidden examples of known labels show what belongs, hidden labels show what doesn't.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from tools.encoder.ports import Vectors

Array = NDArray[np.float64]
Labels = NDArray[np.int_]
_WORD = re.compile(r"\w+")
FITS_AT_ONCE = 2
"""Most of a fit runs outside of Python, so two at once use two cores."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts with their unit vectors, row by row."""

    texts: tuple[str, ...]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | Labels) -> Corpus:
        """Return some rows."""
        return Corpus(texts=tuple(self.texts[int(row)] for row in rows), vectors=self.vectors[rows])

    def plus(self, other: Corpus) -> Corpus:
        """Return these rows and the other's after them."""
        return Corpus(texts=self.texts + other.texts, vectors=np.vstack([self.vectors, other.vectors]))


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings:
    """How the classifier is fitted; ``design/router.md`` has the figures behind each value."""

    inverse_penalty: float = 10.0
    """scikit-learn's ``C``: larger trusts the examples more."""
    word_share: float = 0.2
    """Weight of the words' similarity beside that of the sentence vectors."""
    neighbours: int = 3
    """How many nearest examples speak for a text being in scope."""
    neighbour_share: float = 8.0
    """Logits per unit of cosine similarity to those examples."""
    outside_share: float = 0.5
    """Weight of the in-or-out regression, if examples from outside are given."""
    belonging: float = 0.9
    """Share of texts that are in scope where the classifier is used."""
    folds: int = 5


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a classifier thinks of one text."""

    probabilities: Array
    """Calibrated probability of each label, given that one of them is right; sums to 1."""
    in_scope: float
    """Probability, 0 to 1, that any label is right."""
    similar: Vectors
    """Similarity to each example that the classifier was fitted on."""


@dataclass(frozen=True, kw_only=True)
class TextClassifier:
    """Weights over sentence vector and words; make one with ``fit_classifier``."""

    model: ScopedModel
    temperature: float
    slope: float
    intercept: float
    """Of the logistic curve from scope score to probability."""

    def guess(self, text: str, vector: Vectors) -> Guess:
        """Judge one text with its unit vector of shape (dimensions,)."""
        return self.guess_all(Corpus(texts=(text,), vectors=vector[None, :]))[0]

    def guess_all(self, corpus: Corpus) -> list[Guess]:
        """Judge many texts at once."""
        logits, similar = self.model.logits(corpus), self.model.similar(corpus)
        odds = self.slope * self.model.scope(corpus, logits, similar) + self.intercept
        in_scope = 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))
        return [
            Guess(probabilities=row, in_scope=float(scope), similar=near)
            for row, scope, near in zip(_softmax(logits / self.temperature), in_scope, similar, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class LinearModel:
    """Logits that are linear in a sentence vector and in the words beside it."""

    vector_weights: Array
    word_weights: Array
    vocabulary: dict[str, int]
    inverse_frequency: Array
    word_scale: float
    bias: Array

    def __call__(self, corpus: Corpus) -> Array:
        """Return logits of shape (texts, outputs)."""
        words = np.stack([self._word_part(text) for text in corpus.texts])
        result: Array = corpus.vectors @ self.vector_weights + words + self.bias
        return result

    def _word_part(self, text: str) -> Array:
        columns, values = _weighed(text, self.vocabulary, self.inverse_frequency)
        result: Array = self.word_scale * (values @ self.word_weights[columns])
        return result


@dataclass(frozen=True, kw_only=True)
class ScopedModel:
    """One fit: label logits, and a score that is higher for what belongs."""

    labels: LinearModel
    outside: Array | None
    """Shape (dimensions,): points from the texts outside to the examples."""
    examples: Vectors
    settings: ClassifierSettings

    def logits(self, corpus: Corpus) -> Array:
        """Return shape (texts, labels)."""
        return self.labels(corpus)

    def similar(self, corpus: Corpus) -> Vectors:
        """Return shape (texts, examples)."""
        # This way round it takes two thirds of the time for a few texts.
        result: Vectors = (self.examples @ corpus.vectors.T).T
        return result

    def scope(self, corpus: Corpus, logits: Array, similar: Vectors) -> Array:
        """Return shape (texts,): the best label's logit, nearness to examples, and not being like outside."""
        count = min(self.settings.neighbours, len(self.examples))
        nearest = np.partition(similar, -count, axis=1)[:, -count:].mean(1)
        score: Array = logits.max(1) + self.settings.neighbour_share * nearest
        if self.outside is not None:
            score = score + self.settings.outside_share * (corpus.vectors @ self.outside)
        return score


def fit_classifier(
    examples: Corpus, labels: Sequence[int], outside: Corpus, *, settings: ClassifierSettings | None = None
) -> TextClassifier:
    """Fit on examples with their label numbers (each of 0, 1, ... at least once) and texts outside (may be none).

    CPU work: seconds for a hundred labels. Call it in a thread.
    """
    from threadpoolctl import threadpool_limits

    settings = settings or ClassifierSettings()
    y = np.asarray(labels)
    # The matrices are small: on a busy machine, BLAS threads that wait for each other took 15 times as long.
    with threadpool_limits(limits=1), ThreadPoolExecutor(FITS_AT_ONCE) as pool:
        fitting = pool.submit(_fit, examples, y, outside, settings)
        held = _cross_validate(examples, y, outside, settings, pool)
        model = fitting.result()
    slope, intercept = _logistic_curve(held.scope_inside, held.scope_outside, settings.belonging)
    return TextClassifier(
        model=model,
        temperature=_best_temperature(held.logits, held.truth),
        slope=slope,
        intercept=intercept,
    )


def _fit(examples: Corpus, y: Labels, outside: Corpus, settings: ClassifierSettings) -> ScopedModel:
    return ScopedModel(
        labels=_regress(examples, y, settings),
        outside=_away_from(outside.vectors, examples.vectors) if len(outside) else None,
        examples=examples.vectors,
        settings=settings,
    )


def _regress(corpus: Corpus, y: Labels, settings: ClassifierSettings) -> LinearModel:
    # Imported here: scikit-learn takes a second to import, and only fitting needs it.
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    vocabulary, inverse_frequency = _vocabulary(corpus.texts)
    scale = math.sqrt(settings.word_share)
    words = sparse.lil_array((len(corpus), len(vocabulary)), dtype=np.float32)
    for row, text in enumerate(corpus.texts):
        columns, values = _weighed(text, vocabulary, inverse_frequency)
        words[row, columns] = scale * values
    regression = LogisticRegression(C=settings.inverse_penalty, max_iter=200, tol=1e-3)
    # Few words stand in a text: beside some thousand of them, whole rows would be mostly zeros.
    regression.fit(sparse.hstack([sparse.csr_array(corpus.vectors), words], format="csr"), y)
    weights = np.asarray(regression.coef_, np.float64).T
    bias = np.asarray(regression.intercept_, np.float64)
    if weights.shape[1] == 1:
        weights, bias = np.hstack([-weights / 2, weights / 2]), np.r_[-bias / 2, bias / 2]
    dimensions = corpus.vectors.shape[1]
    return LinearModel(
        vector_weights=weights[:dimensions],
        word_weights=weights[dimensions:],
        vocabulary=vocabulary,
        inverse_frequency=inverse_frequency,
        word_scale=scale,
        bias=bias,
    )


def _away_from(outside: Vectors, inside: Vectors) -> Array:
    from sklearn.linear_model import LogisticRegression

    belongs = np.r_[np.zeros(len(outside)), np.ones(len(inside))]
    regression = LogisticRegression(class_weight="balanced").fit(np.vstack([outside, inside]), belongs)
    weights: Array = np.asarray(regression.coef_)[0]
    return weights


def _vocabulary(texts: Sequence[str]) -> tuple[dict[str, int], Array]:
    """Return each word's column and its smoothed inverse document frequency."""
    documents = Counter(word for text in texts for word in set(_WORD.findall(text.lower())))
    columns = {word: column for column, word in enumerate(sorted(documents))}
    frequency = np.array([documents[word] for word in columns], dtype=np.float64)
    inverse: Array = np.log((1 + len(texts)) / (1 + frequency)) + 1
    return columns, inverse


def _weighed(text: str, vocabulary: dict[str, int], inverse_frequency: Array) -> tuple[list[int], Array]:
    """Return the columns of a text's known words and their tf-idf weights, of length 1 together."""
    counts = Counter(vocabulary[word] for word in _WORD.findall(text.lower()) if word in vocabulary)
    columns = list(counts)
    values = (1 + np.log(np.array(list(counts.values()), dtype=np.float64))) * inverse_frequency[columns]
    result: Array = values / (np.linalg.norm(values) or 1.0)
    return columns, result


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    """What fits thought of examples that they had not seen."""

    logits: Array
    """Shape (texts, labels); a label that a fit did not know has a logit of -1000."""
    truth: Labels
    scope_inside: Array
    scope_outside: Array

    def plus(self, other: _HeldOut) -> _HeldOut:
        return _HeldOut(
            logits=np.vstack([self.logits, other.logits]),
            truth=np.r_[self.truth, other.truth],
            scope_inside=np.r_[self.scope_inside, other.scope_inside],
            scope_outside=np.r_[self.scope_outside, other.scope_outside],
        )


def _cross_validate(
    examples: Corpus, y: Labels, outside: Corpus, settings: ClassifierSettings, pool: Executor
) -> _HeldOut:
    random = np.random.default_rng(0)
    count = int(y.max()) + 1
    row_fold = _dealt(y, settings.folds, random)
    label_fold = random.permutation(np.arange(count) % settings.folds) if count >= 4 else np.full(count, -1)
    outside_fold = random.permutation(np.arange(len(outside)) % settings.folds)
    hold_out = partial(_hold_out, examples, y, outside, settings=settings)
    hidden = [(row_fold == fold, label_fold[y] == fold, outside_fold == fold) for fold in range(settings.folds)]
    return reduce(_HeldOut.plus, pool.map(lambda those: hold_out(*those), hidden))


def _hold_out(
    examples: Corpus,
    y: Labels,
    outside: Corpus,
    hidden: NDArray[np.bool_],
    strange: NDArray[np.bool_],
    hidden_outside: NDArray[np.bool_],
    settings: ClassifierSettings,
) -> _HeldOut:
    """Fit without the hidden rows and without all rows of the strange labels, and look at both."""
    rows = np.flatnonzero(~hidden & ~strange)
    known, renumbered = np.unique(y[rows], return_inverse=True)
    if len(known) < 2:
        none = np.zeros(0)
        return _HeldOut(logits=np.zeros((0, int(y.max()) + 1)), truth=y[:0], scope_inside=none, scope_outside=none)
    model = _fit(examples.take(rows), renumbered, outside.take(np.flatnonzero(~hidden_outside)), settings)
    test = np.flatnonzero(hidden & ~strange & np.isin(y, known))
    inside = examples.take(test)
    logits = np.full((len(test), int(y.max()) + 1), -1000.0)
    scope_inside = np.zeros(0)
    if len(test):
        logits[:, known] = model.logits(inside)
        scope_inside = model.scope(inside, logits[:, known], model.similar(inside))
    away = examples.take(np.flatnonzero(strange)).plus(outside.take(np.flatnonzero(hidden_outside)))
    scope_outside = model.scope(away, model.logits(away), model.similar(away)) if len(away) else np.zeros(0)
    return _HeldOut(logits=logits, truth=y[test], scope_inside=scope_inside, scope_outside=scope_outside)


def _dealt(y: Labels, folds: int, random: np.random.Generator) -> Labels:
    """Return a fold for each row, the rows of a label spread evenly."""
    fold = np.zeros(len(y), dtype=np.int_)
    for label in np.unique(y):
        rows = random.permutation(np.flatnonzero(y == label))
        fold[rows] = (np.arange(len(rows)) + random.integers(folds)) % folds
    return fold


def _logistic_curve(inside: Array, outside: Array, belonging: float) -> tuple[float, float]:
    """Return slope and intercept of the probability that a score comes from inside (Platt's method)."""
    if not len(inside) or not len(outside):
        return 0.0, 2.0
    from sklearn.linear_model import LogisticRegression

    target = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    scores = np.r_[inside, outside][:, None]
    weight = np.where(target == 1, belonging / len(inside), (1 - belonging) / len(outside)) * len(target)
    curve = LogisticRegression().fit(scores, target, sample_weight=weight)
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])


def _best_temperature(logits: Array, truth: Labels) -> float:
    """Return the temperature with the least log loss on held-out logits."""
    if not len(truth):
        return 1.0
    grid = np.geomspace(0.1, 5.0, 80)
    chosen = np.arange(len(truth))
    losses = [-np.log(_softmax(logits / each)[chosen, truth] + 1e-12).mean() for each in grid]
    return float(grid[int(np.argmin(losses))])


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    result: Array = powers / powers.sum(1, keepdims=True)
    return result
