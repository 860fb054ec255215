"""The head that lets questions lie near what answers them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from torch import nn

from evals.heads import matching, matching_fit
from evals.heads.matching_fit import Bert, Lesson, fit, vectors_of
from evals.heads.readings import FOLDER, read_all
from tools.encoder.fake import HashingEncoder
from tools.encoder.minilm import MATCHING, SHA256
from tools.encoder.onnx_export import CHANGED
from tools.guards.head import MOST_BYTES, load_head

pytestmark = [
    # Raised inside torch and transformers when they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
LESSONS = [
    Lesson(
        group="tents",
        places=frozenset({("tents.md", "a")}),
        asked=("can my mate get a gas bottle sent", "will u mail a gas can"),
        answers=("Stove fuel cannot be shipped.",),
    ),
    Lesson(
        group="stores",
        places=frozenset({("stores.md", "b")}),
        asked=("till when can i pop in",),
        answers=("The counter is open until nine in the evening.",),
        said=("You can come by until 9 pm.",),
    ),
]


def nearness(bert: Bert, layer: nn.Module) -> list[float]:
    """Return how much nearer each question is to what answers it than to what answers the other."""
    asked = vectors_of(bert, layer, [each.asked[0] for each in LESSONS])
    answers = vectors_of(bert, layer, [each.answers[0] for each in LESSONS])
    near = asked @ answers.T
    return [float(near[0, 0] - near[0, 1]), float(near[1, 1] - near[1, 0])]


def test_what_is_learned_brings_questions_and_answers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching_fit, "BATCH", 2)
    monkeypatch.setattr(matching_fit, "EPOCHS", 8)
    bert, told = Bert(), list[str]()
    layer, changes = fit(bert, LESSONS, told.append)
    before, after = nearness(bert, bert.last_layer()), nearness(bert, layer)
    assert [new > old for old, new in zip(before, after, strict=True)] == [True, True]
    assert sorted(changes) == sorted(CHANGED)
    assert [each.split(",")[0] for each in told] == [f"matching: pass {n} of 8" for n in range(1, 9)]


def test_a_lesson_is_said_in_two_ways_with_what_answers_it() -> None:
    two, one = LESSONS
    assert two.three(random.Random(1)) in {
        (two.asked[0], two.asked[1], two.answers[0]),
        (two.asked[1], two.asked[0], two.answers[0]),
    }
    assert one.three(random.Random(1)) == (one.asked[0], one.said[0], one.answers[0])


def test_the_shipped_head_has_learned_all_that_there_is() -> None:
    head = load_head("matching", MATCHING.parent)
    readings = [lesson for name, each in read_all(FOLDER).items() for lesson in matching.lessons_of(name, each)]
    assert head.about["encoder"] == SHA256
    assert head.about["learned"] == {
        "known questions of the sample": len(matching.lessons_of_sample()),
        "questions of the readings": len(readings),
    }
    assert {name.rsplit(".", 1)[0] for name in head.arrays} == set(CHANGED)
    assert all(np.isfinite(each).all() for each in head.arrays.values())
    assert MATCHING.stat().st_size < MOST_BYTES


@pytest.mark.anyio
async def test_a_layer_is_judged_by_its_own_vectors_beside_the_encoders() -> None:
    encoder, bert = HashingEncoder(384), Bert()
    changed = matching.Changed(encoder, bert, bert.last_layer())
    texts = ["will u mail a gas can", "Stove fuel cannot be shipped."]
    for _ in range(2):
        read = await changed.encoded(texts)
        assert read.vectors == pytest.approx(await encoder.encode(texts))
        assert read.matching == pytest.approx(vectors_of(bert, bert.last_layer(), texts), abs=1e-5)
    assert (changed.id, changed.dimensions) == (encoder.id, 384)
