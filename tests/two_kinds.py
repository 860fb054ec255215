"""An encoder whose two kinds of vectors can be told apart, as the fake's can't."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Encoded


class TwoKindsEncoder(HashingEncoder):
    """Hashes words; for matching, into other dimensions."""

    async def encoded(self, texts: Sequence[str]) -> Encoded:
        """Return both kinds: of one text they have nothing in common, and each is like its own kind."""
        vectors = await self.encode(texts)
        return Encoded(vectors=vectors, matching=np.roll(vectors, self.dimensions // 2, axis=1))
