"""The phrases that guards look for, read from the files that ship beside the code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

import policies
from policies.promises import Prohibition, Sets

FOLDER = Path(policies.__file__).parent / "wordings"


@dataclass(frozen=True, kw_only=True)
class Wording:
    """One file of phrases."""

    sets: Sets
    """The words that phrases name in braces."""
    prohibitions: tuple[Prohibition, ...]


@cache
def load_wording(name: str) -> Wording:
    """Read a shipped file of phrases: ``promises``, ``tone`` or ``leaks``."""
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return Wording(
        sets={str(key): tuple(map(str, words)) for key, words in data["sets"].items()},
        prohibitions=tuple(
            Prohibition(
                id=each["id"],
                reason=each["reason"],
                says=tuple(map(str, each["says"])),
                matches=each.get("matches"),
                allows=tuple(map(str, each.get("allows", ()))),
                unless=each.get("unless", "quoted"),
            )
            for each in data["prohibitions"]
        ),
    )
