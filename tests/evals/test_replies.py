"""The replies for the checker: the good ones rest on what they quote, the bad ones are wrong, always the same."""

from __future__ import annotations

import re
from collections import Counter

import orjson
import pytest

from evals.cases import ConversationCase, read_cases
from evals.replies import claims
from evals.replies.__main__ import lines
from evals.replies.bad import MOST, articles, bad_replies, drawn
from evals.replies.good import Quoted, Reply, good_sentences, read_good
from evals.replies.kinds import GOOD, KINDS, SPLITS
from evals.replies.lists import words
from evals.replies.misuse import facts
from evals.replies.values import MONTHS
from graphs.settings import SAMPLE
from policies.personal_data import broken_placeholders

REPLIES = read_good()
SENTENCES = good_sentences(REPLIES)
BAD = bad_replies(SENTENCES)
BY_ID = {each.id: each for each in SENTENCES}
STAFF = {name for name in articles() if name.startswith("staff-")}


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def changed(text: str) -> Reply:
    quoted = Quoted(document="returns-policy.md", quote="Returns are free in every Larkspur store.")
    return SENTENCES[0].changed(text=text, citations=(quoted,))


def test_every_quote_stands_in_its_article() -> None:
    wrong = [
        (each.id, quoted.quote)
        for each in SENTENCES
        for quoted in each.citations
        if quoted.quote not in articles()[quoted.document]
    ]
    assert wrong == []


def test_there_are_enough_good_sentences_of_nearly_every_article_for_customers() -> None:
    used = {quoted.document for each in SENTENCES for quoted in each.citations}
    assert used == set(articles()) - STAFF
    assert all(sum(each.split == split for each in SENTENCES) >= 110 for split in SPLITS)


def test_the_halves_share_no_article() -> None:
    used = {
        split: {quoted.document for each in SENTENCES if each.split == split for quoted in each.citations}
        for split in SPLITS
    }
    assert used["tune"] & used["judge"] == set()


def test_ids_and_sentences_are_there_once() -> None:
    everything = [*SENTENCES, *BAD]
    assert [each for each, count in Counter(one.id for one in everything).items() if count > 1] == []
    assert [each for each, count in Counter(one.text for one in SENTENCES).items() if count > 1] == []


def test_a_good_sentence_is_in_words_of_its_own() -> None:
    known = plain(" ".join(articles().values()))
    assert [each.id for each in SENTENCES if plain(each.text) in known] == []


def test_every_question_of_the_sample_that_may_be_worked_with_is_answered() -> None:
    files = [SAMPLE / "evals" / f"{kind}-dev.jsonl" for kind in ("answerable", "followups")]
    asked = {case.data.id: case.data.input.turns for case in read_cases(files, ConversationCase)}
    replied = {reply.id: (*reply.history, reply.question) for reply in REPLIES.values() if reply.id in asked}
    assert replied == asked


def test_a_dev_question_is_answered_with_what_its_case_demands() -> None:
    files = [SAMPLE / "evals" / f"{kind}-dev.jsonl" for kind in ("answerable", "followups")]
    expected = {case.data.id: case.data.expected for case in read_cases(files, ConversationCase)}
    cited = {
        reply.id: {quoted.document for each in reply.sentences for quoted in each.citations}
        for reply in REPLIES.values()
        if reply.id in expected
    }
    assert [each for each, found in cited.items() if not found & set(expected[each].documents)] == []


def test_there_are_at_least_fifty_bad_sentences_of_each_kind_and_four_hundred_in_all() -> None:
    counts = Counter(each.kind for each in BAD)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 50
    assert len(BAD) >= 400
    assert all(each.kind != GOOD for each in BAD)


@pytest.mark.parametrize("split", SPLITS)
def test_each_half_has_its_share_of_each_kind(split: str) -> None:
    counts = Counter(each.kind for each in BAD if each.split == split)
    assert all(25 <= counts[kind] <= MOST for kind in KINDS)


def test_no_bad_sentence_is_a_good_one_of_the_same_source() -> None:
    good = {(each.text, each.citations) for each in SENTENCES}
    assert [each.id for each in BAD if (each.text, each.citations) in good] == []


def test_what_was_found_to_hold_is_something_that_the_program_makes() -> None:
    assert words().still_true - {each.id for each in drawn(SENTENCES)} == frozenset()


def test_a_new_number_stands_nowhere_in_what_the_sentence_cites() -> None:
    for each in BAD:
        if each.kind == "number":
            source = BY_ID[each.id.partition("-number-")[0]]
            assert each.text != source.text
            assert not (facts(each.text) - facts(source.text)) & facts(each.quotes), each.id


def test_a_new_date_stands_nowhere_in_what_the_sentence_cites() -> None:
    pattern = re.compile(rf"(?:{'|'.join(MONTHS)}) \d+")
    for each in BAD:
        if each.kind == "date":
            source = BY_ID[each.id.partition("-date-")[0]]
            new = set(pattern.findall(each.text)) - set(pattern.findall(source.text))
            assert each.text != source.text
            assert not new & set(pattern.findall(each.quotes)), each.id


def test_a_fact_of_another_article_has_a_number_that_the_cited_one_lacks() -> None:
    lacking = [facts(each.text) - facts(articles()[each.document]) for each in BAD if each.kind == "wrong_article"]
    assert all(lacking)


def test_a_placeholder_stands_for_nothing_in_a_conversation_that_has_the_first_of_each_kind() -> None:
    known = {f"[{kind}_1]" for kind in words().placeholders}
    assert all(broken_placeholders(each.text, known) for each in BAD if each.kind == "placeholder")


def test_the_halves_follow_different_orders() -> None:
    assert len(words().injections) >= 20
    alone = {each.text: each.split for each in BAD if each.kind == "injection" and each.text in words().injections}
    assert set(alone.values()) == set(SPLITS)


@pytest.mark.parametrize(
    ("text", "contrary"),
    [
        ("No, you can't mail fuel back.", "Yes, you can mail fuel back."),
        ("You can return it in a store.", "You can't return it in a store."),
        ("The label is free for members.", "The label isn't free for members."),
        ("Come at least an hour early.", "Come at most an hour early."),
    ],
)
def test_a_claim_is_turned_into_its_contrary_with_its_yes_or_no(text: str, contrary: str) -> None:
    assert next(claims.negated(changed(text))) == contrary


@pytest.mark.parametrize(
    ("text", "too_firm"),
    [
        ("You can book a place.", "You have to book a place."),
        ("It usually takes an hour.", "It always takes an hour."),
        ("Guam is far, and points never expire.", "Guam is far, and points rarely expire."),
    ],
)
def test_how_firmly_something_is_said_is_changed(text: str, too_firm: str) -> None:
    assert next(claims.overstated(changed(text))) == too_firm


def test_everything_is_printed_as_json_lines_and_is_the_same_each_time() -> None:
    printed = [orjson.loads(line) for line in lines()]
    assert printed == [each.model_dump(mode="json") for each in [*SENTENCES, *BAD]]
