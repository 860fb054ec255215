from __future__ import annotations

import numpy as np
import pytest

from policies.types import Passage, Turn
from tools.encoder.fake import HashingEncoder
from tools.evidence import (
    FEATURES,
    Asking,
    Evidence,
    asking_of,
    features_of,
    likelihood,
    sentences_of,
    stored_vectors,
    weigh,
)
from tools.knowledge import sentences
from tools.knowledge.index import Index, build_index

pytestmark = pytest.mark.anyio

TEXT = "Shipping costs $5. Tents are **green**."


def passage(name: str = "a", text: str = TEXT) -> Passage:
    return Passage(
        id=name,
        document=f"{name}.md",
        document_version=name,
        title="Shop",
        heading="",
        text=text,
        start=0,
        end=len(text),
        index_version="i",
        audience="customer",
        similarity=0.5,
        sentences=sentences.spans(text),
    )


def test_sentences_are_read_as_they_are_quoted() -> None:
    assert [each.text for each in sentences_of([passage()])] == ["Shipping costs $5.", "Tents are green."]


async def test_every_sentence_has_every_feature() -> None:
    encoder = HashingEncoder()
    asking = await asking_of("what does shipping cost", (), encoder)
    vectors = {"a": await encoder.encode(["Shipping costs $5.", "Tents are green."])}
    features = features_of(asking, [passage()], vectors)
    assert features.shape == (2, len(FEATURES))
    evidence = weigh(asking, [passage()], vectors)
    assert evidence.scores[0] > evidence.scores[1]
    assert 0 < evidence.probability < 1


def some_evidence(scores: list[float], similar: list[float], support: list[float] | None = None) -> Evidence:
    return Evidence(
        candidates=(),
        scores=np.array(scores, np.float32),
        probability=0.5,
        similar=np.array(similar, np.float32),
        support=np.array(support or [0.0] * len(scores), np.float32),
        answered=np.array(support or [0.0] * len(scores), np.float32) > 0,
    )


def test_a_sentence_is_likelier_to_answer_the_more_it_stands_out_and_the_nearer_it_is() -> None:
    alone = some_evidence([1.5, 0.5, 0.5], [0.6, 0.3, 0.3])
    among = some_evidence([1.5, 1.5, 1.4], [0.6, 0.6, 0.6])
    far = some_evidence([1.5, 0.5, 0.5], [0.3, 0.3, 0.3])
    chances = [each.chance(0) for each in (alone, among, far)]
    assert chances == pytest.approx([0.9253, 0.8294, 0.4174], abs=1e-3)


def test_a_sentence_is_likelier_to_answer_the_more_known_questions_speak_for_it() -> None:
    scores, similar = [1.0, 1.5, 1.5], [0.3, 0.3, 0.3]
    chances = [some_evidence(scores, similar, [each, 0.0, 0.0]).known_chance(0) for each in (1.5, 1.0, 0.0)]
    assert chances == pytest.approx([0.875, 0.6659, 0.0], abs=1e-3)


def test_no_passages_are_no_evidence() -> None:
    evidence = weigh(Asking(text="what", vectors=np.full((1, 4), 0.5, np.float32)), [], {})
    assert (evidence.candidates, evidence.probability) == ((), 0.0)


def test_likelihood_rises_with_both_similarities() -> None:
    assert likelihood(0.2, 0.2) < likelihood(0.8, 0.2) < likelihood(0.8, 0.8)


async def test_a_follow_up_is_encoded_with_and_without_what_came_before() -> None:
    asking = await asking_of(
        "and to Canada?", (Turn(author="customer", text="What is shipping?"),), HashingEncoder()
    )
    assert asking.text == "What is shipping? and to Canada?"
    assert asking.stressed == "and to Canada?"
    assert np.allclose(np.linalg.norm(asking.vectors, axis=1), 1)


async def test_stored_vectors_leave_out_unknown_passages() -> None:
    class Nothing:
        async def index(self) -> Index:
            return build_index("i", [], 4)

    assert await stored_vectors(Nothing())([passage()]) == {}


async def scored(question: str, text: str) -> list[float]:
    encoder = HashingEncoder()
    one = passage(text=text)
    vectors = {"a": await encoder.encode([each.text for each in sentences_of([one])])}
    return list(weigh(await asking_of(question, (), encoder), [one], vectors).scores)


async def test_the_sentence_for_the_season_that_is_asked_about_wins() -> None:
    winter, summer = await scored(
        "when do you close in july", "In winter we close at 6 pm. In summer we close at 9 pm."
    )
    assert summer > winter


async def test_the_sentence_for_the_amount_that_is_asked_about_wins() -> None:
    text = "Orders of $10 to $99 get 5% off. Orders of $100 to $999 get 9% off."
    small, large = await scored("what is off orders of 200 dollars", text)
    assert large > small


async def test_each_question_of_a_message_has_scores_of_its_own() -> None:
    encoder = HashingEncoder()
    vectors = {"a": await encoder.encode(["Shipping costs $5.", "Tents are green."])}
    asking = await asking_of("I like tents. what does shipping cost and are tents green?", (), encoder)
    shipping, tents = weigh(asking, [passage()], vectors).parts
    assert asking.parts == ("I like tents.", "what does shipping cost", "are tents green?")
    assert shipping[0] > shipping[1]
    assert tents[1] > tents[0]
