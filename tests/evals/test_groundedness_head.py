"""How the head of groundedness is trained: on little data of our own, with the encoder that is a fake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from evals.heads.groundedness import BEGIN, WICE, folds, train
from evals.heads.groundedness_pairs import pairs
from evals.heads.groundedness_replies import FILE, replies
from tools.encoder.fake import HashingEncoder
from tools.guards.groundedness import Weights
from tools.guards.support_alignment import FEATURES as ALIGNED
from tools.guards.support_alignment import FOR
from tools.guards.support_features import FEATURES, SPEAKING

pytestmark = pytest.mark.anyio

ARTICLE = """# {name}

Parcels to {name} cost $14 and take 7 to 10 business days. Orders to {name} must be paid by card before they ship.
Customers in {name} can return unused items within 60 days, unless they are marked as Final Sale.
The store in {name} is closed on the first Sunday of December.
A late parcel may be refunded when the carrier has lost it for good.
"""
DESKS = """
- above: {name} Library, Borrowing
  passage: Books can be borrowed for 21 days in {name}. A loan can be renewed twice. Food isn't allowed.
  said:
    - You can keep books from {name} for three weeks.
    - You may renew a loan two times.
    - Please don't eat here.
  wrong: ["Food is allowed in {name}."]
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
def desks(tmp_path: Path) -> Path:
    file = tmp_path / "desks.yaml"
    file.write_text("".join(DESKS.format(name=name) for name in PLACES))
    return file


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


def test_rewordings_are_made_wrong_in_one_thing(desks: Path) -> None:
    made = replies(1, desks)
    assert made == replies(1, desks) != replies(2, desks)
    assert {each.claim for each in made if each.supported and "Canada" in each.above} == {
        "You can keep books from Canada for three weeks.",
        "You may renew a loan two times.",
        "Please don't eat here.",
    }
    assert {"number", "negation", "modality", "elsewhere", "half"} <= {each.kind for each in made}


def test_the_rewordings_that_ship_are_all_different() -> None:
    desks = yaml.safe_load(FILE.read_text())
    claims = [(desk["above"], claim) for desk in desks for kind in ("said", "wrong") for claim in desk[kind]]
    assert len(claims) == len(set(claims)) > 600


def test_all_that_rests_on_one_source_is_in_one_fold() -> None:
    groups = [f"g{n % 30}" for n in range(90)]
    parts = folds(groups)
    assert sorted(row for part in parts for row in part) == list(range(90))
    assert sum(len({groups[row] for row in part}) for part in parts) == 30


async def test_the_trained_head_can_be_served_and_says_what_it_learned_from(
    articles: Path, desks: Path, data: Path
) -> None:
    told: list[str] = []
    trained = await train(data, HashingEncoder(), told.append, articles=articles, rewordings=desks, rounds=20)
    Weights(trained.head)
    weights = dict(zip(FEATURES, trained.head.arrays["weights"], strict=True))
    assert all(weight >= 0 if name in SPEAKING else weight <= 0 for name, weight in weights.items())
    laid = dict(zip(ALIGNED, trained.head.arrays["reworded_weights"], strict=True))
    assert all(weight >= 0 if name in FOR else weight <= 0 for name, weight in laid.items())
    assert [each["file"] for each in trained.head.about["data"]] == list(BEGIN)
    assert trained.name == "groundedness"
    assert "| wice-dev | 24 |" in trained.report
    assert len(told) == 2
