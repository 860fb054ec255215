"""A new assistant's folder."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from policies.errors import ConfigError


def write_assistant(folder: Path) -> list[Path]:
    """Write a small assistant that loads and answers; returns the files written.

    Raises ``ConfigError`` when the folder has something in it already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty.", remedy="Name a new folder.")
    template = files("handrail") / "samples" / "blank"
    written = []
    for path in _below(Path(str(template))):
        target = folder / path.relative_to(str(template))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        written.append(target)
    return written


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
