"""Guards without a library or a model, for tests and offline examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from policies.guards import Binding, Guard, Guarding, GuardRequest, guarding


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
