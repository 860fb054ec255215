"""Personal data is found before it is stored, and held back where it is somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from policies.errors import Unavailable
from policies.guards import GuardRequest, Stage
from policies.personal_data import mask
from policies.types import Citation, Passage
from tools.encoder import open_encoder
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Tokens, kept
from tools.guards.personal_data import MOST, PersonalData, PersonalDataGuard, _parts, open_personal_data
from tools.guards.presidio import Presidio
from tools.guards.token_head import load_token_head

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class AwayEncoder(HashingEncoder):
    """An encoder whose model has gone away."""

    async def tokens(self, texts: object) -> list[Tokens]:
        raise Unavailable(f"The encoder failed: {texts!r:.0}", code="encoder.failed")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def finder(encoders: Path) -> AsyncIterator[PersonalData]:
    async with open_encoder("all-MiniLM-L6-v2", encoders) as encoder:
        yield await open_personal_data(encoder, allowed=["Tamsin", "The Tea Shop"])


@pytest.fixture(scope="module")
def presidio() -> Presidio:
    return Presidio()


async def masked(finder: PersonalData, text: str) -> str:
    return mask(text, {}, await finder(text)).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi, I'm Maria Lopez.", "Hi, I'm [NAME_1]."),
        ("hey its dana whitlock, any news?", "hey its [NAME_1], any news?"),
        ("my neighbour Mr. Castellanos took it", "my neighbour Mr. [NAME_1] took it"),
        ("Guten Tag, ich bin Friederike Baumgartner.", "Guten Tag, ich bin [NAME_1]."),
        ("ship it to 5 Elm St, Boise, ID 83702 please", "ship it to [ADDRESS_1] please"),
        ("my passport number is 912803456", "my passport number is [ID_1]"),
        ("someone logged in from 10.20.30.40", "someone logged in from [IP_1]"),
        ("I was born on 12 March 1980", "I was born on [BIRTHDATE_1]"),
        ("Do you ship to Canada?", "Do you ship to Canada?"),
        ("where is order LO-48213", "where is order LO-48213"),
        ("Mark my order as urgent please.", "Mark my order as urgent please."),
        ("I will be away in May, can you hold the parcel until June?",) * 2,
        ("thanks Tamsin, you are great", "thanks Tamsin, you are great"),
        ("who won the world cup in 2014",) * 2,
        ("12345 ?!", "12345 ?!"),
        ("are there stores in Bend, Boulder, Burlington and Asheville?",) * 2,
        ("| B, good | C, well loved |",) * 2,
        ("", ""),
    ],
)
async def test_what_belongs_to_one_person_is_masked_and_the_rest_stays(
    finder: PersonalData, text: str, shown: str
) -> None:
    assert await masked(finder, text) == shown


async def test_all_tells_places_and_firms_too_in_order_and_without_overlaps(finder: PersonalData) -> None:
    text = "Maria Lopez of Northwind Ltd. moved to Paris, see https://example.com/a and mail m@example.com"
    found = await finder.all(text)
    told = {(each.kind, text[each.start : each.end]) for each in found}
    assert {
        ("PERSON", "Maria Lopez"),
        ("LOCATION", "Paris"),
        ("DOMAIN_NAME", "https://example.com/a"),
        ("EMAIL_ADDRESS", "m@example.com"),
    } <= told
    assert [each.start for each in found] == sorted(each.start for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


async def test_a_name_far_down_a_long_message_is_found(finder: PersonalData) -> None:
    text = "The parcel is late and nobody tells me anything about it. " * 60 + "Regards, Maria Lopez"
    assert (await masked(finder, text)).endswith("Regards, [NAME_1]")


def test_long_texts_are_cut_between_words() -> None:
    text = "word " * 400
    parts = list(_parts(text))
    assert (parts[0][0], parts[-1][1]) == (0, len(text))
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    assert {text[start] for start, _ in parts[1:]} == {" "}
    assert list(_parts("x" * 1500)) == [(0, 700), (700, 1400), (1400, 1500)]


async def test_placeholders_in_a_text_are_left_alone(finder: PersonalData) -> None:
    assert await finder("Dear [NAME_1], we sent it to [ADDRESS_2].") == []


async def test_with_another_encoder_patterns_alone_are_looked_for_and_it_says_so() -> None:
    finder = await open_personal_data(HashingEncoder())
    assert finder.note.startswith("The encoder hashing@1/256 is not all-MiniLM-L6-v2")
    assert await masked(finder, "Maria Lopez, a@example.com") == "Maria Lopez, [EMAIL_1]"


async def test_without_an_answer_of_the_encoder_patterns_decide_at_the_intake_and_the_guard_fails() -> None:
    finder = PersonalData(encoder=AwayEncoder(), head=load_token_head(), presidio=Presidio())
    assert await masked(finder, "Maria Lopez, a@example.com") == "Maria Lopez, [EMAIL_1]"
    with pytest.raises(Unavailable):
        await PersonalDataGuard(finder)(GuardRequest(stage="output", text="Maria Lopez has it."))


TEXT = "Call the workshop on (415) 555-0132. It is run by Greta Holm."
PASSAGE = Passage(
    id="p1",
    document="contact.md",
    document_version="1",
    title="Contact",
    heading="",
    text=TEXT,
    start=0,
    end=len(TEXT),
    index_version="i",
    audience="customer",
)
CITED = Citation(
    passage_id="p1",
    document="contact.md",
    document_version="1",
    title="Contact",
    quote=TEXT,
    start=0,
    end=len(TEXT),
)


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("Call the workshop on (415) 555-0132.", False),
        ("You reach us on (415) 555-0132, ask for Greta Holm.", False),
        ("You reach us on (415) 555-0199.", True),
        ("Write to jo.smith@example.com about it.", True),
        ("I have asked Priscilla Wainwright to call you.", True),
        ("We will call you on [PHONE_1].", False),
        ("We will call [NAME_7] for you.", True),
        ("We will call PHONE_1] for you.", True),
        ("Your parcel is on its way to Canada.", False),
        ("Your friend Oskar can pick it up.", False),
    ],
)
async def test_a_sentence_is_held_back_for_what_stands_in_no_source(
    finder: PersonalData, text: str, fails: bool
) -> None:
    request = GuardRequest(
        stage="output",
        text=text,
        question="Can my friend Oskar pick it up? My number is [PHONE_1].",
        passages=(PASSAGE,),
        citations=(CITED,) if "workshop" in text else (),
        placeholders=frozenset({"[PHONE_1]"}),
    )
    finding = await PersonalDataGuard(finder)(request)
    assert (finding.guard, finding.score >= 0.5) == ("personal_data", fails), finding


@pytest.mark.parametrize(
    ("text", "question", "fails"),
    [
        ("I have asked Carl Stone to call.", "Do you know Carl Stonebridge?", True),
        ("Carl Stone", "Do you know Carl Stonebridge?", True),
        ("I have asked Carl Stone to call.", "Do you know CARL  STONE?", False),
        ("I have asked Greta Holm to call.", "Is Greta Holm-Berg in?", True),
        ("I have asked Carl Stone to call.", "Is it Mr Carl", True),
        ("Your card is 4539578763621486.", "Is it 45395787636214861?", True),
        ("Your card is 4539578763621486.", "Is it 4539578763621486?", False),
        ("4539578763621486", "Is it 45395787636214861?", True),
    ],
)
async def test_a_source_has_a_value_only_as_whole_words(
    finder: PersonalData, text: str, question: str, fails: bool
) -> None:
    stone = replace(PASSAGE, text="Stone is what the floor is made of.")
    request = GuardRequest(stage="output", text=text, question=question, passages=(stone,))
    assert ((await PersonalDataGuard(finder)(request)).score >= 0.5) is fails


class CountingEncoder(HashingEncoder):
    """An encoder that counts how often it is asked for tokens."""

    asked = 0

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        self.asked += 1
        return [kept(np.empty((0, 384), np.float32), np.empty((0, 2), np.int32)) for _ in texts]


async def test_what_is_forgotten_is_looked_for_anew() -> None:
    encoder = CountingEncoder()
    finder = PersonalData(encoder=encoder, head=load_token_head())
    for _ in range(2):
        await finder("Who is it?")
    assert encoder.asked == 1
    finder.forget()
    await finder("Who is it?")
    assert encoder.asked == 2


async def test_of_a_very_long_text_the_end_is_looked_through_by_patterns(presidio: Presidio) -> None:
    finder = PersonalData(encoder=CountingEncoder(), head=load_token_head(), presidio=presidio)
    text = "word " * (MOST // 5) + "10.20.30.40 or a@example.com"
    assert [(each.kind, each.start - MOST) for each in await finder(text)] == [("EMAIL", 15)]
    assert [each.kind for each in await finder(text[100:])] == ["IP", "EMAIL"]


async def test_policy_s_own_words_may_name_whom_they_like_but_no_stranger_s_placeholder(
    finder: PersonalData,
) -> None:
    guard = PersonalDataGuard(finder)
    own = GuardRequest(stage="output", text="Ask Priscilla Wainwright.", own=True)
    assert (await guard(own)).score == 0
    stranger = GuardRequest(stage="output", text="Ask [NAME_3].", own=True)
    assert (await guard(stranger)).reason.code == "guard.personal_data.placeholder"


@pytest.mark.parametrize("stage", ["tool", "passage"])
async def test_in_passages_and_tool_results_any_personal_data_is_told(finder: PersonalData, stage: Stage) -> None:
    finding = await PersonalDataGuard(finder)(GuardRequest(stage=stage, text="Owner: Maria Lopez, m@example.com"))
    assert (finding.score, finding.spans) == (1.0, ((7, 18), (20, 33)))
    assert "name, email" in finding.reason.text
