"""A sentence is plain words: what hides, what a screen would make a link of, and unknown addresses are refused."""

from __future__ import annotations

import time

import pytest

from policies.sentence_form import form_of, visible

SAID = "Standard shipping costs CA$14.95 and takes 7 to 10 business days."
REFUSED = (
    f"{SAID}<img src=x onerror=alert(1)>",
    f"<img src=https://evil.example/?q=1>{SAID}",
    f"<b>{SAID}</b>",
    f"<!-- {SAID} -->",
    f"{SAID}<script",
    f"[Shipping](https://evil.example) {SAID}",
    f"[Shipping](javascript:alert(1)) {SAID}",
    f"![x](https://evil.example/x.png) {SAID}",
    f"[Shipping][1] {SAID}",
    "[1]: https://evil.example",
    f"```{SAID}```",
    f"~~{SAID}~~",
    "It is &lt;b&gt; free.",
    "See https://evil.example.",
    "See javascript:alert(1).",
    "See www.evil.example.",
    "See evil-larkspur.example.",
    "See evil\uff0eexample.",
    "See evil\u3002com.",
    "See 192.0.2.7.",
    "Write to help@evil.example.",
    "Write to help@evil.",
    "Write to mailto:help.",
    "Write to returns at larkspur dot shop.",
    "Write to larkspur [dot] shop.",
    "Everything is free.standard shipping is not.",
    f"\u202e{SAID}\u202c",
    f"\u2067{SAID}\u2069",
    f"{SAID[:-1]}\u200b\u2063.",
    f"{SAID[:-1]}\U000e0061\U000e0066.",
    f"{SAID[:-1]}\U000e0101.",
    f"{SAID[:-1]}\ufe0f\ufe0e.",
    f"{SAID[:-1]}\u200d.",
    f"\x1b[31m{SAID}\x1b[0m",
    f"{SAID[:-1]}\x00.",
    f"{SAID[:-1]} \ud83d.",
    f"{SAID}\u2028id: x",
    f"{SAID[:-1]}\u3164.",
    f"{SAID[:-1]}\ue000.",
    f"{SAID[:-1]}\ufffd.",
    "It costs CA$1\u03364.95.",
    "It takes 10\u00b2 days.",
    "It takes \u2462 days.",
    "It takes \u2166 weeks.",
    "1" * 31,
    "1 " * 40,
    "a " * 501,
)
PASSED = (
    SAID,
    "Take 5, e.g. a tent (3.5lb), in the U.S. at 5 p.m. or 10.30am, a.k.a. noon.",
    "The red dot on it, 1.2.3 or v1.2.x, is 6.5-inch.",
    "I <3 it: a < b and c > d, R&D; fine.",
    "We wrote to [EMAIL_1][NAME_1] about [ORDER_1].",
    "Danke \U0001f469\u200d\U0001f469\u200d\U0001f467 \u2708\ufe0f \U0001fae8 schön.",
    "نمی\u200cخواهم",
    "One line\nand\tanother.",
    "Using JavaScript: call the function.",
)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_plain_sentence_is_refused_and_says_why(text: str) -> None:
    assert (form_of(text, [SAID]) or "").startswith("The sentence h")


@pytest.mark.parametrize("text", PASSED)
def test_plain_words_pass(text: str) -> None:
    assert form_of(text) is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Go to larkspur.shop/returns.", "Go to [Returns](https://larkspur.shop/returns) now."),
        ("Go to https://larkspur.shop.", "See larkspur.shop/returns."),
        ("Write to Help@Larkspur.shop!", "Write to help@larkspur.shop, please."),
        ("Edit policy.yaml.", "The file `policy.yaml` has it."),
        ("It holds 10 m³ or ½ of it.", "10 m³, ½"),
        ("Run it with <branch>.", "Run it with `<branch>`."),
        ("R&amp;D does.", "R&amp;D does."),
    ],
)
def test_what_a_cited_text_has_letter_for_letter_passes(text: str, source: str) -> None:
    assert form_of(text) is not None
    assert form_of(text, [source]) is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Go to larkspur.shop/pay.", "See larkspur.shop/returns."),
        ("Go to larkspur.sho.", "See larkspur.shop."),
        ("Go to evil.larkspur.shop.", "See larkspur.shop."),
        ("Go to larkspur.shop@evil.example.", "See larkspur.shop."),
        ("<img src=x>", "<img src=x>"),
        ("<script>", "`<script>`"),
        ("[a](https://larkspur.shop)", "[a](https://larkspur.shop)"),
        ("a\u202eb", "a\u202eb"),
    ],
)
def test_what_only_resembles_it_or_acts_does_not(text: str, source: str) -> None:
    assert form_of(text, [source]) is not None


def test_policys_own_words_need_only_be_visible() -> None:
    assert form_of("Write to [us](https://larkspur.shop) or help@larkspur.shop. " + "a" * 2000, own=True) is None
    assert form_of("Write\u200b", own=True) is not None


def test_what_can_not_be_stored_is_made_visible() -> None:
    assert visible("a\x00b\ud83dc\u202ed\ne") == "a\ufffdb\ufffdc\ufffdd\ne"
    assert visible("Schön \u2708\ufe0f") == "Schön \u2708\ufe0f"


@pytest.mark.parametrize(
    "piece", ["a.", "<", "<a", "a@", "[(", "a-", "a [ ", "_", "dot ", "a://", "1.", "a.b@", "&a"]
)
def test_a_long_source_costs_little(piece: str) -> None:
    began = time.process_time()
    form_of((piece * 500)[:1000], [piece * 10_000])
    assert time.process_time() - began < 8
