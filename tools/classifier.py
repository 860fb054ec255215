"""A small intent classifier over sentence vectors: probabilities of the labels and of any label at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.encoder.ports import Vectors

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a classifier thinks of one text."""

    probabilities: Array
    """Calibrated probability of each label, given that one of them is right; sums to 1."""
    in_scope: float
    """Probability, 0 to 1, that any label is right."""


@dataclass(frozen=True, kw_only=True)
class IntentClassifier:
    """Linear scores over a sentence vector, with a temperature and a rejection score."""

    weights: Array
    """Shape (dimensions + 1, labels); the last row is the bias."""
    temperature: float
    examples: Vectors
    outside: Vectors
    scope: Array
    """Weights of the rejection features, bias last."""

    def guess(self, vector: Vectors) -> Guess:
        """Judge one unit vector of shape (dimensions,)."""
        logits = _with_bias(vector[None, :].astype(np.float64)) @ self.weights
        features = _scope_features(logits, vector[None, :], self.examples, self.outside)
        odds = (_with_bias(features) @ self.scope)[0]
        return Guess(
            probabilities=_softmax(logits / self.temperature)[0],
            in_scope=float(1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30)))),
        )


def fit_classifier(vectors: Vectors, labels: Sequence[int], outside: Vectors) -> IntentClassifier:
    """Fit on unit vectors of examples, their label numbers (0, 1, ...) and vectors out of scope (may be none)."""
    y = np.asarray(labels)
    weights = _logistic(vectors, y)
    held, held_scope, pseudo = _cross_validate(vectors, y, outside)
    temperature = _best_temperature(held, y)
    features = np.vstack([held_scope, pseudo])
    target = np.r_[np.ones(len(held_scope)), np.zeros(len(pseudo))]
    return IntentClassifier(
        weights=weights,
        temperature=temperature,
        examples=vectors,
        outside=outside,
        scope=_platt(features, target),
    )


def _logistic(vectors: Vectors, y: NDArray[np.int_]) -> Array:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=300).fit(vectors, y)
    coefficients, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(coefficients) == 1:
        coefficients, bias = np.vstack([-coefficients, coefficients]) / 2, np.r_[-bias, bias] / 2
    result: Array = np.vstack([coefficients.T, bias])
    return result


def _cross_validate(vectors: Vectors, y: NDArray[np.int_], outside: Vectors) -> tuple[Array, Array, Array]:
    """Return held-out logits and rejection features of the examples, and the features of texts outside."""
    rng = np.random.default_rng(0)
    count = int(y.max()) + 1
    fold = _folds(y, 3, rng)
    held = np.zeros((len(y), count))
    inside = np.zeros((len(y), 2))
    for number in range(3):
        test = fold == number
        logits = np.full((int(test.sum()), count), -30.0)
        seen, inverse = np.unique(y[~test], return_inverse=True)
        logits[:, seen] = _with_bias(vectors[test].astype(np.float64)) @ _logistic(vectors[~test], inverse)
        held[test] = logits
        inside[test] = _scope_features(logits, vectors[test], vectors[~test], outside)
    away = []
    half = rng.permutation(count) % 2 if count >= 4 else np.zeros(count, dtype=int)
    for number in range(2 if count >= 4 else 0):
        known = half[y] == number
        _, inverse = np.unique(y[known], return_inverse=True)
        logits = _with_bias(vectors[~known].astype(np.float64)) @ _logistic(vectors[known], inverse)
        away.append(_scope_features(logits, vectors[~known], vectors[known], outside))
    if len(outside):
        logits = _with_bias(outside.astype(np.float64)) @ _logistic(vectors, y)
        away.append(_scope_features(logits, outside, vectors, outside, skip_self=True))
    return held, inside, np.vstack(away) if away else np.zeros((0, 2))


def _folds(y: NDArray[np.int_], count: int, rng: np.random.Generator) -> NDArray[np.int_]:
    fold = np.zeros(len(y), dtype=int)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = np.arange(len(rows)) % count
    return fold


def _scope_features(
    logits: Array, vectors: Vectors, examples: Vectors, outside: Vectors, *, skip_self: bool = False
) -> Array:
    """Return (texts, 2): the best logit, and how much nearer the best example is than what lies outside."""
    near = (vectors @ examples.T).max(1)
    if not len(outside):
        return np.stack([logits.max(1), 10 * near], axis=1)
    away = vectors @ outside.T
    if skip_self:
        np.fill_diagonal(away, -1.0)
    return np.stack([logits.max(1), 10 * (near - 0.5 * np.maximum(away.max(1), 0.0))], axis=1)


def _platt(features: Array, target: Array) -> Array:
    if len(np.unique(target)) < 2:
        return np.r_[np.zeros(features.shape[1]), 2.0]
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(class_weight="balanced").fit(features, target)
    result: Array = np.r_[model.coef_[0], model.intercept_[0]]
    return result


def _best_temperature(logits: Array, y: NDArray[np.int_]) -> float:
    grid = np.geomspace(0.05, 5.0, 60)
    losses = [-np.log(_softmax(logits / t)[np.arange(len(y)), y] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    result: Array = powers / powers.sum(1, keepdims=True)
    return result


def _with_bias(rows: Array) -> Array:
    result: Array = np.hstack([rows, np.ones((len(rows), 1))])
    return result
