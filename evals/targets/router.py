"""The router, beside a plain logistic regression on the same vectors of the same examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from agents.router import LocalRouter, RouteRequest, RouterSettings
from evals.cases import Case, RouterCase, cases_of, read_rows
from evals.rows import Label
from evals.suite import RouterSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from policies.types import Intent
from tools.assistants import load_assistant
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Vectors

BASELINE_C = 10.0
"""The penalty at which plain logistic regression does best on these sets, so that it is a fair rival."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the router learns from."""

    intents: tuple[Intent, ...]
    out_of_scope: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What the baseline thinks of one message."""

    intent: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class RouterTarget:
    """A fitted router with the baseline's guesses."""

    router: LocalRouter
    baseline: dict[str, Guess]
    threshold: float

    async def run(self, case: Case[RouterCase]) -> Observation:
        """Route one message."""
        route = await self.router(RouteRequest(text=case.data.input))
        expected = case.data.expected.intent
        told = route.intent if route.in_scope >= self.threshold else None
        guess = self.baseline[case.data.input]
        scores = {"known": float(expected is not None), "in_scope": route.in_scope}
        scores["baseline_in_scope"] = guess.probability
        scores["confidence"] = route.confidence
        scores["right"] = float(route.intent == expected)
        if expected is None:
            scores["oos_recall"] = float(told is None)
        else:
            scores["accuracy"] = float(route.intent == expected)
            scores["routed_accuracy"] = float(told == expected)
            scores["baseline_accuracy"] = float(guess.intent == expected)
        output = {
            "intent": told,
            "best": route.intent,
            "confidence": route.confidence,
            "in_scope": route.in_scope,
            "autonomy": str(route.autonomy),
            "baseline": {"intent": guess.intent, "probability": guess.probability},
        }
        wrong = _wrong(route.intent, told, expected)
        return Observation(output=output, scores=scores, wrong=wrong, label=Label(expected, told))


def _wrong(best: str | None, told: str | None, expected: str | None) -> str | None:
    if told == expected:
        return None
    answer = told or f"out of scope, {best} at best"
    return f"{answer}; not {expected or 'out of scope'}"


def prepare(suite: Suite) -> Prepared:
    """Read intents and cases; a case may only name an intent that exists."""
    lesson = _lesson(suite)
    cases = cases_of(suite, RouterCase)
    names = {intent.name for intent in lesson.intents}
    for case in cases:
        intent = case.data.expected.intent
        if intent is not None and intent not in names:
            remedy = "Mend its name, or write null for out of scope."
            raise case.wrong("expected.intent", f"there is no intent {intent!r}", remedy)
    known = {case.data.expected.intent is not None for case in cases}
    closed = ("accuracy", "routed_accuracy", "baseline_accuracy", "macro_f1")
    suite.needs(closed, True in known, "cases with an intent")
    suite.needs(("oos_recall",), False in known, "cases whose intent is null")
    suite.needs(("oos_auroc", "baseline_oos_auroc"), len(known) == 2, "cases with an intent and cases without")
    return Prepared(suite=suite, cases=cases, open=partial(_open, suite.file.encoder, lesson, cases))


def _lesson(suite: Suite) -> Lesson:
    file = suite.file
    assert isinstance(file, RouterSuite)
    if file.assistant is not None:
        assistant = load_assistant(suite.locate(file.assistant, "assistant"))
        return Lesson(intents=assistant.intents, out_of_scope=assistant.out_of_scope)
    assert file.intents is not None
    outside: list[str] = []
    if file.out_of_scope is not None:
        rows = read_rows(suite.locate(file.out_of_scope, "out_of_scope"), RouterCase)
        outside = [row.input for _, _, row in rows if row.input.strip()]
    return Lesson(intents=_intents(suite, suite.locate(file.intents, "intents")), out_of_scope=tuple(outside))


def _intents(suite: Suite, file: Path) -> tuple[Intent, ...]:
    examples: dict[str, list[str]] = {}
    for line, _, row in read_rows(file, RouterCase):
        if row.expected.intent is None:
            raise suite.wrong(
                "intents", f"{file}:{line} has no intent", "Put messages out of scope into `out_of_scope`."
            )
        if row.input.strip():
            examples.setdefault(row.expected.intent, []).append(row.input)
    if len(examples) < 2:
        raise suite.wrong("intents", f"{file} has fewer than two intents", "Name a file with more.")
    return tuple(
        Intent(name=name, description="", examples=tuple(texts), queue="general")
        for name, texts in examples.items()
    )


@asynccontextmanager
async def _open(
    encoder_name: str, lesson: Lesson, cases: Sequence[Case[RouterCase]], room: Workroom
) -> AsyncIterator[RouterTarget]:
    async with open_encoder(encoder_name, room.cache, room.announce) as encoder:
        room.announce(f"learning {len(lesson.intents)} intents")
        # Rejecting nothing, the router tells its best intent for every message; ``threshold`` rejects after it.
        settings = RouterSettings(in_scope=0.0)
        router = await LocalRouter.fit(lesson.intents, lesson.out_of_scope, encoder, settings=settings)
        room.announce("guessing with the baseline")
        examples = [text for intent in lesson.intents for text in intent.examples]
        labels = [intent.name for intent in lesson.intents for _ in intent.examples]
        taught = await encoder.encode(examples)
        asked = list(dict.fromkeys(case.data.input for case in cases))
        vectors = await encoder.encode(asked)
        guesses = await anyio.to_thread.run_sync(_baseline, taught, labels, vectors)
        baseline = dict(zip(asked, guesses, strict=True))
        yield RouterTarget(router=router, baseline=baseline, threshold=RouterSettings().in_scope)


def _baseline(taught: Vectors, labels: Sequence[str], vectors: Vectors) -> list[Guess]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=BASELINE_C, max_iter=1000).fit(taught, labels)
    odds = model.predict_proba(vectors)
    best = odds.argmax(axis=1)
    return [
        Guess(intent=str(model.classes_[label]), probability=float(row[label]))
        for label, row in zip(best, odds, strict=True)
    ]
