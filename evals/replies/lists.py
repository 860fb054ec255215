"""The words with which good replies are made bad; they stand in ``words.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict

_FILE = Path(__file__).with_name("words.yaml")


class Names(BaseModel):
    """Names of one sort: those that replies have, and others that may take their place too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    known: tuple[str, ...]
    others: tuple[str, ...] = ()


class Change(NamedTuple):
    """A pattern, and what takes the place of what it matches."""

    pattern: str
    replacement: str


class Words(BaseModel):
    """Everything in ``words.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[Names, ...]
    negation: tuple[Change, ...]
    modality: tuple[Change, ...]
    placeholders: dict[str, tuple[str, ...]]
    injections: tuple[str, ...]
    additions: tuple[str, ...]
    still_true: frozenset[str]
    """Ids of changed sentences that were read and found to hold after all, or to be no English."""


@cache
def words() -> Words:
    """Read the lists once."""
    return Words.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
