"""Any sentence-transformers model by name or folder, run by torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from policies.errors import ConfigError
from tools.encoder.ports import Encoded, Read, Tokens, Vectors, kept

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SentenceTransformerModel:
    """Loads a model when made, which blocks for seconds and may download it.

    Its ``id`` holds a digest of the weights: a model that is published anew under its name gets another one.
    Raises ``ConfigError`` if there is no such model.
    """

    def __init__(self, name: str) -> None:
        self._model = _load(name)
        self.id = f"{name}@{_digest(self._model)[:12]}/torch"
        self.dimensions = self._vectors(["dimensions"]).shape[1]

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as ``Model.encode`` says; it is not known to read questions in a way of their own."""
        vectors = self._vectors(texts)
        return Encoded(vectors=vectors, matching=vectors)

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    def read(self, texts: Sequence[str]) -> Read:
        """Encode texts and give their pieces as ``Model.read`` says, in two passes."""
        states = self._model.encode(list(texts), output_value="token_embeddings", show_progress_bar=False)
        tokens = [self._tokens(text, np.asarray(its)) for text, its in zip(texts, states, strict=True)]
        vectors = self._vectors(texts)
        return Read(vectors=vectors, matching=vectors, tokens=tokens)

    def _tokens(self, text: str, states: Vectors) -> Tokens:
        """Return the pieces of a text; none where the model's tokenizer can't say where they stand."""
        if not getattr(self._model.tokenizer, "is_fast", False):
            return kept(np.empty((0, states.shape[1]), np.float32), np.empty((0, 2), np.int32))
        # Cut as the model cuts: its rows say how far it read.
        pieces = self._model.tokenizer(
            text,
            truncation=True,
            max_length=self._model.max_seq_length,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        own = [n for n, special in enumerate(pieces["special_tokens_mask"]) if not special and n < len(states)]
        offsets = np.array([pieces["offset_mapping"][n] for n in own], dtype=np.int32).reshape(-1, 2)
        return kept(np.array(states[own], dtype=np.float32), offsets)


def _load(name: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(name)
    except (OSError, ValueError) as error:
        remedy = "Name a folder or a published sentence-transformers model; a first download needs the network."
        raise ConfigError(f"The encoder {name!r} can't be loaded: {error}", remedy=remedy) from error


def _digest(model: SentenceTransformer) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        # As bytes: numpy does not know every type of torch.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
