"""Finished runs of every target, made of rows as the targets write them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals import spans
from evals.figures import Figure, Sample, unknown
from evals.rows import Label, Row
from evals.runs import CASES, HEAD, Run
from evals.scoring import by_tag, curves_of, sample, tag_samples
from policies.types import JSON

INTENTS = ("refund", "delivery", "invoice", "a name that is rather long for a plot")


def stub_row(place: int, **given: Any) -> Row:
    """Return a row with whatever a test does not care about."""
    plain: dict[str, Any] = {
        "id": f"case-{place}",
        "dataset": "cases.jsonl",
        "file": "/suites/cases.jsonl",
        "line": place + 1,
        "tags": ("even" if place % 2 == 0 else "odd",),
        "input": f"message {place}",
        "expected": {},
        "output": {},
        "scores": {},
        "latency_ms": 2.0 + place % 17,
    }
    return Row(place=place, **plain | given)


def router_row(place: int) -> Row:
    """Route a message; every fifth is out of scope, every seventh goes wrong."""
    draw = random.Random(place)
    expected = None if place % 5 == 0 else INTENTS[place % len(INTENTS)]
    wrong = place % 7 == 0
    told = INTENTS[(place + 1) % len(INTENTS)] if wrong else expected
    sure = draw.uniform(0.3, 0.8) if wrong else draw.uniform(0.5, 1.0)
    scope = draw.uniform(0.1, 0.6) if expected is None else draw.uniform(0.4, 1.0)
    scores = {
        "known": float(expected is not None),
        "in_scope": scope,
        "baseline_in_scope": draw.random(),
        "confidence": sure,
        "right": float(told == expected),
    }
    if expected is not None:
        scores["accuracy"] = float(told == expected)
    output: JSON = {
        "intent": told,
        "best": told or INTENTS[0],
        "baseline": {"intent": INTENTS[0], "probability": 0.5},
    }
    return stub_row(
        place,
        expected={"intent": expected},
        output=output,
        scores=scores,
        label=Label(expected, told),
        wrong=f"{told}; not {expected or 'out of scope'}" if wrong else None,
    )


def judged_row(place: int) -> Row:
    """Flag a text, or tell that a reply is supported; every ninth goes wrong."""
    draw = random.Random(place)
    positive, wrong = place % 3 == 0, place % 9 == 0
    told = positive != wrong
    score = draw.uniform(0.5, 1.0) if told else draw.uniform(0.0, 0.5)
    scores = {"score": score, "positive": float(positive), "told": float(told), "lexical": draw.random()}
    scores["recall" if positive else "false_alarms"] = float(told)
    output: JSON = {"score": score, "reason": "It reads like an order."}
    wrong_text = "missed" if wrong else None
    return stub_row(place, output=output, scores=scores, label=Label(positive, told), wrong=wrong_text)


def drafter_row(place: int) -> Row:
    """Answer a question, or abstain; every fourth goes wrong."""
    draw = random.Random(place)
    answerable, wrong = place % 2 == 0, place % 4 == 0
    sure = draw.uniform(0.3, 1.0) if answerable else draw.uniform(0.0, 0.7)
    scores = {"answerable": float(answerable), "confidence": sure, "similarity": draw.random()}
    return stub_row(
        place,
        input={"question": f"question {place}?", "passage": "A passage."},
        scores=scores,
        label=Label(answerable, answerable != wrong),
        wrong="abstains" if wrong else None,
    )


def retriever_row(place: int) -> Row:
    """Search; a third of the questions finds its document first, a third fifth, a third not at all."""
    ranked = [f"other-{number}" for number in range(10)]
    if place % 3:
        ranked[0 if place % 3 == 1 else 4] = f"wanted-{place}"
    wrong = None if place % 3 else f"not among the first 20: wanted-{place}"
    return stub_row(
        place,
        expected={"documents": [f"wanted-{place}"]},
        output={"documents": ranked, "alone": {"lexical": [f"wanted-{place}", *ranked], "dense": ranked}},
        scores={"recall@5": float(place % 3 > 0)},
        wrong=wrong,
    )


def conversation_row(place: int) -> Row:
    """Hold a conversation; every sixth is answered where a person should have been."""
    wrong = place % 6 == 0
    person = place % 2 == 0
    told = "answered" if wrong or not person else "person"
    return stub_row(
        place,
        input={"turns": [f"hello {place}", "and now?"]},
        expected={"outcome": "person" if person else "answered"},
        output={"outcome": "answered" if told == "answered" else "escalated", "route": {"intent": "refund"}},
        scores={"not_answered" if person else "correct": float(not wrong)},
        label=Label("person" if person else "answered", told),
        wrong="answered automatically" if wrong else None,
    )


def pii_row(place: int) -> Row:
    """Find personal data of two types."""
    kind = ("EMAIL", "PHONE")[place % 2]
    return stub_row(
        place,
        expected={"spans": [{"type": kind, "start": 0, "end": 4}]},
        output={"found": [[kind, 0, 4]] if place % 3 else []},
        scores={"recall": float(place % 3 > 0)},
        wrong=None if place % 3 else "missed: EMAIL",
    )


ROWS = {
    "router": router_row,
    "guard:injection": judged_row,
    "checker": judged_row,
    "drafter": drafter_row,
    "retriever": retriever_row,
    "conversation": conversation_row,
    "pii": pii_row,
}
METRICS: Mapping[str, Sequence[str]] = {
    "router": ("accuracy", "oos_auroc", "accuracy@oos_recall:0.9", "latency_p50"),
    "guard:injection": ("recall", "false_alarms", "auroc"),
    "checker": ("auroc", "lexical_auroc", "auroc - lexical_auroc", "recall"),
    "drafter": ("answer_auroc",),
    "retriever": ("recall@5", "lexical_recall@5"),
    "conversation": ("correct", "not_answered"),
    "pii": ("span_f2", "typed_f2"),
}


def write_run(
    folder: Path,
    target: str,
    rows: Sequence[Row] | None = None,
    *,
    count: int = 90,
    metrics: Sequence[str] | None = None,
    private: bool = False,
    gates: Sequence[JSON] = (),
) -> Run:
    """Write a finished run."""
    made = [ROWS[target](place) for place in range(count)] if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CASES).write_bytes(b"".join(row.to_line() for row in made))
    names = METRICS[target] if metrics is None else metrics
    head = _head(target, made, names, private=private) | {"gates": list(gates)}
    run = Run(folder, head)
    run.finish({"passed": all(gate["held"] for gate in gates)})
    assert (folder / HEAD).exists()
    return run


def _head(target: str, rows: Sequence[Row], names: Sequence[str], *, private: bool) -> JSON:
    tags = {name: found for name in names if (found := _tags(name, rows))}
    return {
        "format": 1,
        "name": f"a stub of {target}",
        "target": target,
        "suite": "/suites/suite.yaml",
        "private": private,
        "began_at": "2026-11-22T10:00:00+00:00",
        "versions": {"handrail": "0.1.0", "python": "3.11.7", "assistant": None, "git_commit": None},
        "digests": {"suite": "ab" * 32},
        "settings": {"encoder": "all-MiniLM-L6-v2", "repeat": 1, "concurrency": 4},
        "seed": 1,
        "seconds": 1.5,
        "concurrency": 4,
        "repeat": 1,
        "rows": len(rows),
        "wrong": sum(row.wrong is not None for row in rows),
        "metrics": {name: _plain(_figure(sample(name, rows))) for name in names},
        "tags": {name: {tag: _plain(each) for tag, each in found.items()} for name, found in tags.items()},
        "curves": {name: curve._asdict() for name, curve in curves_of(target).items()},
    }


def _tags(name: str, rows: Sequence[Row]) -> dict[str, Figure]:
    if spans.is_metric(name):
        return by_tag(name, rows)
    return {tag: _figure(each) for tag, each in tag_samples(name, rows).items()}


def _figure(found: Sample | None) -> Figure:
    """Measure without a bootstrap: no test here looks at an interval."""
    if found is None:
        return unknown()
    value = found.value
    return Figure(value=value, low=max(0.0, value - 0.05), high=value + 0.05, count=found.count, unit=found.unit)


def _plain(found: Figure) -> JSON:
    numbers = {"value": found.value, "low": found.low, "high": found.high}
    # As JSON has it: what no case tells is null.
    return {**{name: value if found.count else None for name, value in numbers.items()}, "count": found.count} | {
        "unit": found.unit
    }
