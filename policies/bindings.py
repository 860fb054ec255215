"""Which guards stand where: those that are on by default, as policy.yaml changes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from policies.guards import STAGES, Binding, Stage
from policies.types import Outcome

DEFAULT_THRESHOLD = 0.5
DEFAULT_SECONDS = 2.0
DEFAULT_EFFECT: Mapping[Stage, Outcome] = {
    "input": Outcome.ESCALATE,
    "passage": Outcome.REVISE,
    "tool": Outcome.REVISE,
    "output": Outcome.REVISE,
}
"""What follows where neither policy nor the guard's default says: what was not ours is left out."""


class Entry(Protocol):
    """One entry of the section ``guards``."""

    @property
    def guard(self) -> str:
        """Its name."""
        ...

    @property
    def stages(self) -> Sequence[Stage] | None:
        """The stages it is about; when None, those it stands at by default, or all it can stand at."""
        ...

    @property
    def threshold(self) -> float | None:
        """From which score on a text has failed."""
        ...

    @property
    def effect(self) -> Literal["revise", "review", "escalate", "block", "off"] | None:
        """What then follows."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long it may take."""
        ...


@dataclass(frozen=True, kw_only=True)
class KnownGuards:
    """The guards there are."""

    stages: Mapping[str, Collection[Stage]] = field(default_factory=dict)
    """Where each can be used, by name."""
    defaults: tuple[Binding, ...] = ()
    """Those that are on where policy says nothing of them."""

    def usual(self, guard: str) -> Collection[Stage]:
        """Return where a guard stands by default, or everywhere that it can for one that is off by default."""
        return [each.stage for each in self.defaults if each.guard == guard] or self.stages.get(guard, ())


def bind(entries: Sequence[Entry], known: KnownGuards) -> tuple[Binding, ...]:
    """Return how guards are used: the defaults, each as the entries change it, by stage and then by name.

    A later entry goes before an earlier one. ``misbound`` says of an entry whether it can be bound.
    """
    bound = {(each.stage, each.guard): each for each in known.defaults}
    for entry in entries:
        for stage in entry.stages if entry.stages is not None else known.usual(entry.guard):
            before = bound.pop((stage, entry.guard), None)
            if entry.effect != "off":
                bound[stage, entry.guard] = _changed(entry, stage, before)
    return tuple(bound[key] for key in sorted(bound, key=lambda key: (STAGES.index(key[0]), key[1])))


def _changed(entry: Entry, stage: Stage, before: Binding | None) -> Binding:
    base = before or Binding(
        guard=entry.guard,
        stage=stage,
        threshold=DEFAULT_THRESHOLD,
        effect=DEFAULT_EFFECT[stage],
        seconds=DEFAULT_SECONDS,
    )
    effect = Outcome(entry.effect) if entry.effect and entry.effect != "off" else base.effect
    if effect is Outcome.REVISE and stage == "input":
        effect = base.effect
    return Binding(
        guard=entry.guard,
        stage=stage,
        threshold=base.threshold if entry.threshold is None else entry.threshold,
        effect=effect,
        seconds=base.seconds if entry.seconds is None else entry.seconds,
    )


def misbound(entry: Entry, known: KnownGuards) -> tuple[str, str] | None:
    """Say what is wrong with an entry, as its field and a sentence, or None."""
    if entry.guard not in known.stages:
        names = ", ".join(sorted(known.stages)) or "none"
        return "guard", f"there is no guard {entry.guard!r}; mend the name, known are: {names}"
    places = known.stages[entry.guard]
    for stage in entry.stages or ():
        if stage not in places:
            fits = ", ".join(each for each in STAGES if each in places)
            return "stages", f"{entry.guard!r} can't be used at {stage!r}; it can at: {fits}"
    return None


def needs_whole_answer(bindings: Sequence[Binding]) -> bool:
    """Whether a guard on the answer may hold all of it back, so that none of it may leave before."""
    return any(each.stage == "output" and each.effect is not Outcome.REVISE for each in bindings)
