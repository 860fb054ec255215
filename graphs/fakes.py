"""Agents that follow a script, for tests and offline examples: they fit the ports of ``graphs.team``.

A script maps a piece of the customer's message to what the agent does; the first piece that the message contains
decides. An agent notes what it was asked, may be held at an ``anyio.Event``, and raises where the script has an
exception.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio

from agents.checker import AnswerRequest, SentenceRequest
from agents.drafter import DraftRequest
from agents.escalation import LocalEscalation
from agents.router import RouteRequest
from graphs.team import Searcher, Team
from policies.errors import Refused
from policies.guards import Guarding, GuardRequest
from policies.types import JSON, Abstention, Autonomy, Citation, Outcome, Passage, Route, Sentence, Verdict
from tools.actions import ActionRequest
from tools.assistants import Assistant

T = TypeVar("T")
PASSED = Verdict(outcome=Outcome.PASS)
Line = str | Sentence | Abstention | anyio.Event | Exception
"""One thing that a drafter does: a text is written as a sentence that cites the best passage."""


def route_to(
    intent: str | None,
    autonomy: Autonomy = Autonomy.AUTO,
    *,
    queue: str = "general",
    priority: str = "normal",
    confidence: float = 0.9,
    in_scope: float = 0.95,
) -> Route:
    """Return a route as a sure router would."""
    return Route(
        intent=intent,
        queue=queue,
        priority=priority,
        confidence=confidence,
        in_scope=in_scope,
        autonomy=autonomy,
    )


@dataclass(kw_only=True)
class ScriptedRouter:
    """A ``Router`` that follows a script."""

    script: dict[str, Route | Exception] = field(default_factory=dict)
    otherwise: Route
    hold: dict[str, anyio.Event] = field(default_factory=dict)
    """Messages that wait for an event before they are routed."""
    asked: list[RouteRequest] = field(default_factory=list)

    async def __call__(self, request: RouteRequest) -> Route:
        """Route one message."""
        self.asked.append(request)
        await _held(self.hold, request.text)
        return _unless_failure(_found(self.script, request.text, self.otherwise))


@dataclass(kw_only=True)
class ScriptedDrafter:
    """A ``Drafter`` that follows a script, line by line."""

    script: dict[str, Sequence[Line]] = field(default_factory=dict)
    otherwise: Sequence[Line] = ("This is what the articles say.",)
    asked: list[DraftRequest] = field(default_factory=list)

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Draft one answer."""
        self.asked.append(request)
        for line in _found(self.script, request.question, self.otherwise):
            if isinstance(line, anyio.Event):
                await line.wait()
            elif isinstance(line, Exception):
                raise line
            elif isinstance(line, str):
                if line not in request.rejected:
                    yield Sentence(text=line, citations=tuple(cited(each) for each in request.passages[:1]))
            else:
                yield line


@dataclass(kw_only=True)
class ScriptedChecker:
    """A ``Checker`` that follows a script: sentences by their own text, answers by the question."""

    sentences: dict[str, Verdict | Exception] = field(default_factory=dict)
    answers: dict[str, Verdict | Exception] = field(default_factory=dict)
    hold: dict[str, anyio.Event] = field(default_factory=dict)
    """Questions whose whole answer waits for an event before it is checked."""

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence."""
        return _unless_failure(_found(self.sentences, request.sentence.text, PASSED))

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check the whole answer."""
        await _held(self.hold, request.question)
        return _unless_failure(_found(self.answers, request.question, PASSED))


@dataclass(kw_only=True)
class ScriptedGuards:
    """``Guards`` that follow a script: the first piece that a text contains decides; any other text passes."""

    script: dict[str, Guarding | Exception] = field(default_factory=dict)
    asked: list[GuardRequest] = field(default_factory=list)

    async def check(self, request: GuardRequest) -> Guarding:
        """Judge one text."""
        self.asked.append(request)
        return _unless_failure(_found(self.script, request.text, Guarding()))


@dataclass(kw_only=True)
class ScriptedAction:
    """An ``Action`` that appends its key to a file at each call, so that calls are counted across processes."""

    name: str
    calls: Path
    effect: bool = True
    idempotent: bool = False
    timeout: float = 5.0
    result: JSON = field(default_factory=lambda: {"ok": True})
    refuses: str | None = None
    """Why nothing is done; then no line is written."""
    fails: list[Exception] = field(default_factory=list)
    """Raised after the line was written, one at each call until none is left."""
    hangs: bool = False
    """Whether it never returns, after the line was written."""
    reached: Callable[[str], None] = lambda _place: None
    """Told where a call is: ``begun``, then ``called`` once the line is written, then ``returned``."""
    asked: list[ActionRequest] = field(default_factory=list)

    async def __call__(self, request: ActionRequest) -> JSON:
        """Write the line."""
        self.asked.append(request)
        self.reached("begun")
        if self.refuses is not None:
            raise Refused(self.refuses)
        self._write(request.key)
        self.reached("called")
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails:
            raise self.fails.pop(0)
        self.reached("returned")
        return self.result

    def _write(self, key: str) -> None:
        with self.calls.open("a") as file:
            file.write(f"{key}\n")

    @property
    def keys(self) -> list[str]:
        """The keys it was called with, in all processes."""
        return self.calls.read_text().split() if self.calls.exists() else []


def scripted_team(assistant: Assistant, searcher: Searcher, route: Route, **more: Any) -> Team:
    """Hire a team of fakes that takes every message for the same; ``more`` replaces some, or is added.

    Raises ``ConfigError`` as ``Team`` does.
    """
    fakes: dict[str, Any] = {
        "router": ScriptedRouter(otherwise=route),
        "drafter": ScriptedDrafter(),
        "checker": ScriptedChecker(),
        "escalation": LocalEscalation(),
        "guards": ScriptedGuards(),
        "language": lambda _text: "en",
    }
    return Team(assistant=assistant, searcher=searcher, **(fakes | more))


def cited(passage: Passage) -> Citation:
    """Return a citation of a whole passage."""
    return Citation(
        passage_id=passage.id,
        document=passage.document,
        document_version=passage.document_version,
        title=passage.title,
        quote=passage.text,
        start=passage.start,
        end=passage.end,
    )


def _found(script: Mapping[str, T], text: str, otherwise: T) -> T:
    return next((found for piece, found in script.items() if piece in text), otherwise)


async def _held(hold: Mapping[str, anyio.Event], text: str) -> None:
    event = _found(dict[str, anyio.Event | None](hold), text, None)
    if event is not None:
        await event.wait()


def _unless_failure(found: T | Exception) -> T:
    if isinstance(found, Exception):
        raise found
    return found
