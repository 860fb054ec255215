"""Sentence embeddings."""

from __future__ import annotations

from tools.encoder.opening import DEFAULT, open_encoder
from tools.encoder.ports import Encoder, Vectors

__all__ = ["DEFAULT", "Encoder", "Vectors", "open_encoder"]
