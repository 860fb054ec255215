"""What a loader makes of a file, and a record that is a document already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policies.errors import InputError
from policies.types import Audience

BlockKind = Literal["prose", "header", "row", "code"]


class Unreadable(InputError):
    """A document cannot be read; ingest reports it and goes on with the others."""

    code = "knowledge.unreadable"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of a document that belongs together: a paragraph, a list item, a table row."""

    start: int
    end: int
    heading: str
    """Headings above it, outermost first, joined by `` > ``; the document's title is left out."""
    kind: BlockKind = "prose"


@dataclass(frozen=True, kw_only=True)
class LoadedDocument:
    """A document in the form that is chunked, stored and cited."""

    path: str
    title: str
    audience: Audience
    media_type: str
    text: str
    """For Markdown and plain text the file's own characters; for HTML and PDF the text taken out of it."""
    blocks: tuple[Block, ...]
    whole: bool = False
    """Keep the document as one chunk, whatever its length."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A ready document, as evaluation data sets have them: it becomes one chunk under its own id."""

    id: str
    text: str
    title: str = ""
    audience: Audience = "customer"


def audience_of(value: object, path: str) -> Audience:
    """Read an audience that a document declares; below a folder ``staff`` it is always staff.

    Raises ``Unreadable`` for a value that is neither, so that a slip of the pen publishes nothing.
    """
    named = str(value).strip().lower() if value is not None else "customer"
    if named not in ("customer", "staff"):
        raise Unreadable(f"Its audience is {value!r}.", remedy="Use customer or staff.")
    return "staff" if named == "staff" or "staff" in path.split("/")[:-1] else "customer"
