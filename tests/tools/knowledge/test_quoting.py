from __future__ import annotations

import time

import pytest

from tools.knowledge.quoting import clean, quote

TABLE = "| Tier | **Fee** |\n| :--- | ---: |\n| Gold | $75 |\n| Silver | |"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("**Free** returns, _always_.", "Free returns, always."),
        ("- Within [30 days](https://x.example/y) of ![box](b.png)", "Within 30 days of box"),
        ("See `a_b * <c>` in\n  the file", "See a_b * <c> in the file"),
        ("Price is 2 * 3 * 4 and snake_case_name", "Price is 2 * 3 * 4 and snake_case_name"),
        ("**bold** __too__ and **not closed", "bold too and **not closed"),
        ("``a`` and ***both***", "a and both"),
        ("a <!-- one --> b <!-- open", "a b <!-- open"),
        ("## Heading", "Heading"),
        ("a <br/> b <!-- note --> c", "a b c"),
        ("Vec<T> and A < B", "Vec<T> and A < B"),
        (r"5 \* 3 \[EMAIL_1\]", "5 * 3 [EMAIL_1]"),
        ("Write to [EMAIL_1] (soon).", "Write to [EMAIL_1] (soon)."),
    ],
)
def test_markup_goes_and_words_stay(source: str, shown: str) -> None:
    assert clean(source) == shown


def test_a_table_row_is_quoted_with_its_column_names() -> None:
    start = TABLE.index("| Gold")

    assert quote(TABLE, start, TABLE.index("\n", start)) == "Tier: Gold; Fee: $75"


def test_an_empty_cell_is_left_out_of_a_quote() -> None:
    assert quote(TABLE, TABLE.index("| Silver"), len(TABLE)) == "Tier: Silver"


def test_a_row_without_its_header_is_still_readable() -> None:
    assert quote("| Gold | $75 |", 0, 14) == "Gold, $75"


@pytest.mark.parametrize(
    "text",
    [
        "`" * 50_000,
        "**a " * 12_500,
        "[" * 25_000 + "](" * 12_500,
        "[(" * 12_500 + ")]" * 12_500,
        "![" * 25_000,
        "<!--" * 12_500,
        "<http:" * 8_000,
        "_a " * 15_000,
        "-" + " " * 50_000 + "x*",
        "|" + " " * 50_000 + "x",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.thread_time()
    clean(text)
    assert time.thread_time() - started < 3
