"""Actions: what an assistant does beyond answering, such as looking up an order or sending money back.

An action with ``effect`` changes something outside. It is called after a receipt of it is on disk, and its request
carries the receipt's key: a system that knows the key can refuse to do the same thing twice. Only then may the
action say ``idempotent``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from policies.types import JSON


@dataclass(frozen=True, kw_only=True)
class ActionRequest:
    """What an action is told. Personal data is masked."""

    key: str
    """Names this one effect for ever: the same key comes again when the same thing is tried again."""
    workspace_id: str
    conversation_id: str
    run_id: str
    intent: str
    question: str
    """The customer's messages that the run answers, with placeholders."""
    language: str
    locale: str | None
    attributes: JSON
    """What the app told us of the customer; never who it is."""
    customer_id: str | None = None
    """Who asks, as the app named its user: for the app's own code, never for a model or another service."""
    arguments: JSON = field(default_factory=dict)
    """The values of the action's parameters, as ``TakesArguments.read`` gave them."""
    facts: JSON = field(default_factory=dict)
    """What policy was told besides, as ``HasFacts.facts`` gave it."""


class Action(Protocol):
    """One thing that can be done for an intent. What it raises counts as outcome unknown, but for ``Refused``."""

    @property
    def name(self) -> str:
        """The name that intents.yaml lists under ``tools``."""
        ...

    @property
    def effect(self) -> bool:
        """Whether it changes anything; one that does not is run without a receipt."""
        ...

    @property
    def idempotent(self) -> bool:
        """Whether calling it again with the same key does nothing more than calling it once."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds after which a call is given up."""
        ...

    async def __call__(self, request: ActionRequest) -> JSON:
        """Do it and return what came of it. Raise ``Refused`` where nothing was done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that an action must or may be told."""

    name: str
    about: str
    """What it is, as a person would say it: ``an order number``."""
    schema: JSON
    """The JSON schema of its values."""
    required: bool = True
    pattern: re.Pattern[str] | None = None
    """How a customer writes it; its first group that has anything, or all of it, is the value."""


@runtime_checkable
class TakesArguments(Protocol):
    """An action that is told more than the question."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it must or may be told, in its order."""
        ...

    @property
    def description(self) -> str:
        """What it does, for whoever fills in its arguments."""
        ...

    def read(self, name: str, value: Any) -> Any:
        """Return a parameter's value as plain JSON; raises ``ValueError`` when it does not fit."""
        ...


@runtime_checkable
class HasFacts(Protocol):
    """An effect that says how things stand before it is done, such as what was sent back for an order so far."""

    @property
    def has_facts(self) -> bool:
        """Whether it says anything."""
        ...

    async def facts(self, request: ActionRequest) -> JSON:
        """Return names with numbers and truth values, and change nothing; raises whatever goes wrong."""
        ...


def parameters_of(action: Action) -> tuple[Parameter, ...]:
    """Return what an action must or may be told; nothing, for one that takes the question alone."""
    return action.parameters if isinstance(action, TakesArguments) else ()
