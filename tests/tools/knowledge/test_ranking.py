from __future__ import annotations

import numpy as np
import pytest

from tools.knowledge.ranking import LEXICAL_WEIGHT, WINDOW_WORDS, combine, parts


def test_a_short_question_is_one_part() -> None:
    question = "How long do I have? I bought boots. " * 5

    assert parts(question) == [question]


def test_a_long_question_is_also_searched_in_pieces_of_whole_sentences() -> None:
    question = "This sentence has just six words. " * 20

    whole, *pieces = parts(question)

    assert whole == question
    assert " ".join(pieces) == question.strip()
    assert [len(piece.split()) for piece in pieces] == [42, 42, 36]
    assert all(len(piece.split()) < 2 * WINDOW_WORDS for piece in pieces)


def test_words_count_as_a_share_of_what_they_could_score() -> None:
    scores = combine(
        np.array([[0.5, 0.4]], np.float32), np.array([[0.0, 10.0]], np.float32), np.array([100.0], np.float32)
    )

    assert scores.tolist() == pytest.approx([0.5, 0.4 + LEXICAL_WEIGHT * 0.1])


def test_a_passage_that_answers_one_piece_of_a_long_question_beats_one_that_is_vaguely_about_all() -> None:
    meaning = np.array([[0.4, 0.4], [0.9, 0.4], [0.1, 0.4], [0.8, 0.4], [0.9, 0.4], [0.0, 0.4]], np.float32)
    lexical = np.zeros_like(meaning)

    specific, vague = combine(meaning, lexical, np.ones(6, np.float32))

    assert specific > vague
