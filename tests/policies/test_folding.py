"""A text is searched as it reads: without markup, invisible characters and letters that only look like others."""

from __future__ import annotations

import time

import pytest

from policies.folding import fold, has_lines


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("We will **refund** you.", "We will refund you."),
        ("**We will re**fund `you`, ~~now~~ _or_ *then*.", "We will refund you, now or then."),
        ("A re**fu**nd for <b>you</b>, [here](https://x.example/a?b=c).", "A refund for you, here."),
        ("pass\u200bword, re\u00adfund, ref&shy;und, a&#8203;b&nbsp;c", "password, refund, refund, ab c"),
        ("Ｗｅ ｗｉｌｌ：𝐫𝐞𝐟𝐮𝐧𝐝", "We will:refund"),
        ("We w\u0456ll r\u0435fund, and \u0440\u0430\u0443.", "We will refund, and pay."),
        ("r\u0336e\u0336f\u0336und cafe\u0301", "refund caf\u00e9"),
        ("We  will\nrefund\r\n you.", "We will refund you."),
        ("Two:\n- one\n- two\n\nThree\nname: four", "Two:\n- one\n- two\nThree\nname: four"),
    ],
)
def test_what_hides_words_is_folded_away(written: str, read: str) -> None:
    assert fold(written).text == read


@pytest.mark.parametrize(
    "text",
    [
        "What the f**k is this sh**t?",
        "2*3*4 is 24 * 1, and snake_case_name stays.",
        "Возврат за три дня, и всё.",
        "Vec < T and A > B & C; Larkspur™ café 10 m²",
        "* an item",
    ],
)
def test_what_hides_nothing_stays(text: str) -> None:
    assert fold(text).text == text
    assert fold(text).place(2, 5) == (2, 5)


@pytest.mark.parametrize("hidden", ["r\u0435fund", "re\u00adfund", "re**fu**nd", "refund"])
def test_a_place_is_where_the_word_was_written(hidden: str) -> None:
    text = f"We  <i>will</i>\n{hidden}  you."
    folded = fold(text)
    start = folded.text.index("refund")
    assert slice_of(text, folded.place(start, start + 6)) == hidden


def slice_of(text: str, span: tuple[int, int]) -> str:
    return text[span[0] : span[1]]


def test_lines_may_be_kept_apart() -> None:
    assert fold("One\ntwo  three", lines=True).text == "One\ntwo three"
    assert (has_lines("One\ntwo"), has_lines("One two\n")) == (True, False)


@pytest.mark.parametrize(
    "text", ["**a ", "`", "_", "<a ", "![a](", "a\u200b", "a\u0432", " ", "\n", "&#1;", "a_", "a**b ", "\uff41"]
)
def test_no_text_takes_long(text: str) -> None:
    started = time.thread_time()
    folded = fold(text * 10_000)
    folded.place(0, 1)
    assert time.thread_time() - started < 3
