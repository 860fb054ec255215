"""Gates compare with numbers and with other metrics."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from evals.gates import parse_gate
from evals.metrics import Figure


@dataclass(frozen=True, kw_only=True)
class Held:
    id: str
    rule: str
    limit: float
    held: bool


CASES = [
    Held(id="at least, reached exactly", rule=">= 0.80", limit=0.8, held=True),
    Held(id="more than, reached exactly", rule="> 0.80", limit=0.8, held=False),
    Held(id="at most", rule="<= 0.5", limit=0.5, held=False),
    Held(id="less than a whole number", rule="<1", limit=1.0, held=True),
    Held(id="more than a worse metric", rule="> lexical_recall@5", limit=0.7, held=True),
    Held(id="more than a better metric", rule="> other", limit=0.9, held=False),
]
FIGURES = {
    name: Figure(value=value, low=value, high=value, count=10)
    for name, value in {"accuracy": 0.8, "lexical_recall@5": 0.7, "other": 0.9}.items()
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_gate_holds_or_fails(case: Held) -> None:
    verdict = parse_gate("accuracy", case.rule).judge(FIGURES)
    assert (verdict.value, verdict.limit, verdict.held) == (0.8, case.limit, case.held)


@pytest.mark.parametrize("rule", ["0.8", "== 0.8", ">= 80 %", "> -1", ""])
def test_a_gate_that_is_none_says_how_one_is_written(rule: str) -> None:
    with pytest.raises(ValueError, match=r'accuracy: write a gate as ">= 0\.80" or "> baseline_accuracy"'):
        parse_gate("accuracy", rule)
