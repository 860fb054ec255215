"""Plain text: paragraphs below their headings, with front matter if there is any."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from tools.knowledge.documents import Block, LoadedDocument, Unreadable, audience_of

HEADING_WORDS = 8
# Two headings in a row are a title and a section; more in a row are a list.
_HEADINGS_IN_A_ROW = 2

_HEADING = re.compile(r"(?:\d+(?:\.\d+)*[.)]?[ \t]+)?[A-Z][^\n\d:;.!?…|]*[\w)\"'”’]:?")
_PARAGRAPH = re.compile(r"\S(?:.|\n(?![ \t\r]*\n))*")


def load(path: str, data: bytes) -> LoadedDocument:
    """Read a text file."""
    text = decode(data)
    meta, body = front_matter(text)
    return LoadedDocument(
        path=path,
        title=str(meta.get("title") or title_from(path)),
        audience=audience_of(meta.get("audience"), path),
        media_type="text/plain",
        text=text,
        blocks=blocks(text, body),
    )


def decode(data: bytes) -> str:
    """Turn a file's bytes into characters: UTF-8, or UTF-16 with its mark."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"It is not {encoding.removesuffix('-sig').upper()} text (byte {error.start})."
        raise Unreadable(message, remedy="Save it as UTF-8.") from error
    if "\x00" in text:
        raise Unreadable("It holds binary data.", remedy="Check that it is really a text file.")
    return text


def front_matter(text: str) -> tuple[dict[str, Any], int]:
    """Return the YAML front matter and the offset where the body begins."""
    import yaml
    from frontmatter.default_handlers import YAMLHandler

    handler = YAMLHandler()
    if not handler.detect(text):
        return {}, 0
    try:
        head, content = handler.split(text)
        meta = handler.load(head)
    except ValueError:
        return {}, 0
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise Unreadable(f"Its front matter is not valid YAML{line}.", remedy="Mend or remove it.") from error
    return (meta, len(text) - len(content)) if isinstance(meta, dict) else ({}, 0)


def title_from(path: str) -> str:
    """Make a title of a file name: ``shipping-and-returns.md`` is ``Shipping and returns``."""
    name = re.sub(r"[-_\s]+", " ", PurePosixPath(path).stem).strip()
    return name[:1].upper() + name[1:]


def blocks(text: str, start: int = 0) -> tuple[Block, ...]:
    """Return the paragraphs of a text, each below the bare line that heads it."""
    found: list[Block] = []
    heading = ""
    waiting: list[tuple[int, int]] = []
    for span in _paragraphs(text, start):
        if is_heading(text[slice(*span)]):
            waiting.append(span)
            continue
        if 0 < len(waiting) <= _HEADINGS_IN_A_ROW:
            heading = " > ".join(text[slice(*each)].removesuffix(":") for each in waiting)
        else:
            found.extend(_prose(waiting, heading))
        waiting = []
        found.extend(_prose([span], heading))
    # Lines that nothing follows head nothing.
    return (*found, *_prose(waiting, heading))


def is_heading(paragraph: str) -> bool:
    """Say whether a paragraph reads as a heading: one short line without a stop at its end, or figures."""
    return _HEADING.fullmatch(paragraph) is not None and len(paragraph.split()) <= HEADING_WORDS


def _prose(spans: list[tuple[int, int]], heading: str) -> list[Block]:
    return [Block(start=start, end=end, heading=heading) for start, end in spans]


def _paragraphs(text: str, start: int) -> list[tuple[int, int]]:
    return [
        (match.start(), match.start() + len(match.group().rstrip())) for match in _PARAGRAPH.finditer(text, start)
    ]
