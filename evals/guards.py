"""The guards as suites see them: which there are, how they are bound, and how they and their parts are built."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graphs.settings import INSTALLED_SAMPLE, SAMPLE
from policies.bindings import DEFAULT_THRESHOLD, KnownGuards
from policies.guards import Guard, Guards, Stage
from tools.assistants import Assistant, load_assistant
from tools.encoder.ports import Encoder
from tools.guards.registry import KNOWN
from tools.knowledge.index import Index, build_index


class FoundSpan(Protocol):
    """A piece of personal data."""

    @property
    def kind(self) -> str:
        """Its type."""
        ...

    @property
    def start(self) -> int:
        """Where it begins, in characters."""
        ...

    @property
    def end(self) -> int:
        """Where it ends."""
        ...


class Finder(Protocol):
    """Finds personal data."""

    async def all(self, text: str) -> Sequence[FoundSpan]:
        """Return everything that is found in a text."""
        ...


class Judge(Protocol):
    """Says how likely sources bear a reply out."""

    async def supported(self, sources: Sequence[str], reply: str) -> float:
        """Return the probability."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoKnowledge:
    """An index in which there is nothing: cases bring their own passages."""

    empty: Index

    async def index(self) -> Index:
        """Return the index."""
        return self.empty


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All guards, as the policy of an assistant binds them."""

    known: KnownGuards
    assistant: Assistant

    @property
    def languages(self) -> Collection[str]:
        """The languages that are served."""
        return self.assistant.policy.languages

    def threshold(self, guard: str, stage: Stage) -> float:
        """Return from which score on a guard's text has failed."""
        bound = (each.threshold for each in self.assistant.bindings if (each.guard, each.stage) == (guard, stage))
        return next(bound, DEFAULT_THRESHOLD)

    async def guards(self, encoder: Encoder) -> Mapping[str, Guard]:
        """Build every guard, by name."""
        from tools.guards.opening import open_finder, open_guards

        knowledge = NoKnowledge(empty=build_index("", (), encoder.dimensions))
        finder = await open_finder(self.assistant, knowledge, encoder)
        return {each.name: each for each in await open_guards(self.assistant, encoder, knowledge, finder)}

    async def rails(self, encoder: Encoder) -> Guards:
        """Build the guards and run them as the product does, where they are bound."""
        from tools.guards.rails import Rails

        return Rails((await self.guards(encoder)).values(), self.assistant.bindings)


def find_guards(assistant: Path | None = None) -> Bench:
    """Return the guards that there are, as an assistant's folder binds them; the sample's if none is named."""
    return Bench(known=KNOWN, assistant=load_assistant(assistant or assistant_folder(), KNOWN))


def assistant_folder() -> Path:
    """Return the folder of the shipped sample, which is measured where a suite names no assistant."""
    return SAMPLE if SAMPLE.is_dir() else INSTALLED_SAMPLE


async def open_finder(encoder: Encoder) -> Finder:
    """Build what finds personal data."""
    from tools.guards.personal_data import open_personal_data

    return await open_personal_data(encoder)


async def open_judge(encoder: Encoder) -> Judge:
    """Build the judge of groundedness."""
    from tools.guards.groundedness import Groundedness

    return Groundedness(encoder)
