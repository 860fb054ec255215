"""What a ranked list is worth, and that a run's lists can be measured anew."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from evals.ranking import score, split
from evals.rows import Row
from evals.scoring import figure


@dataclass(frozen=True, kw_only=True)
class Ranked:
    id: str
    metric: str
    ranked: list[str]
    wanted: set[str]
    value: float


CASES = [
    Ranked(id="recall", metric="recall@2", ranked=["a", "b", "c"], wanted={"a", "c"}, value=0.5),
    Ranked(id="pass is recall", metric="pass@3", ranked=["a", "b", "c"], wanted={"a", "c"}, value=1.0),
    Ranked(id="a hit", metric="hit@2", ranked=["x", "a"], wanted={"a", "c"}, value=1.0),
    Ranked(id="no hit", metric="hit@1", ranked=["x", "a"], wanted={"a", "c"}, value=0.0),
    Ranked(id="the first counts", metric="mrr", ranked=["x", "x", "a"], wanted={"a", "c"}, value=1 / 3),
    Ranked(id="none found", metric="mrr", ranked=["x"], wanted={"a"}, value=0.0),
    Ranked(id="all at the top", metric="ndcg@5", ranked=["a", "c", "x"], wanted={"a", "c"}, value=1.0),
    Ranked(id="the second place", metric="ndcg@5", ranked=["x", "a"], wanted={"a"}, value=0.6309),
    Ranked(id="behind the cut", metric="ndcg@1", ranked=["x", "a"], wanted={"a"}, value=0.0),
    Ranked(id="one is missing", metric="ndcg@2", ranked=["a", "x"], wanted={"a", "c"}, value=0.6131),
    Ranked(id="passages of one document", metric="ndcg@3", ranked=["a", "a", "a"], wanted={"a"}, value=1.0),
    Ranked(id="nothing came", metric="ndcg@3", ranked=[], wanted={"a"}, value=0.0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_ranked_list_is_measured(case: Ranked) -> None:
    assert score(case.metric, case.ranked, case.wanted) == pytest.approx(case.value, abs=1e-4)


def test_a_name_says_which_list_and_what() -> None:
    assert split("recall@10") == ("", "recall@10")
    assert split("dense_ndcg@5") == ("dense", "ndcg@5")
    assert [split(name) for name in ("accuracy", "recall@0", "recall@fpr:0.01", "macro_f1")] == [None] * 4


def test_a_list_that_was_kept_can_be_measured_at_another_depth() -> None:
    row = Row(
        place=0,
        id="1",
        dataset="d",
        file="d",
        line=1,
        input="?",
        expected={"documents": ["c"]},
        output={"documents": ["a", "b", "c"], "alone": {"lexical": ["c"]}},
        scores={"recall@1": 0.0},
    )
    found = {name: figure(name, [row]).value for name in ("recall@1", "recall@3", "lexical_mrr", "mrr")}
    assert found == {"recall@1": 0.0, "recall@3": 1.0, "lexical_mrr": 1.0, "mrr": pytest.approx(1 / 3)}
    assert figure("dense_mrr", [row]).count == 0
