"""Markdown, read by markdown-it; offsets are those of the file's own characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tools.knowledge.documents import Block, BlockKind, LoadedDocument, audience_of
from tools.knowledge.loaders.plain import decode, front_matter, title_from
from tools.knowledge.quoting import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
# Lines of Docusaurus and other MDX sites that are not for readers.
_NOT_PROSE = re.compile(r"^\s*(?::::.*|import\s.+\sfrom\s+['\"].*|export\s+(?:default|const)\s.*|<!--.*-->)\s*$")
_KINDS: dict[str, BlockKind] = {
    "inline": "prose",
    "html_block": "prose",
    "tr_open": "row",
    "fence": "code",
    "code_block": "code",
}


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")


def load(path: str, data: bytes) -> LoadedDocument:
    """Read a Markdown file, with YAML front matter (``title``, ``audience``) if there is any."""
    text = decode(data)
    meta, body = front_matter(text)
    tokens = _parser().parse(text[body:])
    title = _title(meta, tokens, path)
    return LoadedDocument(
        path=path,
        title=title,
        audience=audience_of(meta.get("audience"), path),
        media_type="text/markdown",
        text=text,
        blocks=tuple(_blocks(text, body, tokens, title)),
    )


def _title(meta: dict[str, Any], tokens: list[Token], path: str) -> str:
    if meta.get("title"):
        return str(meta["title"])
    for token, following in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return clean(following.content)
    return title_from(path)


def _blocks(text: str, body: int, tokens: list[Token], title: str) -> Iterator[Block]:
    lines = [match.span() for match in _LINE.finditer(text, body)]
    levels: dict[int, str] = {}
    level = 0
    in_head = in_row = False
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            levels = {above: name for above, name in levels.items() if above < level}
        elif token.type == "inline" and level:
            name = clean(token.content)
            levels |= {level: name} if name.casefold() != title.casefold() else {}
            level = 0
        elif token.type in ("thead_open", "thead_close"):
            in_head = token.type == "thead_open"
        elif token.type in _KINDS and token.map and not in_row:
            in_row = token.type == "tr_open"
            kind: BlockKind = "header" if in_row and in_head else _KINDS[token.type]
            heading = " > ".join(name for _, name in sorted(levels.items()))
            yield from _cut(text, lines[token.map[0] : token.map[1]], heading, kind)
        elif token.type == "tr_close":
            in_row = False


def _cut(text: str, lines: list[tuple[int, int]], heading: str, kind: BlockKind) -> Iterator[Block]:
    """Leave out the lines that are not for readers; what remains on either side is a block of its own."""
    kept: list[tuple[int, int]] = []
    for start, end in [*lines, (0, 0)]:
        if start < end and (kind == "code" or not _NOT_PROSE.match(text[start:end])):
            kept.append((start, end))
            continue
        if kept and (found := _block(text, kept[0][0], kept[-1][1], heading, kind)):
            yield found
        kept = []


def _block(text: str, start: int, end: int, heading: str, kind: BlockKind) -> Block | None:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    if not clean(text[start:end]):
        return None
    return Block(start=start, end=end, heading=heading, kind=kind)
