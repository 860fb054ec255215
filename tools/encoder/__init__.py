"""Sentence embeddings."""

from __future__ import annotations

from tools.encoder.opening import DEFAULT, open_encoder
from tools.encoder.ports import Encoder, Forgetful, TokenEncoder, Tokens, Vectors

__all__ = ["DEFAULT", "Encoder", "Forgetful", "TokenEncoder", "Tokens", "Vectors", "open_encoder"]
