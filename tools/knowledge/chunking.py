"""Chunks: stretches of a document under one heading, of whole sentences, with their offsets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from tools.knowledge import sentences
from tools.knowledge.documents import Block, LoadedDocument, Record
from tools.knowledge.quoting import quote
from tools.knowledge.sentences import Span

VERSION = "2"
"""Part of every document version: raise it when the same document would be cut otherwise."""

MAX_WORDS = 220


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A passage before it is found: ``text`` is ``document.text[start:end]``."""

    heading: str
    text: str
    start: int
    end: int
    sentences: tuple[Span, ...]
    """Start and end of each sentence, in characters of ``text``."""


def chunk(document: LoadedDocument) -> tuple[Chunk, ...]:
    """Cut a document into chunks of at most about ``MAX_WORDS`` words, never inside a sentence.

    A section that is too long is cut into pieces of about equal length, so that none is a mere remnant.
    """
    if document.whole:
        return (
            _chunk(
                document,
                [_Piece(block, span) for block in document.blocks for span in _sentences(document, block)],
            ),
        )
    found: list[Chunk] = []
    for _, blocks in groupby(document.blocks, key=lambda block: block.heading):
        found.extend(_section(document, list(blocks)))
    return tuple(found)


def record_document(record: Record) -> LoadedDocument:
    """Make a document of a record; it is kept in one piece."""
    return LoadedDocument(
        path=record.id,
        title=record.title,
        audience=record.audience,
        media_type="text/plain",
        text=record.text,
        blocks=(Block(start=0, end=len(record.text), heading=""),),
        whole=True,
    )


def chunk_text(document: LoadedDocument, piece: Chunk) -> str:
    """Return what is encoded and indexed for a chunk: title, headings and the words without markup."""
    words = " ".join(sentence_texts(document, piece)) if document.media_type == "text/markdown" else piece.text
    return "\n".join(filter(None, (document.title, piece.heading, words)))


def sentence_texts(document: LoadedDocument, piece: Chunk) -> list[str]:
    """Return what is encoded for each sentence of a chunk."""
    if document.media_type == "text/markdown":
        return [quote(piece.text, start, end) for start, end in piece.sentences]
    return [" ".join(piece.text[start:end].split()) for start, end in piece.sentences]


@dataclass(frozen=True)
class _Piece:
    block: Block
    span: Span


def _section(document: LoadedDocument, blocks: list[Block]) -> Iterator[Chunk]:
    pieces = [_Piece(block, span) for block in blocks for span in _sentences(document, block)]
    sizes = [len(document.text[slice(*piece.span)].split()) for piece in pieces]
    target = sum(sizes) / max(1, -(-sum(sizes) // MAX_WORDS))
    gathered: list[_Piece] = []
    words = 0
    for piece, size in zip(pieces, sizes, strict=True):
        if gathered and words + size / 2 > target and not _keeps(gathered[-1], piece):
            yield _chunk(document, gathered)
            gathered, words = [], 0
        gathered.append(piece)
        words += size
    if gathered:
        yield _chunk(document, gathered)


def _keeps(before: _Piece, after: _Piece) -> bool:
    """Say whether a cut here would part a table's header from its first row."""
    return before.block.kind == "header" and after.block.kind == "row"


def _sentences(document: LoadedDocument, block: Block) -> list[Span]:
    if block.kind in ("header", "row"):
        return [(block.start, block.end)]
    if block.kind == "code":
        return list(sentences.at_most(document.text, (block.start, block.end)))
    text = document.text[block.start : block.end]
    found = [(block.start + start, block.start + end) for start, end in sentences.spans(text)]
    return found or [(block.start, block.end)]


def _chunk(document: LoadedDocument, pieces: list[_Piece]) -> Chunk:
    start = pieces[0].span[0] if pieces[0].block.kind != "prose" else _line_start(document, pieces[0])
    end = pieces[-1].span[1]
    return Chunk(
        heading=pieces[0].block.heading,
        text=document.text[start:end],
        start=start,
        end=end,
        sentences=tuple((a - start, b - start) for a, b in (p.span for p in pieces if p.block.kind != "header")),
    )


def _line_start(document: LoadedDocument, piece: _Piece) -> int:
    """Take a list item's marker along, so that the passage reads as the list it is."""
    start = document.text.rfind("\n", 0, piece.span[0]) + 1
    lead = document.text[start : piece.span[0]]
    return start if len(lead.split()) <= 1 else piece.span[0]
