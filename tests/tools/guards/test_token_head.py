"""How a head on tokens cuts a text into words, and words into spans."""

from __future__ import annotations

import numpy as np
import pytest

from policies.errors import ConfigError
from tools.guards.head import Head
from tools.guards.token_head import (
    SHAPES,
    TAGS,
    TokenHead,
    Typed,
    Word,
    _trimmed,
    best,
    features,
    load_token_head,
    spans_of,
    with_neighbours,
    words_of,
)

WORDS = [Word(0, 3, (0,)), Word(4, 9, (1,)), Word(10, 12, (2,))]


def offsets(*places: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(places, dtype=np.int32).reshape(-1, 2)


def likely(*tags: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rows = np.full((len(tags), len(TAGS)), -5, dtype=np.float32)
    for row, tag in enumerate(tags):
        rows[row, TAGS.index(tag)] = -0.1
    return rows


def test_pieces_that_touch_are_one_word_and_marks_stand_alone() -> None:
    found = words_of("O'Neil's", offsets((0, 1), (1, 2), (2, 4), (4, 6), (6, 7), (7, 8)))
    assert [(word.start, word.end, word.pieces) for word in found] == [
        (0, 1, (0,)),
        (1, 2, (1,)),
        (2, 6, (2, 3)),
        (6, 7, (4,)),
        (7, 8, (5,)),
    ]
    assert words_of("", offsets()) == []


def test_features_are_the_mean_of_the_pieces_and_the_way_of_writing() -> None:
    vectors = np.array([[1.0], [3.0], [7.0]], dtype=np.float32)
    rows = features("Anna x", [Word(0, 4, (0, 1)), Word(5, 6, (2,))], vectors)
    assert rows.shape == (2, 1 + SHAPES)
    assert rows[:, 0].tolist() == [2.0, 7.0]
    assert rows[:, 1].tolist() == [1.0, 0.0]
    assert features("", [], vectors).shape == (0, 1 + SHAPES)


def test_a_word_is_seen_between_its_neighbours() -> None:
    rows = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    assert with_neighbours(rows).tolist() == [[0, 0, 1, 2, 3], [0, 1, 2, 3, 0], [1, 2, 3, 0, 0]]


def test_nothing_goes_on_that_has_not_begun() -> None:
    assert [TAGS[tag] for tag in best(likely("O", "I-PERSON", "O"))][0::2] == ["O", "O"]
    assert [TAGS[tag] for tag in best(likely("B-PERSON", "I-PERSON", "I-ADDRESS"))][:2] == ["B-PERSON", "I-PERSON"]
    assert "I-ADDRESS" not in [TAGS[tag] for tag in best(likely("B-PERSON", "I-PERSON", "I-ADDRESS"))]


def test_spans_are_as_sure_as_their_words() -> None:
    probable = np.zeros((3, len(TAGS)), dtype=np.float32)
    probable[0, TAGS.index("B-PERSON")] = 0.9
    probable[1, TAGS.index("I-PERSON")] = 0.5
    probable[2, TAGS.index("B-LOCATION")] = 0.25
    tags = [TAGS.index(each) for each in ("B-PERSON", "I-PERSON", "B-LOCATION")]
    person, place = spans_of(WORDS, tags, probable)
    assert (person.kind, person.start, person.end, round(person.score, 3)) == ("PERSON", 0, 9, 0.7)
    assert (place.kind, place.start, place.end, place.score) == ("LOCATION", 10, 12, 0.25)


def test_marks_of_the_sentence_are_no_part_of_a_span() -> None:
    text = "to 5 Elm St, then"
    assert _trimmed(text, [Typed(kind="ADDRESS", start=3, end=12, score=1)]) == [
        Typed(kind="ADDRESS", start=3, end=11, score=1)
    ]
    assert _trimmed("a , b", [Typed(kind="PERSON", start=2, end=3, score=1)]) == []


def test_a_head_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="it lacks 'mean'"):
        TokenHead(Head(arrays={}, about={}))


def test_the_shipped_head_says_what_it_was_made_of() -> None:
    assert load_token_head().encoder.startswith("all-MiniLM-L6-v2@")
