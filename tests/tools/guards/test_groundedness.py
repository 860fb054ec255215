"""The guard of groundedness: with the encoder that is a fake, and the head that ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import ConfigError
from policies.guards import Finding, GuardRequest
from policies.types import Citation, Passage
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Tokens, Vectors
from tools.guards.fake import ScriptedJudge
from tools.guards.groundedness import Groundedness, GroundednessGuard, Weights, cut
from tools.guards.head import Head, load_head
from tools.knowledge import sentences

pytestmark = pytest.mark.anyio

WHOLE = "Tents can be returned within 30 days, unless they are on Final Sale."
TEXT = (
    f"{WHOLE} A late parcel may be refunded by the Bend store. "
    "Saver parcels take 4 to 6 business days and cost $5. Express parcels take 2 days and cost $18. "
    "Gift cards do not expire. Boats must be collected before March 15."
)
PASSAGE = Passage(
    id="p1",
    document="returns.md",
    document_version="dv_1",
    title="Returns",
    heading="Windows",
    text=TEXT,
    start=50,
    end=50 + len(TEXT),
    index_version="idx_1",
    audience="customer",
    similarity=0.7,
    sentences=sentences.spans(TEXT),
)
SENTENCES = tuple(TEXT[start:end] for start, end in PASSAGE.sentences)


def citation(quote: str = WHOLE, passage_id: str = "p1") -> Citation:
    start = 50 + max(0, TEXT.find(quote))
    return Citation(
        passage_id=passage_id,
        document="returns.md",
        document_version="dv_1",
        title="Returns",
        quote=quote,
        start=start,
        end=start + len(quote),
    )


def asking(text: str, *citations: Citation, own: bool = False) -> GuardRequest:
    return GuardRequest(stage="output", text=text, citations=citations, passages=(PASSAGE,), own=own)


class NoEncoder(HashingEncoder):
    async def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"encoded {texts}")


async def judged(text: str, *, judge: ScriptedJudge | None = None) -> Finding:
    return await GroundednessGuard(HashingEncoder(), judge=judge)(asking(text, citation()))


async def test_policys_own_words_rest_on_nothing() -> None:
    finding = await GroundednessGuard(NoEncoder())(asking("We are closed.", own=True))
    assert finding.score == 0.0


@pytest.mark.parametrize(
    ("citations", "code"),
    [
        pytest.param((), "guard.groundedness.no_citation", id="no citation"),
        pytest.param((citation(passage_id="p9"),), "guard.groundedness.unknown_passage", id="unknown passage"),
        pytest.param((citation("Tents are welcome."),), "guard.groundedness.quote", id="invented quote"),
    ],
)
async def test_what_cites_nothing_or_something_else_has_failed(citations: Sequence[Citation], code: str) -> None:
    finding = await GroundednessGuard(NoEncoder())(asking(WHOLE, *citations))
    assert (finding.guard, finding.score, finding.reason.code) == ("groundedness", 1.0, code)


async def test_a_whole_quote_passes_without_the_encoder() -> None:
    finding = await GroundednessGuard(NoEncoder())(asking(WHOLE, citation()))
    assert finding.score == pytest.approx(0.01)


@pytest.mark.parametrize("text", SENTENCES)
async def test_a_quote_that_names_another_place_passes_too(text: str) -> None:
    assert (await judged(text)).score < 0.2


@pytest.mark.parametrize(
    "text",
    [
        "Within 30 days tents can be returned, unless on Final Sale.",
        "Saver parcels take 4 to 6 business days.",
        "A Saver parcel costs $5, and an Express parcel costs $18.",
        "Yes, gift cards never expire.",
        "No, gift cards don't expire.",
        "You must collect boats before March 15.",
    ],
)
async def test_other_words_for_the_same_pass(text: str) -> None:
    finding = await judged(text)
    assert finding.score < 0.5, finding


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(WHOLE.replace("30", "60"), "number", id="number"),
        pytest.param(WHOLE.replace("days", "weeks"), "number", id="unit"),
        pytest.param(WHOLE.replace("days", "business days"), "number", id="working days"),
        pytest.param("Express parcels take 2 days and cost $5.", "misplaced", id="the price of something else"),
        pytest.param("Boats must be collected before March 19.", "number", id="day"),
        pytest.param("Boats must be collected before April 15.", "number", id="month"),
        pytest.param("A late parcel may be refunded by the Duluth store.", "name", id="name"),
        pytest.param(WHOLE.replace("can", "cannot"), "denial", id="denial"),
        pytest.param("Gift cards do expire.", "denial", id="denial left out"),
        pytest.param("A late parcel will be refunded by the Bend store.", "modality", id="promise"),
        pytest.param(
            "A late parcel is refunded by the Bend store.", "modality", id="promise without a word for it"
        ),
        pytest.param("Boats may be collected before March 15.", "modality", id="duty made a choice"),
        pytest.param("Boats must be collected after March 15.", "opposite", id="opposite"),
        pytest.param("Tents can be returned within 30 days.", "condition", id="condition left out"),
    ],
)
async def test_one_changed_word_is_enough_to_fail(text: str, code: str) -> None:
    finding = await judged(text)
    assert finding.reason.code == f"guard.groundedness.{code}"
    assert finding.score > 0.7


@pytest.mark.parametrize(
    "text",
    [
        "Please bring coffee for the whole team.",
        "Gift cards do not expire, and every customer gets a free backpack with the first order.",
        f"{WHOLE} Our founder climbed the mountain twice.",
    ],
)
async def test_what_is_invented_fails_also_beside_what_is_true(text: str) -> None:
    assert (await judged(text)).score > 0.5


@given(
    number=st.integers(min_value=1, max_value=100_000).filter(lambda each: each not in (2, 4, 5, 6, 15, 18, 30))
)
async def test_no_other_number_is_supported(number: int) -> None:
    finding = await judged(WHOLE.replace("30", str(number)))
    assert finding.score > 0.7


@given(st.text(max_size=60))
async def test_any_text_gets_a_probability(text: str) -> None:
    assert 0 <= (await judged(text)).score <= 1


@pytest.mark.parametrize(
    ("text", "source"),
    [
        pytest.param(
            "Home policies renew unless you tell us otherwise.",
            "Car policies renew unless you tell us otherwise. Home policies end with the term.",
            id="a word of elsewhere",
        ),
        pytest.param(
            "Cash purchases are refunded by transfer up to the limit, and in notes above that.",
            "Cash purchases are refunded in notes up to the limit, and by transfer above that.",
            id="two that changed places",
        ),
    ],
)
async def test_a_word_of_the_sources_in_anothers_place_is_a_doubt(text: str, source: str) -> None:
    groundedness = Groundedness(HashingEncoder())
    assert await groundedness.supported([source], text) < 0.5
    assert await groundedness.supported([text], text) > 0.9


async def test_what_may_be_borne_out_in_other_words_is_unsure() -> None:
    finding = await judged("Your gift cards keep their worth and do not expire for anybody.")
    assert finding.reason.code == "guard.groundedness.unsure"
    assert 0.5 < finding.score <= 0.8


async def test_sources_are_put_into_words_once_until_they_are_to_be_forgotten() -> None:
    asked: list[str] = []

    class Counting(HashingEncoder):
        async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
            asked.extend(texts)
            return await super().tokens(texts)

    guard = GroundednessGuard(Counting())
    claim = "Your gift cards keep their worth for anybody."
    for _ in range(2):
        await guard(asking(claim, citation("Gift cards do not expire.")))
    once = asked.count("Gift cards do not expire.")
    guard.forget()
    await guard(asking(claim, citation("Gift cards do not expire.")))
    assert (once, asked.count("Gift cards do not expire.")) == (1, 2)


async def test_a_reason_never_quotes_the_sentence() -> None:
    finding = await judged("Refunds go to Jane Meadows in Wichita within 99 days.")
    assert not any(word in finding.reason.text for word in ("Jane", "Meadows", "Wichita", "99"))


async def test_a_placeholder_is_no_claim() -> None:
    assert (await judged("Gift cards do not expire, [NAME_1].")).score < 0.5


async def test_stored_vectors_are_not_made_again() -> None:
    encoder = HashingEncoder()
    seen: list[str] = []

    class Counting(HashingEncoder):
        async def encode(self, texts: Sequence[str]) -> Vectors:
            seen.extend(texts)
            return await encoder.encode(texts)

        async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
            return await encoder.tokens(texts)

    async def stored(passages: Sequence[Passage]) -> Mapping[str, Vectors]:
        return {passage.id: await encoder.encode(SENTENCES) for passage in passages}

    text = "Gift cards never expire."
    with_stored = await GroundednessGuard(Counting(), vectors_of=stored)(asking(text, citation()))
    assert seen == [text]
    assert with_stored == await GroundednessGuard(encoder)(asking(text, citation()))


async def test_a_judge_is_asked_only_where_the_head_is_unsure() -> None:
    judge = ScriptedJudge(otherwise=0.9)
    unsure = "Your gift cards keep their worth and do not expire for anybody."
    assert (await judged(unsure, judge=judge)).score == pytest.approx(0.1)
    await judged("Gift cards do never expire.", judge=judge)
    await judged("Boats must be collected after March 15.", judge=judge)
    await judged("Please bring coffee for the whole team.", judge=judge)
    assert judge.asked == [unsure]


async def test_a_passage_without_sentences_bears_nothing_out() -> None:
    empty = replace(PASSAGE, sentences=())
    request = replace(asking("Tents are fine.", citation()), passages=(empty,))
    assert (await GroundednessGuard(HashingEncoder())(request)).score == 1.0


async def test_a_reply_is_as_well_supported_as_its_weakest_sentence() -> None:
    groundedness = Groundedness(HashingEncoder())
    assert await groundedness.supported([TEXT], WHOLE) > 0.8
    assert await groundedness.supported([TEXT], f"{WHOLE} It costs $99 in Norway.") < 0.2
    assert await groundedness.supported([], WHOLE) == 0.0
    assert await groundedness.supported([TEXT], "") == 0.0


def test_a_reply_is_cut_as_people_read_it() -> None:
    reply = "- **Tents** can be returned.\n- Write to help@larkspur.example, e.g. by 5 p.m. today.\n\nThank you!"
    assert cut(reply) == [
        "Tents can be returned.",
        "Write to help@larkspur.example, e.g. by 5 p.m. today.",
        "Thank you!",
    ]


def test_a_head_for_other_features_is_refused() -> None:
    head = load_head("groundedness")
    with pytest.raises(ConfigError, match="weighs other features"):
        Weights(Head(arrays=head.arrays, about={**head.about, "features": ["near"]}))
