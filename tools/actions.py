"""Actions: what an assistant does beyond answering, such as looking up an order or sending money back.

An action with ``effect`` changes something outside. It is called after a receipt of it is on disk, and its request
carries the receipt's key: a system that knows the key can refuse to do the same thing twice. Only then may the
action say ``idempotent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
