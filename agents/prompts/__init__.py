"""What language models are told to do, as files: one for each task, known by the hash of its text.

The text of a file is protected: the guard on leaks holds back an answer that repeats six words in a row of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

FOLDER = Path(__file__).parent
VERSION_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """The instructions for one task."""

    name: str
    text: str

    @property
    def version(self) -> str:
        """Eight hexadecimal digits that change with the text."""
        return blake2b(self.text.encode(), digest_size=VERSION_BYTES).hexdigest()

    @property
    def id(self) -> str:
        """Name and version, such as ``draft@1f0c9a2b``."""
        return f"{self.name}@{self.version}"


@cache
def load_prompt(name: str) -> PromptFile:
    """Read the instructions of one task: ``load_prompt("draft")`` is the file ``draft.md``."""
    return PromptFile(name=name, text=(FOLDER / f"{name}.md").read_text("utf-8").strip())


@cache
def all_prompts() -> tuple[PromptFile, ...]:
    """Read the instructions of all tasks, by name."""
    return tuple(load_prompt(path.stem) for path in sorted(FOLDER.glob("*.md")))
