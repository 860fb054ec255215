"""A judge of groundedness that is a cross-encoder, opened by name where it is installed.

It asks whether the cited sentences together entail a claim. Models with labels (contradiction, entailment,
neutral) and models with one score both fit. Nothing is fetched: naming a model that is not on this machine is a
mistake in the assistant's folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from policies.errors import ConfigError
from tools.guards.groundedness import Judge

MAX_TOKENS = 512


async def open_judge(name: str) -> Judge:
    """Load a cross-encoder in a worker thread; ``name`` is a folder or a model that was downloaded before.

    Imports torch, which takes seconds. Raises ``ConfigError``.
    """
    return await anyio.to_thread.run_sync(partial(_load, name))


class CrossEncoderJudge:
    """Asks a cross-encoder in a worker thread, one claim at a time."""

    def __init__(self, model: Any, entailment: int | None) -> None:
        self._model = model
        self._entailment = entailment
        self._turn = anyio.CapacityLimiter(1)

    async def __call__(self, claim: str, sources: Sequence[str]) -> float:
        """Return the probability, 0 to 1, that the sources bear the claim out."""
        given = partial(self._ask, claim, " ".join(sources))
        return await anyio.to_thread.run_sync(given, limiter=self._turn)

    def _ask(self, claim: str, source: str) -> float:
        import torch

        # Raw scores, whatever function the model names for them.
        row = self._model.predict(
            [(source, claim)], activation_fn=torch.nn.Identity(), show_progress_bar=False, convert_to_numpy=True
        )[0]
        scores = [float(each) for each in row.reshape(-1)]
        if self._entailment is None:
            return 1 / (1 + math.exp(-scores[0]))
        top = max(scores)
        return math.exp(scores[self._entailment] - top) / math.fsum(math.exp(each - top) for each in scores)


def _load(name: str) -> Judge:
    from sentence_transformers import CrossEncoder

    try:
        model = CrossEncoder(name, device="cpu", max_length=MAX_TOKENS, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"The model {name!r} that is to judge groundedness can't be loaded from this machine.",
            remedy="Download it first, for example with `hf download NAME`, or name its folder; "
            "or take the field out, and the trained part judges alone.",
            code="judge.missing",
        ) from error
    return CrossEncoderJudge(model, _entailment(name, model.model.config.id2label))


def _entailment(name: str, labels: dict[int, str]) -> int | None:
    """Return which label says that a claim is borne out; None for a model with one score."""
    if len(labels) == 1:
        return None
    found = [place for place, label in labels.items() if label.lower().startswith(("entail", "support"))]
    if not found:
        raise ConfigError(
            f"The model {name!r} has no label for entailment; its labels are: {', '.join(labels.values())}.",
            remedy="Name a model for natural language inference, or a cross-encoder with one score.",
            code="judge.unfit",
        )
    return found[0]
