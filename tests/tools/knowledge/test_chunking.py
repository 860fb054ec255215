from __future__ import annotations

from tools.knowledge.chunking import MAX_WORDS, chunk, chunk_text, record_document, sentence_texts
from tools.knowledge.documents import Record
from tools.knowledge.loaders import load

LONG = "".join(f"Sentence number {n} of this text has exactly ten words here. " for n in range(50))
SOURCE = f"""# Returns

First, *some* words. Then more.

- Item one
- Item two. With more.

## Fees

| Tier | Fee |
|---|---|
| Gold | $75 |

## Long

{LONG}
"""


def test_chunks_and_sentences_slice_the_source() -> None:
    document = load("a.md", SOURCE.encode())

    for piece in chunk(document):
        assert document.text[piece.start : piece.end] == piece.text
        assert all(piece.text[start:end].strip() == piece.text[start:end] for start, end in piece.sentences)


def test_a_chunk_stays_under_its_heading() -> None:
    document = load("a.md", SOURCE.encode())

    first, fees = chunk(document)[:2]

    assert (first.heading, first.text) == (
        "",
        "First, *some* words. Then more.\n\n- Item one\n- Item two. With more.",
    )
    assert sentence_texts(document, first) == [
        "First, some words.",
        "Then more.",
        "Item one",
        "Item two.",
        "With more.",
    ]
    assert (fees.heading, fees.text) == ("Fees", "| Tier | Fee |\n|---|---|\n| Gold | $75 |")
    assert chunk_text(document, fees) == "Returns\nFees\nTier: Gold; Fee: $75"


def test_a_long_section_is_cut_evenly_between_sentences() -> None:
    pieces = [piece for piece in chunk(load("a.md", SOURCE.encode())) if piece.heading == "Long"]

    sizes = [len(piece.text.split()) for piece in pieces]
    assert max(sizes) <= MAX_WORDS
    assert max(sizes) - min(sizes) <= 40
    assert all(piece.text.startswith("Sentence") and piece.text.endswith("here.") for piece in pieces)


def test_a_tables_header_stays_with_its_first_row() -> None:
    before = "Word " * 100 + "end.\n\n"
    rows = "".join(f"| {n} | {'long ' * 20}|\n" for n in range(10))
    document = load("a.md", f"{before}| A | B |\n|---|---|\n{rows}".encode())

    assert all(not piece.text.rstrip().endswith("|---|---|") for piece in chunk(document))


def test_a_record_is_one_chunk_under_its_own_id() -> None:
    document = record_document(Record(id="doc-1", title="T", text=LONG))

    (piece,) = chunk(document)

    assert (document.path, piece.start, piece.end) == ("doc-1", 0, len(LONG.rstrip()))
    assert len(piece.sentences) == 50
