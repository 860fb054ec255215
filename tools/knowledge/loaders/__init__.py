"""From a file's bytes to a document: Markdown, HTML, PDF and plain text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from tools.knowledge.documents import LoadedDocument, Unreadable
from tools.knowledge.loaders import html, markdown, pdf, plain

MAX_BYTES = 20 * 1024 * 1024

_LOADERS: dict[str, Callable[[str, bytes], LoadedDocument]] = {
    ".md": markdown.load,
    ".mdx": markdown.load,
    ".markdown": markdown.load,
    ".html": html.load,
    ".htm": html.load,
    ".pdf": pdf.load,
    ".txt": plain.load,
    ".text": plain.load,
}
SUFFIXES = frozenset(_LOADERS)


def load(path: str, data: bytes) -> LoadedDocument:
    """Read one document; ``path`` is relative to its folder, with forward slashes.

    Raises ``Unreadable``, whose message says why in words for the document's author.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"It has {len(data):,} bytes, more than {MAX_BYTES:,}.", remedy="Split the document.")
    loader = _LOADERS.get(PurePosixPath(path).suffix.lower())
    if loader is None:
        raise Unreadable("This kind of file is not supported.", remedy="Use Markdown, HTML, PDF or plain text.")
    if not data.strip():
        raise Unreadable("It is empty.", remedy="Write it, or remove it.")
    document = loader(path, data)
    if not document.blocks:
        raise Unreadable(
            "There is no text in it.", remedy="A scanned PDF must be put through text recognition first."
        )
    return document
