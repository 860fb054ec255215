"""An encoder without a model, for tests and offline examples."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from tools.encoder.ports import Tokens, Vectors, kept

_WORD = re.compile(r"\w+")


class HashingEncoder:
    """Counts words into hashed dimensions: texts are as similar as the words they share.

    The same on every machine and in every process. A text without words gets a vector of its own, so that
    every row has length 1.
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.id = f"hashing@1/{dimensions}"
        self.dimensions = dimensions

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as ``Encoder.encode`` says."""
        counts = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(counts, texts, strict=True):
            # Dimension 0 is kept for texts without words.
            for word in _WORD.findall(text.casefold()):
                row[1 + zlib.crc32(word.encode()) % (self.dimensions - 1)] += 1
            row[0] = 0.0 if row.any() else 1.0
        norms: Vectors = np.linalg.norm(counts, axis=1, keepdims=True)
        return counts / norms

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the words of each text, each with the vector it has alone, wherever it stands."""
        return [await self._words(text) for text in texts]

    async def _words(self, text: str) -> Tokens:
        words = list(_WORD.finditer(text))
        offsets = np.array([word.span() for word in words], dtype=np.int32).reshape(-1, 2)
        return kept(await self.encode([word[0] for word in words]), offsets)
