from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.knowledge.sentences import MAX_WORDS, finished, spans


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    text: str
    sentences: tuple[str, ...]


CASES = (
    Case(
        id="abbreviations and initials",
        text="Dr. Lee and J. Smith agree, e.g. on Jan. 5. They met at 9 a.m. on Monday.",
        sentences=("Dr. Lee and J. Smith agree, e.g. on Jan. 5.", "They met at 9 a.m. on Monday."),
    ),
    Case(
        id="an abbreviation ends a sentence when a capital follows",
        text="We sell tents, stoves, etc. Ask for a list.",
        sentences=("We sell tents, stoves, etc.", "Ask for a list."),
    ),
    Case(
        id="decimals, prices and versions",
        text="It costs $6.95. Version 2.0.1 is out. See No. 5.",
        sentences=("It costs $6.95.", "Version 2.0.1 is out.", "See No. 5."),
    ),
    Case(
        id="addresses",
        text="See https://example.com/a.html. Write to us@example.com. Thanks!",
        sentences=("See https://example.com/a.html.", "Write to us@example.com.", "Thanks!"),
    ),
    Case(
        id="placeholders are whole",
        text="We wrote to [EMAIL_1]. [PERSON_2] called from [PHONE_1].",
        sentences=("We wrote to [EMAIL_1].", "[PERSON_2] called from [PHONE_1]."),
    ),
    Case(
        id="quotes and brackets belong to their sentence",
        text='"Really?" he asked. (It works.) Good.',
        sentences=('"Really?" he asked.', "(It works.)", "Good."),
    ),
    Case(
        id="list items without their markers",
        text="You need:\n- a tent\n- a stove\n1. Go\n2) Stop",
        sentences=("You need:", "a tent", "a stove", "Go", "Stop"),
    ),
    Case(
        id="a wrapped line goes on, a blank line does not",
        text="One sentence\non two lines\n\nAnother one",
        sentences=("One sentence\non two lines", "Another one"),
    ),
    Case(
        id="table rows",
        text="| Tier | Fee |\n|---|---|\n| Gold | $75 |\nAfter.",
        sentences=("| Tier | Fee |", "| Gold | $75 |", "After."),
    ),
    Case(
        id="markup with full stops",
        text="Read [a. B.](x.md) now. End.",
        sentences=("Read [a. B.](x.md) now.", "End."),
    ),
    Case(id="an ellipsis that goes on", text="Well... maybe. Yes.", sentences=("Well... maybe.", "Yes.")),
    Case(id="nothing to say", text=" \n--- \n...", sentences=()),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_sentences_end_where_a_reader_would_end_them(case: Case) -> None:
    assert tuple(case.text[start:end] for start, end in spans(case.text)) == case.sentences


def test_a_very_long_sentence_is_cut_at_a_line_break() -> None:
    lines = ["word " * 30 + "end" for _ in range(8)]
    text = "\n".join(lines)

    pieces = [text[start:end] for start, end in spans(text)]

    assert [len(piece.split()) for piece in pieces] == [93, 93, 62]
    assert all(len(piece.split()) <= MAX_WORDS for piece in pieces)


@given(st.text(alphabet="aB1 .!?\n-|[]_*()e:/", max_size=120))
def test_spans_are_in_order_and_lose_no_word(text: str) -> None:
    found = spans(text)

    ends = [0, *(end for _, end in found)]
    assert all(before <= start < end for before, (start, end) in zip(ends, found, strict=False))
    between = [text[before:start] for before, (start, _) in zip(ends, found, strict=False)]
    assert not any("a" in gap or "B" in gap or "e" in gap for gap in between)


@given(st.text(alphabet="ab .", max_size=40), st.text(alphabet="ab .", max_size=40))
def test_no_cut_is_ever_inside_a_placeholder(before: str, after: str) -> None:
    text = f"{before}[EMAIL_1]{after}"
    place = range(len(before) + 1, len(before) + len("[EMAIL_1]"))

    assert not [edge for span in spans(text) for edge in span if edge in place]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Hello there", ""),
        ("Hello there.", ""),
        ("Hello there. W", "Hello there."),
        ("- a\n- b", "- a"),
        ("A.\n\n", "A."),
    ],
)
def test_a_growing_text_gives_up_its_finished_sentences_only(text: str, whole: str) -> None:
    assert text[: finished(text)] == whole


@pytest.mark.parametrize("piece", ["a", "[a](", "Mr. ", "[", "`", ".", ". ", "a@b.c. ", "a@", "<a ", "![a"])
def test_a_long_text_is_cut_at_once(piece: str) -> None:
    text = (piece * 80_000)[:80_000] + "x"
    began = time.thread_time()
    spans(text)
    assert time.thread_time() - began < 3
