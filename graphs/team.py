"""The agents of one assistant version, as the graph calls them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agents.arguments import Arguments, ArgumentsRequest, LocalArguments
from agents.checker import AnswerRequest, SentenceRequest
from agents.drafter import DraftRequest
from agents.escalation import EscalationRequest
from agents.router import RouteRequest
from policies.errors import ConfigError
from policies.guards import Guards
from policies.personal_data import PersonalDataFinder
from policies.types import Abstention, Audience, Brief, Route, Sentence, Verdict
from tools.actions import Action
from tools.assistants import Assistant, require_offered
from tools.knowledge.ports import SearchResult
from tools.models.ports import Models, Spending


class Router(Protocol):
    """Says where a message goes."""

    async def __call__(self, request: RouteRequest) -> Route:
        """Route one message."""
        ...


class Drafter(Protocol):
    """Writes an answer from passages, sentence by sentence, or abstains as its first and only item.

    An ``Abstention`` may also be the last item, after sentences: the answer has broken off, or what is left of the
    question has no answer. Then no sentence of it stands; what was sent is to be withdrawn.
    """

    def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Draft one answer; whoever stops early closes it, which ends a model's reply."""
        ...


class Checker(Protocol):
    """Says whether what was drafted may leave."""

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence against its passages."""
        ...

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check the whole answer against the question."""
        ...


class Escalation(Protocol):
    """Writes what a person needs to take over."""

    async def __call__(self, request: EscalationRequest) -> Brief:
        """Write one brief."""
        ...


class Filler(Protocol):
    """Finds what an action is told."""

    async def __call__(self, request: ArgumentsRequest) -> Arguments:
        """Fill in one action's arguments."""
        ...


class Searcher(Protocol):
    """Finds passages."""

    async def search(self, query: str, *, audience: Audience, limit: int = 8) -> SearchResult:
        """Return the passages nearest to a query that this audience may read."""
        ...


@dataclass(frozen=True, kw_only=True)
class Team:
    """Who works for one assistant."""

    assistant: Assistant
    router: Router
    searcher: Searcher
    drafter: Drafter
    checker: Checker
    escalation: Escalation
    guards: Guards
    """What every text is put to that comes in; the checker puts what goes out."""
    language: Callable[[str], str]
    """Names the language of a text, ISO 639-1."""
    finder: PersonalDataFinder | None = None
    """Finds names and addresses; without it, patterns alone say what is personal data."""
    actions: Mapping[str, Action] = field(default_factory=dict)
    """What can be done for an intent, by the name that intents.yaml uses."""
    arguments: Filler = field(default_factory=LocalArguments)
    """Finds what an action is told."""
    models: Models | None = None
    """What agents ask language models through; None where all is done locally."""
    spending: Spending | None = None
    """What models have cost so far; goes with ``models``."""

    def __post_init__(self) -> None:
        """Refuse an assistant that names an action which nobody here can do; raises ``ConfigError``."""
        require_offered(self.assistant, self.actions)
        for name, action in self.actions.items():
            if action.name != name:
                raise ConfigError(
                    f"The action {action.name!r} is offered as {name!r}.", remedy="Offer it by its own name."
                )

    @property
    def has_effects(self) -> bool:
        """Whether a run may change anything outside, so that it must be able to go on where it was."""
        return any(action.effect for action in self.actions.values())

    @property
    def resumes(self) -> bool:
        """Whether a broken run may go on where it was: after effects, or after calls that cost money."""
        return self.has_effects or self.models is not None

    def actions_of(self, intent: str | None) -> tuple[Action, ...]:
        """Return what is done for an intent, in its order."""
        known = self.assistant.intent(intent)
        return tuple(self.actions[name] for name in known.tools) if known else ()
