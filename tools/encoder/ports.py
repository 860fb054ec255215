"""The ports for sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def id(self) -> str:
        """Name and digest of model and precision: vectors of different ids must not be mixed."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts; the result has shape (len(texts), dimensions), rows of length 1."""
        ...


class Model(Protocol):
    """What a ``BatchingEncoder`` runs in its worker thread, one call at a time."""

    @property
    def id(self) -> str:
        """As ``Encoder.id``."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode one or more texts, blocking; the result is as that of ``Encoder.encode``."""
        ...
