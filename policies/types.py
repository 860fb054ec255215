"""The vocabulary that every layer speaks: what a route, a passage, a draft and a verdict are.

All values are frozen and keyword-only; whatever enters graph state or an event is turned to plain JSON by
``to_json`` and back by the ``from_json`` of its class, so no class name is ever stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from enum import StrEnum
from typing import Any, Literal

JSON = dict[str, Any]
Audience = Literal["customer", "staff"]
Tier = Literal["local", "small", "large", "person"]


class Autonomy(StrEnum):
    """How far an intent may go alone, laxest first."""

    AUTO = "auto"
    REVIEW = "review"
    SUGGEST = "suggest"
    HUMAN = "human"


class Owner(StrEnum):
    """Who answers in a conversation; there is exactly one."""

    BOT = "bot"
    QUEUE = "queue"
    HUMAN = "human"


class Outcome(StrEnum):
    """What a check or a set of rules asks for, laxest first."""

    PASS = "pass"
    SAY = "say"
    REVISE = "revise"
    REVIEW = "review"
    ESCALATE = "escalate"
    BLOCK = "block"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who calls, as what, in which workspace."""

    workspace_id: str
    id: str
    role: Literal["admin", "staff", "customer", "service"]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something was decided: a stable code and a sentence that a person can read."""

    code: str
    text: str
    rule_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a message goes. ``intent`` is None when the message is out of scope."""

    intent: str | None
    queue: str
    priority: str
    confidence: float
    """Calibrated probability that the intent (or the rejection) is right, 0 to 1."""
    in_scope: float
    """Probability that the message belongs to any intent at all, 0 to 1."""
    autonomy: Autonomy
    tier: Tier = "local"
    reasons: tuple[Reason, ...] = ()
    nearest: tuple[str, ...] = ()
    """The intents' examples nearest to the message, nearest first."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A retrieved piece of a document, with its lineage."""

    id: str
    document: str
    """Path of the document inside its knowledge folder."""
    document_version: str
    title: str
    heading: str
    """Headings above the text, outermost first, joined by `` > ``."""
    text: str
    start: int
    """Offset of ``text`` in the document's source, in characters."""
    end: int
    index_version: str
    audience: Audience
    score: float = 0.0
    """Fused retrieval score; only comparable inside one search."""
    similarity: float = 0.0
    """Cosine similarity of query and passage, -1 to 1."""
    sentences: tuple[tuple[int, int], ...] = ()
    """Start and end of each sentence, in characters of ``text``."""


@dataclass(frozen=True, kw_only=True)
class Citation:
    """The words of a passage that support a sentence."""

    passage_id: str
    document: str
    document_version: str
    title: str
    quote: str
    start: int
    """Offset of the quote in the document's source, in characters."""
    end: int


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence of a draft with the words that support it."""

    text: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """A drafter's decision not to answer."""

    code: str
    text: str
    confidence: float
    """Probability, 0 to 1, that the passages answer the question; low here."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found, for a sentence or for a whole draft."""

    outcome: Outcome
    score: float = 1.0
    """Probability, 0 to 1, that the text is supported and allowed."""
    reasons: tuple[Reason, ...] = ()
    tier: Tier = "local"
    """Who judged it; rules and budgets may ask for more than it."""

    @property
    def passed(self) -> bool:
        """Whether the text may leave."""
        return self.outcome is Outcome.PASS


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One earlier message of a conversation, as agents see it."""

    author: Literal["customer", "bot", "human"]
    text: str
    handed_back: bool = False
    """Whether people had the conversation and gave it back to the assistant right after this message."""


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a person needs to take over: asked, tried, found, why, and what to do next."""

    asked: str
    why: tuple[Reason, ...]
    tried: tuple[str, ...]
    found: tuple[str, ...]
    next_step: str
    queue: str
    priority: str
    customer_message: str


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One thing that customers want, as the assistant folder defines it."""

    name: str
    description: str
    examples: tuple[str, ...]
    queue: str
    priority: str = "normal"
    autonomy: Autonomy = Autonomy.REVIEW
    tools: tuple[str, ...] = field(default=())
    """Actions that are run for it before an answer is drafted, in this order."""


@dataclass(frozen=True, kw_only=True)
class KnownQuestion:
    """What customers ask in words of their own, with the sentences of one document that answer it."""

    document: str
    answer: tuple[str, ...]
    """Whole sentences, word for word as they are quoted; at least one."""
    asked: tuple[str, ...]
    """At least one way of asking."""
    intent: str | None = None
    """The intent that such questions belong to, of which they are examples then."""


def to_json(value: Any) -> JSON:
    """Turn a value of this module into plain JSON types."""
    plain: JSON = {name: _plain(item) for name, item in vars(value).items()}
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def passage_from_json(data: JSON) -> Passage:
    """Read back what ``to_json`` made of a passage."""
    spans = tuple((int(a), int(b)) for a, b in data.get("sentences", ()))
    return Passage(**{**data, "sentences": spans})


def sentence_from_json(data: JSON) -> Sentence:
    """Read back what ``to_json`` made of a sentence."""
    return Sentence(text=data["text"], citations=tuple(Citation(**item) for item in data["citations"]))


def reasons_from_json(items: list[JSON]) -> tuple[Reason, ...]:
    """Read back what ``to_json`` made of reasons."""
    return tuple(Reason(**item) for item in items)


def route_from_json(data: JSON) -> Route:
    """Read back what ``to_json`` made of a route."""
    return Route(
        **{
            **data,
            "autonomy": Autonomy(data["autonomy"]),
            "reasons": reasons_from_json(data["reasons"]),
            "nearest": tuple(data["nearest"]),
        }
    )
