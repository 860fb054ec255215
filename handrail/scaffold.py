"""A new assistant's folder."""

from __future__ import annotations

import shlex
import shutil
import sys
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


def command(verb: str, assistant: Path, data: Path) -> str:
    """Return a command line to copy, for this assistant and this data folder."""
    return shlex.join([program(), verb, "--assistant", str(assistant), "--data", str(data)])


def program() -> str:
    """Return how this user calls ``handrail``: by its path where the shell does not find it by name."""
    called = sys.argv[0]
    return called if Path(called).name == "handrail" and not shutil.which("handrail") else "handrail"


def data_beside(assistant: Path) -> Path:
    """Return where the data of a new assistant may go: ``my-data`` beside ``my-assistant``."""
    folder = assistant if assistant.name not in ("", "..") else assistant.resolve()
    return folder.with_name(f"{folder.name.removesuffix('-assistant')}-data")


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
