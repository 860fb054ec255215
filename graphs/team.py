"""The agents of one assistant version, as the graph calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from agents.checker import AnswerRequest, SentenceRequest
from agents.drafter import DraftRequest
from agents.escalation import EscalationRequest
from agents.router import RouteRequest
from policies.types import Abstention, Audience, Brief, Route, Sentence, Verdict
from tools.assistants import Assistant
from tools.knowledge.ports import SearchResult


class Router(Protocol):
    """Says where a message goes."""

    async def __call__(self, request: RouteRequest) -> Route:
        """Route one message."""
        ...


class Drafter(Protocol):
    """Writes an answer from passages, sentence by sentence, or abstains as its first and only item."""

    def __call__(self, request: DraftRequest) -> AsyncIterator[Sentence | Abstention]:
        """Draft one answer."""
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
    language: Callable[[str], str]
    """Names the language of a text, ISO 639-1."""
