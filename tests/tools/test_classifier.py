"""What the classifier promises, on vectors that the fake encoder makes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tools.classifier import ClassifierSettings, Corpus, TextClassifier, fit_classifier
from tools.encoder.fake import HashingEncoder

pytestmark = pytest.mark.anyio

TOPICS = {
    "refund": ("money", "back", "refund", "repaid", "return"),
    "hours": ("open", "close", "opening", "hours", "sunday"),
    "parcel": ("parcel", "tracking", "shipped", "courier", "package"),
    "sizing": ("size", "fit", "large", "small", "measure"),
    "repair": ("repair", "broken", "zip", "mend", "fix"),
}
OUTSIDE = ("who won the football match", "write a poem on autumn", "what is the capital of peru", "play some jazz")


def sayings(first: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    rows = [
        (f"{first} {one} {other}", number)
        for number, words in enumerate(TOPICS.values())
        for one, other in pairwise(words)
    ]
    return tuple(text for text, _ in rows), tuple(number for _, number in rows)


async def corpus(texts: tuple[str, ...]) -> Corpus:
    return Corpus(texts=texts, vectors=await HashingEncoder().encode(texts))


async def fitted(outside: tuple[str, ...] = (), settings: ClassifierSettings | None = None) -> TextClassifier:
    texts, labels = sayings("my")
    return fit_classifier(await corpus(texts), labels, await corpus(outside), settings=settings)


async def test_unseen_wordings_get_their_label() -> None:
    texts, labels = sayings("about your")
    guesses = (await fitted()).guess_all(await corpus(texts))
    assert [int(guess.probabilities.argmax()) for guess in guesses] == list(labels)


async def test_probabilities_sum_to_one_over_all_labels() -> None:
    guess = (await fitted()).guess_all(await corpus(("is my parcel broken",)))[0]
    assert guess.probabilities.shape == (len(TOPICS),)
    assert guess.probabilities.sum() == pytest.approx(1.0)


async def test_a_text_between_two_labels_is_less_sure_than_one_inside_a_label() -> None:
    clear, mixed = (await fitted()).guess_all(await corpus(("my refund money", "refund sunday")))
    assert mixed.probabilities.max() < clear.probabilities.max()


@pytest.mark.parametrize("outside", [(), OUTSIDE])
async def test_strange_texts_are_less_in_scope_with_or_without_examples_of_them(outside: tuple[str, ...]) -> None:
    classifier = await fitted(outside)
    inside = [guess.in_scope for guess in classifier.guess_all(await corpus(("my refund money", "my zip fix")))]
    strange = [guess.in_scope for guess in classifier.guess_all(await corpus(("who sang that poem", "play jazz")))]
    assert max(strange) < min(inside)


async def test_one_text_is_judged_as_among_many() -> None:
    classifier = await fitted(OUTSIDE)
    texts = await corpus(("my refund money", "play jazz"))
    many = classifier.guess_all(texts)
    for text, vector, expected in zip(texts.texts, texts.vectors, many, strict=True):
        guess = classifier.guess(text, vector)
        assert guess.in_scope == pytest.approx(expected.in_scope)
        np.testing.assert_allclose(guess.probabilities, expected.probabilities)


async def test_fitting_twice_gives_the_same_classifier() -> None:
    one, other = await fitted(OUTSIDE), await fitted(OUTSIDE)
    assert (one.temperature, one.slope, one.intercept) == (other.temperature, other.slope, other.intercept)
    np.testing.assert_array_equal(one.model.labels.vector_weights, other.model.labels.vector_weights)


async def test_two_labels_with_one_example_each_are_enough() -> None:
    classifier = fit_classifier(await corpus(("my refund", "opening hours")), (0, 1), await corpus(()))
    guess = classifier.guess_all(await corpus(("opening hours please",)))[0]
    assert int(guess.probabilities.argmax()) == 1
    assert 0.0 < guess.in_scope < 1.0


async def test_a_text_without_words_is_judged_too() -> None:
    guess = (await fitted()).guess_all(await corpus(("???",)))[0]
    assert np.isfinite(guess.probabilities).all()
    assert np.isfinite(guess.in_scope)


async def test_a_lower_share_of_belonging_lowers_the_probability_of_belonging() -> None:
    text = await corpus(("who sang that poem",))
    often, seldom = [
        (await fitted(settings=ClassifierSettings(belonging=share))).guess_all(text)[0].in_scope
        for share in (0.9, 0.5)
    ]
    assert seldom < often
