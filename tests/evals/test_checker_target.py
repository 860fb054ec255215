"""The checker target: the judge beside what shared words and similar vectors know."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from evals.cases import Claim
from evals.runner import run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Target, Workroom
from evals.targets.checker import CheckerTarget, RememberingEncoder, overlap
from policies.errors import ConfigError
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Vectors

SUITE = """\
name: tiny checker
target: checker
dataset: cases.jsonl
metrics: [auroc, lexical_auroc, similarity_auroc, balanced_accuracy, ece, recall, false_alarms]
"""
SOURCE = "Boots may be returned within sixty days."
REPLIES = [("Boots may be returned within sixty days.", True), ("Boots may not be returned.", False)]


class NegationJudge:
    """Refuses whatever says not."""

    async def supported(self, sources: Sequence[str], reply: str) -> float:
        assert sources == (SOURCE,)
        return 0.1 if " not " in reply else 0.9


@dataclass
class CountingEncoder(HashingEncoder):
    """Notes what it is asked to encode."""

    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return await super().encode(texts)


def write(folder: Path, replies: Sequence[tuple[str, bool]] = REPLIES) -> Path:
    rows = [
        {"id": str(n), "input": {"sources": [SOURCE], "reply": reply}, "expected": {"supported": supported}}
        for n, (reply, supported) in enumerate(replies)
    ]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite.yaml").write_text(SUITE)
    return folder / "suite.yaml"


@pytest.mark.anyio
async def test_the_judge_is_measured_beside_its_floors(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(_: Workroom) -> AsyncIterator[Target]:
        yield CheckerTarget(judge=NegationJudge(), encoder=HashingEncoder(), threshold=0.5)

    prepared = replace(prepare(load_suite(write(tmp_path))), open=opened)
    report = await run_suite(prepared, Workroom(cache=tmp_path, announce=lambda _: None))
    assert {name: round(figure.value, 4) for name, figure in report.figures.items()} == {
        "auroc": 1.0,
        "lexical_auroc": 1.0,
        "similarity_auroc": 1.0,
        "balanced_accuracy": 1.0,
        "ece": 0.1,
        "recall": 1.0,
        "false_alarms": 0.0,
    }
    assert report.wrong == []


def test_overlap_is_the_share_of_the_words_of_the_reply() -> None:
    assert overlap(Claim(sources=("boots last", "tents leak"), reply="boots leak oil")) == pytest.approx(2 / 3)
    assert overlap(Claim(sources=("boots",), reply="")) == 0.0


@pytest.mark.anyio
async def test_what_was_encoded_lately_is_not_encoded_again() -> None:
    counting = CountingEncoder()
    encoder = RememberingEncoder(encoder=counting)
    first = await encoder.encode(["a b", "c d", "a b"])
    second = await encoder.encode(["c d", "e f"])
    assert counting.asked == ["a b", "c d", "e f"]
    assert np.array_equal(first[1], second[0])
    assert (await encoder.encode([])).shape == (0, encoder.dimensions)


def test_an_area_needs_replies_of_both_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs cases"):
        prepare(load_suite(write(tmp_path, REPLIES[:1])))
