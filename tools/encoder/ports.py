"""The ports for sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Offsets = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The pieces of one text as a model reads them; what it does not read of a long text is missing."""

    vectors: Vectors
    """What each piece means where it stands, one row for each, of no particular length."""
    offsets: Offsets
    """Where each stands in the text, as start and end in characters."""


def kept(vectors: Vectors, offsets: Offsets) -> Tokens:
    """Return tokens that nobody can write to: they are shared by all who ask for them."""
    vectors.flags.writeable = offsets.flags.writeable = False
    return Tokens(vectors=vectors, offsets=offsets)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What one pass over texts gives."""

    vectors: Vectors
    """As ``Encoder.encode`` gives them."""
    matching: Vectors
    """Of the same shape: by these, questions are compared with each other and with what answers them."""


@dataclass(frozen=True, kw_only=True)
class Read(Encoded):
    """What one pass over texts gives that also tells their pieces."""

    tokens: list[Tokens]
    """As ``TokenEncoder.tokens`` gives them."""


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


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """An encoder that can also say what each piece of a text means.

    The same pass gives both: ``encode`` of a text whose tokens were asked for a moment ago costs nothing.
    """

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the pieces of each text; they belong to everybody and can't be written to."""
        ...


@runtime_checkable
class MatchingEncoder(Encoder, Protocol):
    """An encoder that also reads questions and what answers them as neighbours.

    The same pass gives both: ``encode`` of a text that was matched a moment ago costs nothing, nor the reverse.
    """

    async def encoded(self, texts: Sequence[str]) -> Encoded:
        """Return both kinds of unit vectors; one must not be compared with the other."""
        ...


async def encoded(encoder: Encoder, texts: Sequence[str]) -> Encoded:
    """Return both kinds of vectors of texts; they are the same where an encoder knows one kind."""
    if isinstance(encoder, MatchingEncoder):
        return await encoder.encoded(texts)
    vectors = await encoder.encode(texts)
    return Encoded(vectors=vectors, matching=vectors)


async def matching(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return the vectors by which questions are compared with each other and with what answers them."""
    return (await encoded(encoder, texts)).matching


@runtime_checkable
class Forgetful(Protocol):
    """What remembers something of recent texts in memory, and can drop it."""

    def forget(self) -> None:
        """Drop it, as after an erasure."""
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

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode one or more texts, blocking."""
        ...

    def read(self, texts: Sequence[str]) -> Read:
        """Encode one or more texts, blocking, and give their pieces too."""
        ...
