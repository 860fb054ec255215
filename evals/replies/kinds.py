"""What can be wrong with a reply, and the two halves that the articles fall into."""

from __future__ import annotations

from typing import Literal

Split = Literal["tune", "judge"]
SPLITS: tuple[Split, ...] = ("tune", "judge")
Wording = Literal["free", "near"]
"""Whether a good reply has words of its own, or keeps to those of the article as our prompt asks a model to."""
GOOD = "good"
CHANGED = ("number", "date", "name", "negation", "modality")
"""Kinds that change one sentence and need nothing else."""
KINDS = (*CHANGED, "wrong_article", "placeholder", "injection", "compound")
