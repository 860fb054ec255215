"""Parts for cross-validation in which near-duplicates never stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.encoder.ports import Vectors

Rows = NDArray[np.intp]
NEAR = 0.95
"""Texts whose vectors' cosine is above this are near-duplicates."""


def near_duplicates(vectors: Vectors, near: float = NEAR) -> Rows:
    """Return a group for each row: rows are in one group if a chain of near-duplicates joins them."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    groups: Rows = connected_components(csr_matrix(vectors @ vectors.T > near), directed=False)[1].astype(np.intp)
    return groups


def folds_of(groups: Rows, flags: NDArray[np.bool_], count: int, seed: int) -> Rows:
    """Give each row a fold: groups stay whole, and each fold gets about as many of either kind."""
    names, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros((2, count))
    folds = np.zeros(len(groups), np.intp)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        mine = groups == names[group]
        kind = int(flags[mine].mean() > 0.5)
        emptiest = int(np.argmin(load[kind]))
        load[kind, emptiest] += sizes[group]
        folds[mine] = emptiest
    return folds


def threshold_at(scores: Sequence[float] | NDArray[np.float64], flags: NDArray[np.bool_], alarms: float) -> float:
    """Return the score above which at most a share ``alarms`` of the unflagged rows lie."""
    honest = np.sort(np.asarray(scores)[~flags])[::-1]
    return float(honest[int(alarms * len(honest))])
