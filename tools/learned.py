"""What a classifier learned, kept in a file: arrays and JSON, never objects, so that loading runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tools import classifier
from tools.classifier import ClassifierSettings, LinearModel, ScopedModel, TextClassifier


def lesson_key(encoder: str, texts: Sequence[str], labels: Sequence[int], outside: Sequence[str]) -> str:
    """Name a lesson by everything that shapes what is learned, the recipe's own source among it."""
    recipe = hashlib.sha256(Path(classifier.__file__).read_bytes()).hexdigest()
    lesson = json.dumps([encoder, list(texts), list(labels), list(outside), recipe])
    return hashlib.sha256(lesson.encode()).hexdigest()[:32]


def load(path: Path) -> TextClassifier | None:
    """Return what ``save`` wrote, or None if there is no such file or it can't be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _unpacked({name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def save(path: Path, fitted: TextClassifier) -> None:
    """Write the file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **_packed(fitted))
    scratch.replace(path)


def _packed(fitted: TextClassifier) -> dict[str, Any]:
    labels = fitted.model.labels
    plain = {
        "vocabulary": labels.vocabulary,
        "word_scale": labels.word_scale,
        "settings": asdict(fitted.model.settings),
        "curve": [fitted.temperature, fitted.slope, fitted.intercept],
    }
    arrays = {
        "examples": fitted.model.examples,
        "vector_weights": labels.vector_weights,
        "word_weights": labels.word_weights,
        "inverse_frequency": labels.inverse_frequency,
        "bias": labels.bias,
        "plain": np.array(json.dumps(plain)),
    }
    return arrays if fitted.model.outside is None else {**arrays, "outside": fitted.model.outside}


def _unpacked(arrays: dict[str, Any]) -> TextClassifier:
    plain = json.loads(str(arrays["plain"]))
    temperature, slope, intercept = plain["curve"]
    labels = LinearModel(
        vector_weights=arrays["vector_weights"],
        word_weights=arrays["word_weights"],
        vocabulary=plain["vocabulary"],
        inverse_frequency=arrays["inverse_frequency"],
        word_scale=plain["word_scale"],
        bias=arrays["bias"],
    )
    model = ScopedModel(
        labels=labels,
        outside=arrays.get("outside"),
        examples=arrays["examples"],
        settings=ClassifierSettings(**plain["settings"]),
    )
    return TextClassifier(model=model, temperature=temperature, slope=slope, intercept=intercept)
