"""How the head of groundedness is trained: on little data of our own, with the encoder that is a fake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.heads.groundedness import BEGIN, WICE, folds, train
from evals.heads.groundedness_pairs import pairs
from tools.encoder.fake import HashingEncoder
from tools.guards.groundedness import Weights
from tools.guards.support_features import FEATURES, SPEAKING

pytestmark = pytest.mark.anyio

ARTICLE = """# {name}

Parcels to {name} cost $14 and take 7 to 10 business days. Orders to {name} must be paid by card before they ship.
Customers in {name} can return unused items within 60 days, unless they are marked as Final Sale.
The store in {name} is closed on the first Sunday of December.
A late parcel may be refunded when the carrier has lost it for good.
"""
PLACES = ("Canada", "Norway", "Bavaria", "Portugal")


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    folder = tmp_path / "articles"
    folder.mkdir()
    for name in PLACES:
        (folder / f"{name}.md").write_text(ARTICLE.format(name=name))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for path in (*BEGIN, WICE):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for n in range(12) for row in rows(n)))
    return tmp_path


def rows(number: int) -> list[dict[str, object]]:
    source = f"Hall {number} opens at nine. It has {number} doors and a garden."
    return [
        {"input": {"sources": [source], "reply": reply}, "expected": {"supported": supported}}
        for reply, supported in ((f"Hall {number} has a garden.", True), ("I like ice cream in the rain.", False))
    ]


def test_a_seed_gives_the_same_claims_again(articles: Path) -> None:
    assert pairs(articles, 1) == pairs(articles, 1) != pairs(articles, 2)


def test_claims_are_made_of_sentences_of_their_article(articles: Path) -> None:
    made = pairs(articles, 1)
    assert {each.supported for each in made} == {True, False}
    assert {each.group for each in made} <= set(PLACES)
    assert not any(each.claim in each.sources for each in made)


def test_all_that_rests_on_one_source_is_in_one_fold() -> None:
    groups = [f"g{n % 30}" for n in range(90)]
    parts = folds(groups)
    assert sorted(row for part in parts for row in part) == list(range(90))
    assert sum(len({groups[row] for row in part}) for part in parts) == 30


async def test_the_trained_head_can_be_served_and_says_what_it_learned_from(articles: Path, data: Path) -> None:
    told: list[str] = []
    trained = await train(data, HashingEncoder(), told.append, articles=articles)
    Weights(trained.head)
    weights = dict(zip(FEATURES, trained.head.arrays["weights"], strict=True))
    assert all(weight >= 0 if name in SPEAKING else weight <= 0 for name, weight in weights.items())
    assert [each["file"] for each in trained.head.about["data"]] == list(BEGIN)
    assert trained.name == "groundedness"
    assert "| wice-dev | 24 |" in trained.report
    assert len(told) == 2
