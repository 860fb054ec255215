"""Sentence embeddings."""

from __future__ import annotations

from tools.encoder.opening import DEFAULT, open_encoder
from tools.encoder.ports import Encoder, TokenEncoder, Tokens, Vectors

__all__ = ["DEFAULT", "Encoder", "TokenEncoder", "Tokens", "Vectors", "open_encoder"]
