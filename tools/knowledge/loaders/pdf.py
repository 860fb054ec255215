"""PDF: the text that pypdf takes out, with lines joined to paragraphs again."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Mapping
from typing import Any

from tools.knowledge.documents import LoadedDocument, Unreadable, audience_of
from tools.knowledge.loaders.plain import blocks, is_heading, title_from

MAX_PAGES = 2000

_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_AUDIENCE = re.compile(r"audience\s*[:=]\s*(\w+)", re.I)
# A line shorter than this share of the longest one, and with a full stop, ends its paragraph.
_SHORT = 0.75


def load(path: str, data: bytes) -> LoadedDocument:
    """Read a PDF; the keyword ``audience: staff`` in its properties keeps it from customers."""
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("It is locked with a password.", remedy="Save it without one.")
        if len(reader.pages) > MAX_PAGES:
            raise Unreadable(f"It has {len(reader.pages):,} pages, more than {MAX_PAGES:,}.", remedy="Split it.")
        text = "\n\n".join(filter(None, (_page(page.extract_text()) for page in reader.pages)))
        about: Mapping[str, Any] = reader.metadata or {}
        title, keywords = str(about.get("/Title") or "").strip(), str(about.get("/Keywords") or "")
    except Unreadable:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise Unreadable(f"It is not a readable PDF ({error}).", remedy="Print it to a new PDF.") from error
    named = _AUDIENCE.search(keywords)
    return LoadedDocument(
        path=path,
        title=title or title_from(path),
        audience=audience_of(named.group(1) if named else None, path),
        media_type="application/pdf",
        text=text,
        blocks=blocks(text),
    )


def _page(text: str) -> str:
    lines = [line.strip() for line in _HYPHEN.sub("", text).replace("\x00", "").split("\n")]
    width = max((len(line) for line in lines), default=0)
    written = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        short = len(line) < _SHORT * width
        begins = not written or written.endswith("\n\n")
        heads = begins and short and is_heading(line) and after[:1].isupper()
        ended = not line or (short and line.endswith((".", "!", "?", ":")))
        written += line + ("\n\n" if heads or ended else "\n")
    return re.sub(r"\n{3,}", "\n\n", written).strip()
