"""Guards without a library or a model, for tests and offline examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from policies.guards import STAGES, Binding, Finding, Guard, Guarding, GuardRequest, Stage, guarding
from policies.types import Reason


class PlainGuards:
    """Runs the guards that are bound one after another, in the bindings' order, with nothing in between.

    A guard that crashes crashes its caller; how long one takes is not limited. Without bindings everything passes.
    """

    def __init__(self, guards: Iterable[Guard] = (), bindings: Iterable[Binding] = ()) -> None:
        self._guards = {guard.name: guard for guard in guards}
        self._bindings = tuple(bindings)

    async def check(self, request: GuardRequest) -> Guarding:
        """Let the guards of the request's stage judge its text."""
        bound = [each for each in self._bindings if each.stage == request.stage]
        return guarding([(each, await self._guards[each.guard](request)) for each in bound])


@dataclass(kw_only=True)
class NotingGuard:
    """A guard that passes every text, remembers which, and how often it was told to forget."""

    name: str = "noting"
    stages: tuple[Stage, ...] = STAGES
    read: list[str] = field(default_factory=list)
    forgotten: int = 0

    async def __call__(self, request: GuardRequest) -> Finding:
        """Pass one text."""
        self.read.append(request.text)
        return Finding(guard=self.name, score=0.0, reason=Reason(code="guard.noting", text="It was read."))

    def forget(self) -> None:
        """Count it; what was read stays noted."""
        self.forgotten += 1


@dataclass(kw_only=True)
class ScriptedJudge:
    """A judge of groundedness that says what it was told to say, and remembers what it was asked."""

    answers: Mapping[str, float] = field(default_factory=dict)
    """Probability by claim."""
    otherwise: float = 0.5
    asked: list[str] = field(default_factory=list)

    async def __call__(self, claim: str, sources: Sequence[str]) -> float:  # noqa: ARG002
        """Return the probability for this claim."""
        self.asked.append(claim)
        return self.answers.get(claim, self.otherwise)
