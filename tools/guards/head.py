"""What a trained part learned, kept beside the code: arrays and JSON, so that loading runs no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import ConfigError

FOLDER = Path(__file__).with_name("heads")
MOST_BYTES = 2_000_000
"""How large the files of one head may be together."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A trained part: its numbers, and whence they are."""

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]
    """Command, seed, encoder, and digest and licence of each data file."""


def load_head(name: str, folder: Path = FOLDER) -> Head:
    """Load a head; raises ``ConfigError`` when its files are missing or damaged."""
    try:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        about = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"The trained part {name!r} in {folder} can't be read: {error}.",
            remedy="Install Handrail again, or make it anew with `make heads DATA=folder`.",
            code="head.unreadable",
        ) from error
    return Head(arrays=arrays, about=about)


def save_head(name: str, head: Head, folder: Path = FOLDER) -> int:
    """Write a head's two files, each whole or not at all; return their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers, about = folder / f"{name}.npz", folder / f"{name}.json"
    scratch = folder / f".{name}.tmp.npz"
    np.savez_compressed(scratch, allow_pickle=False, **head.arrays)
    os.replace(scratch, numbers)
    text = folder / f".{name}.tmp.json"
    text.write_text(json.dumps(head.about, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    os.replace(text, about)
    size = numbers.stat().st_size + about.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"the head {name!r} has {size} bytes, more than {MOST_BYTES}")
    return size
