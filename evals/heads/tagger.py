"""Learns a small network with one hidden layer, in numpy: what ``tools.guards.token_head`` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.encoder.ports import Vectors
from tools.guards.token_head import NEIGHBOURS, SHAPES, TAGS, with_neighbours

SQUEEZED = 128
"""How many numbers are kept of the encoder's for each word."""
HIDDEN = 128
EPOCHS = 8
_BATCH = 256
_RATE = 2e-3
_DROPPED_INPUT, _DROPPED_HIDDEN = 0.15, 0.35
_DECAY = 0.01
_SMOOTH = 0.3
"""Added to how much each squeezed number varies before that is evened out; small ones are mostly noise."""

Arrays = Mapping[str, NDArray[Any]]
Tags = NDArray[np.int64]


def fit(texts: Sequence[Vectors], tags: Sequence[Tags], weights: Sequence[float], seed: int) -> Arrays:
    """Learn from texts: the features of their words, as rows, and the tag of each word.

    ``weights`` says how much each text counts.
    """
    chance = np.random.default_rng(seed)
    meant = np.concatenate([rows[:, :-SHAPES] for rows in texts])
    mean, squeeze = _squeeze(meant[chance.permutation(len(meant))[:20_000]])
    seen = np.concatenate([_seen(rows, mean, squeeze) for rows in texts if len(rows)])
    weight = np.concatenate([np.full(len(its), each) for its, each in zip(tags, weights, strict=True)])
    layers = _learn(seen, np.concatenate(tags), weight.astype(np.float32), chance)
    names = ("hidden", "hidden_bias", "out", "out_bias")
    learned = {"mean": mean, "squeeze": squeeze, **dict(zip(names, layers, strict=True))}
    return {name: values.astype(np.float16) for name, values in learned.items()}


def _squeeze(meant: Vectors) -> tuple[Vectors, Vectors]:
    mean = meant.mean(axis=0)
    _, spread, directions = np.linalg.svd(meant - mean, full_matrices=False)
    spread = spread[:SQUEEZED] / np.sqrt(len(meant))
    return mean, (directions[:SQUEEZED].T / (spread + _SMOOTH * spread.mean())).astype(np.float32)


def _seen(rows: Vectors, mean: Vectors, squeeze: Vectors) -> Vectors:
    return with_neighbours(np.concatenate([(rows[:, :-SHAPES] - mean) @ squeeze, rows[:, -SHAPES:]], axis=1))


def _learn(seen: Vectors, tags: Tags, weight: Vectors, chance: np.random.Generator) -> list[Vectors]:
    """Descend by Adam with decaying steps; inputs and hidden numbers are dropped at random meanwhile."""
    width = (SQUEEZED + SHAPES) * (2 * NEIGHBOURS + 1)
    layers: list[Vectors] = [
        chance.normal(0, np.sqrt(2 / width), (width, HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN, np.float32),
        chance.normal(0, np.sqrt(1 / HIDDEN), (HIDDEN, len(TAGS))).astype(np.float32),
        np.zeros(len(TAGS), np.float32),
    ]
    first = [np.zeros_like(each) for each in layers]
    second = [np.zeros_like(each) for each in layers]
    batches = -(-len(seen) // _BATCH)
    for step in range(EPOCHS * batches):
        if step % batches == 0:
            order = np.array_split(chance.permutation(len(seen)), batches)
        batch = order[step % batches]
        slopes = _slopes(layers, seen[batch], tags[batch], weight[batch], chance)
        rate = _RATE * (1 - step / (EPOCHS * batches))
        for layer, its_first, its_second, slope in zip(layers, first, second, slopes, strict=True):
            its_first += 0.1 * (slope - its_first)
            its_second += 0.001 * (slope * slope - its_second)
            ahead = its_first / (1 - 0.9 ** (step + 1))
            layer -= rate * ahead / (np.sqrt(its_second / (1 - 0.999 ** (step + 1))) + 1e-8)
            if layer.ndim == 2:
                layer *= 1 - rate * _DECAY
    return layers


def _slopes(
    layers: Sequence[Vectors], seen: Vectors, tags: Tags, weight: Vectors, chance: np.random.Generator
) -> list[Vectors]:
    """Return the slope of the loss, cross-entropy, by each layer."""
    seen = seen * _kept(seen.shape, _DROPPED_INPUT, chance)
    sums = seen @ layers[0] + layers[1]
    through = (sums > 0) * _kept(sums.shape, _DROPPED_HIDDEN, chance)
    hidden = sums * through
    scores = hidden @ layers[2] + layers[3]
    wrong = np.exp(scores - scores.max(axis=1, keepdims=True))
    wrong /= wrong.sum(axis=1, keepdims=True)
    wrong[np.arange(len(tags)), tags] -= 1
    wrong *= weight[:, None] / len(tags)
    back = (wrong @ layers[2].T) * through
    return [seen.T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)]


def _kept(shape: tuple[int, ...], dropped: float, chance: np.random.Generator) -> Vectors:
    return (chance.random(shape, dtype=np.float32) >= dropped).astype(np.float32) / np.float32(1 - dropped)
