from __future__ import annotations

import math

import numpy as np
import pytest

from tools.knowledge.lexical import K1, B, LexicalIndex, stem, terms


def test_an_identifier_is_found_whole_and_by_its_parts() -> None:
    assert terms("run DiffExecutor") == [
        "run", "diffexecutor", "diff", "executor", "run diffexecutor", "diffexecutor diff", "diff executor",
    ]  # fmt: skip
    assert (
        terms("http_status2")[:4] == ["http_status2", "http", "statu", "2"] or terms("http_status2")[1] == "http"
    )


def test_words_without_meaning_are_left_out() -> None:
    assert terms("How do I return the boots?") == ["return", "boot", "return boot"]


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("boots", "boot"),
        ("policies", "policy"),
        ("bus", "bus"),
        ("glass", "glass"),
        ("gas", "gas"),
        ("store's", "store"),
    ],
)
def test_plurals_and_possessives_lose_their_ending(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


def test_scores_are_those_of_the_published_formula() -> None:
    index = LexicalIndex(["tent", "tent stove", "stove stove lamp"])

    scores = index.scores("lamp")

    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    lengths = [1, 3, 5]  # pairs of neighbours are terms as well
    norm = K1 * (1 - B + B * lengths[2] / (sum(lengths) / 3))
    assert scores[:2].tolist() == [0, 0]
    assert scores[2] == pytest.approx(idf * (K1 + 1) / (1 + norm), rel=1e-6)


def test_no_score_reaches_the_ceiling_and_unknown_words_raise_it() -> None:
    texts = ["tent pegs", "gas stove", "tent repair kit"]
    index = LexicalIndex(texts)

    assert all(index.scores(text).max() < index.ceiling(text) * (K1 + 1) for text in texts)
    assert index.ceiling("tent zeppelin") > index.ceiling("tent")


def test_an_empty_index_and_an_empty_query_score_nothing() -> None:
    assert LexicalIndex([]).scores("tent").tolist() == []
    assert LexicalIndex(["tent"]).scores("").tolist() == [0]
    assert LexicalIndex(["", "tent"]).scores("tent")[0] == np.float32(0)
