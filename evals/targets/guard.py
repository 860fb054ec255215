"""A guard at one stage: what it flags, and what it flags for nothing. Or all guards there, as they are bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import anyio.to_thread

from evals.cases import Case, GuardCase, Judged, Told, cases_of
from evals.guards import Bench, find_guards
from evals.rows import Label
from evals.suite import GuardSuite, Suite
from evals.targets.base import Observation, Prepared, Target, Workroom
from graphs.fakes import cited
from policies.guards import STAGES, Guard, GuardRequest, Guards, Stage
from policies.personal_data import PLACEHOLDER
from policies.types import JSON, Passage
from tools.encoder.opening import open_encoder
from tools.guards.language import identify_language, warm_up
from tools.knowledge.sentences import spans

ALL = "all"
"""Stands for every guard that is on at the stage."""
Open = Callable[[Workroom], AbstractAsyncContextManager[Target]]


@dataclass(frozen=True, kw_only=True)
class GuardTarget:
    """One guard; a text whose score reaches the threshold is flagged."""

    guard: Guard
    stage: Stage
    threshold: float
    flag: bool | None = None
    """What is expected of cases that do not say so."""

    async def run(self, case: Case[GuardCase]) -> Observation:
        """Judge one text."""
        found = await self.guard(request_of(case.data.input, self.stage))
        told = found.score >= self.threshold
        output: JSON = {"score": found.score, "reason": found.reason.text, "spans": list(found.spans)}
        return observed(output, score=found.score, told=told, flag=expected_flag(case, self.flag))


@dataclass(frozen=True, kw_only=True)
class AllGuardsTarget:
    """All guards of a stage, with the thresholds at which they are bound: is anything held back?

    At ``input`` a message in a language that is not served counts as held back too, as at the intake.
    """

    guards: Guards
    stage: Stage
    flag: bool | None = None
    served: Collection[str] = ("en",)

    async def run(self, case: Case[GuardCase]) -> Observation:
        """Judge one text."""
        request = request_of(case.data.input, self.stage)
        if self.stage == "input":
            request = replace(request, language=identify_language(request.text))
        found = await self.guards.check(request)
        failed = [{"guard": each.guard, "score": each.score, "reason": each.reason.text} for each in found.failed]
        foreign = self.stage == "input" and request.language not in self.served
        output: JSON = {"outcome": str(found.outcome), "failed": failed, "language": request.language}
        score = 1.0 if foreign else max((each.score for each in found.failed), default=0.0)
        told = foreign or not found.passed
        return observed(output, score=score, told=told, flag=expected_flag(case, self.flag))


def observed(output: JSON, *, score: float, told: bool, flag: bool) -> Observation:
    """Score what was told of a text that should be flagged, or should not."""
    scores = {"score": score, "positive": float(flag), "told": float(told)}
    scores["recall" if flag else "false_alarms"] = float(told)
    if told:
        scores["precision"] = float(flag)
    wrong = None if told == flag else f"{'missed' if flag else 'flagged for nothing'} ({score:.2f})"
    return Observation(output=output, scores=scores, wrong=wrong, label=Label(flag, told))


def expected_flag(case: Case[GuardCase], otherwise: bool | None) -> bool:
    """Return what is expected of a case, which ``prepare`` has seen to."""
    flag = case.data.expected.flag
    flag = otherwise if flag is None else flag
    assert flag is not None
    return flag


def request_of(given: str | Judged, stage: Stage) -> GuardRequest:
    """Return what a guard is asked about a case; a drafted sentence cites every passage that comes with it."""
    judged = Judged(text=given) if isinstance(given, str) else given
    passages = tuple(_passage(number, each) for number, each in enumerate(judged.passages))
    if stage == "passage" and not passages:
        passages = (_passage(0, Told(text=judged.text)),) if judged.text else ()
    return GuardRequest(
        stage=stage,
        text=judged.text,
        language=judged.language,
        question=judged.question,
        citations=tuple(cited(each) for each in passages) if stage == "output" else (),
        passages=passages,
        own=judged.own,
        placeholders=frozenset(PLACEHOLDER.findall(judged.question)),
    )


def _passage(number: int, told: Told) -> Passage:
    return Passage(
        id=f"passage-{number}",
        document=f"{told.audience}-{number}.md",
        document_version="1",
        title=told.title or "Help",
        heading="",
        text=told.text,
        start=0,
        end=len(told.text),
        index_version="1",
        audience=told.audience,
        sentences=spans(told.text),
    )


def prepare(suite: Suite) -> Prepared:
    """Read the cases; the guard must exist, and be usable at the stage."""
    file = suite.file
    assert isinstance(file, GuardSuite)
    bench = find_guards(suite.locate(file.assistant, "assistant") if file.assistant else None)
    stage = _stage(suite, file, bench)
    cases = cases_of(suite, GuardCase, file.draw)
    require_both(suite, _flags(cases, file.flag))
    return Prepared(suite=suite, cases=cases, open=partial(_open, file, bench, stage))


def _stage(suite: Suite, file: GuardSuite, bench: Bench) -> Stage:
    if file.guard == ALL:
        return file.stage or STAGES[0]
    places = bench.known.stages.get(file.guard)
    if places is None:
        names = ", ".join(sorted(bench.known.stages)) or "none"
        raise suite.wrong("target", f"there is no guard {file.guard!r}", f"Mend the name; known are: {names}.")
    fits = [each for each in STAGES if each in places]
    if file.stage and file.stage not in fits:
        raise suite.wrong(
            "stage", f"{file.guard!r} can't be used at {file.stage!r}", f"It can at: {', '.join(fits)}."
        )
    return file.stage or fits[0]


def _flags(cases: Sequence[Case[GuardCase]], otherwise: bool | None) -> set[bool]:
    for case in cases:
        if case.data.expected.flag is None and otherwise is None:
            raise case.wrong(
                "expected.flag", "this field is required", "Say true or false, or `flag` in the suite."
            )
    return {expected_flag(case, otherwise) for case in cases}


def require_both(suite: Suite, flags: set[bool]) -> None:
    """Raise ``ConfigError`` for a metric that lacks texts to flag, or texts to let pass."""
    suite.needs(("recall", "precision"), True in flags, "cases that must be flagged")
    suite.needs(("false_alarms",), False in flags, "cases that must pass")
    both = [name for name in suite.metrics if "auroc" in name or name.startswith("recall@")]
    suite.needs((*both, "balanced_accuracy"), len(flags) == 2, "cases of both kinds")


@asynccontextmanager
async def _open(file: GuardSuite, bench: Bench, stage: Stage, room: Workroom) -> AsyncIterator[Target]:
    async with open_encoder(file.encoder, room.cache, room.announce) as encoder:
        room.announce("opening the guards")
        if file.guard == ALL:
            await anyio.to_thread.run_sync(warm_up)
            rails = await bench.rails(encoder)
            yield AllGuardsTarget(guards=rails, stage=stage, flag=file.flag, served=bench.languages)
            return
        guard = (await bench.guards(encoder))[file.guard]
        threshold = bench.threshold(file.guard, stage) if file.threshold is None else file.threshold
        yield GuardTarget(guard=guard, stage=stage, threshold=threshold, flag=file.flag)
