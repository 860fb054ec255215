"""How the head of groundedness is trained: on little data of our own, with the encoder that is a fake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from evals.heads.groundedness import BEGIN, WICE, folds, train
from evals.heads.groundedness_pairs import pairs
from evals.heads.groundedness_replies import FILE, replies
from evals.heads.readings import read_all, written
from policies.errors import ConfigError
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
READING = """
organisation: "{name} Ferries, which sail once a day"
articles:
  - title: "Tickets"
    sections:
      - heading: "Prices"
        sentences:
          s1: "A single ticket to {name} costs 12 euros."
          s2: "Children under 6 travel for nothing."
      - heading: "Refunds"
        sentences: {{s3: "A ticket can be returned until the day before the crossing."}}
    questions:
      - asked: "how much for my two kids, 4 and 9"
        answer: [s2, s1]
        said:
          - {{text: "Your four-year-old sails free, and the other child pays 12 euros.", of: [s1, s2]}}
        wrong:
          - {{text: "Children under 6 travel for 12 euros.", of: [s2], kind: mixed}}
    unanswered: ["do you take dogs"]
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
def readings(tmp_path: Path) -> Path:
    folder = tmp_path / "readings"
    folder.mkdir()
    for name in PLACES:
        (folder / f"{name.lower()}.yaml").write_text(READING.format(name=name))
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


def test_a_reading_gives_each_sentence_the_sections_it_cites(readings: Path) -> None:
    made = [each for each in written(read_all(readings)) if each.group == "norway"]
    assert [(each.claim, each.kind, each.supported, each.sources, each.above) for each in made] == [
        (
            "Your four-year-old sails free, and the other child pays 12 euros.",
            "said",
            True,
            ("A single ticket to Norway costs 12 euros.", "Children under 6 travel for nothing."),
            "Tickets Prices",
        ),
        (
            "Children under 6 travel for 12 euros.",
            "wrong, mixed",
            False,
            ("A single ticket to Norway costs 12 euros.", "Children under 6 travel for nothing."),
            "Tickets Prices",
        ),
    ]


@pytest.mark.parametrize(
    ("found", "instead", "named"),
    [
        pytest.param("of: [s2], kind", "of: [s9], kind", "s9", id="a sentence that there is not"),
        pytest.param("kind: mixed", "kind: odd", "wrong.0.kind", id="an unknown kind"),
        pytest.param("organisation:", "organization:", "organisation", id="an unknown field"),
    ],
)
def test_a_reading_that_is_none_is_named_with_the_place(
    readings: Path, found: str, instead: str, named: str
) -> None:
    file = readings / "norway.yaml"
    file.write_text(file.read_text().replace(found, instead))
    with pytest.raises(ConfigError, match=r"norway\.yaml") as caught:
        read_all(readings)
    assert named in str(caught.value)


def test_the_readings_that_ship_are_whole() -> None:
    organisations = read_all()
    made = written(organisations)
    assert len(organisations) == 36
    assert (sum(each.supported for each in made), sum(not each.supported for each in made)) == (5_040, 4_320)
    assert len({(each.group, each.above, each.claim) for each in made}) == len(made)


def test_all_that_rests_on_one_source_is_in_one_fold() -> None:
    groups = [f"g{n % 30}" for n in range(90)]
    parts = folds(groups)
    assert sorted(row for part in parts for row in part) == list(range(90))
    assert sum(len({groups[row] for row in part}) for part in parts) == 30


async def test_the_trained_head_can_be_served_and_says_what_it_learned_from(
    articles: Path, desks: Path, readings: Path, data: Path
) -> None:
    told: list[str] = []
    trained = await train(
        data, HashingEncoder(), told.append, articles=articles, rewordings=desks, readings=readings, rounds=20
    )
    Weights(trained.head)
    weights = dict(zip(FEATURES, trained.head.arrays["weights"], strict=True))
    assert all(weight >= 0 if name in SPEAKING else weight <= 0 for name, weight in weights.items())
    laid = dict(zip(ALIGNED, trained.head.arrays["reworded_weights"], strict=True))
    assert all(weight >= 0 if name in FOR else weight <= 0 for name, weight in laid.items())
    assert [each["file"] for each in trained.head.about["data"]] == list(BEGIN)
    assert trained.name == "groundedness"
    assert "| wice-dev | 24 |" in trained.report
    assert "| readings | 8 |" in trained.report
    assert len(told) == 2
