"""Mandates: on whose behalf, at whose cost and until when agents may ask language models in one turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from policies.sections import Budgets
from policies.types import Tier
from tools.models.ports import Account, Completion, Message, ModelRequest


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to language models, and how it ended."""

    task: str
    prompt: str
    """Name and version of the prompt, such as ``draft@1f0c9a2b``."""
    completion: Completion


@dataclass(frozen=True, kw_only=True)
class Mandate:
    """What whoever runs a turn lends its agents; without one they do without language models."""

    account: Account
    deadline: datetime
    note: Callable[[Asked], None]
    """Is told of every request, answered or not, as soon as it has ended."""
    consent: Mapping[str, object] = field(default_factory=dict)
    private_only: bool = False
    policy_version: str = ""
    budgets: Budgets = field(default_factory=Budgets)

    def request(
        self,
        task: str,
        tiers: Sequence[Tier],
        messages: Sequence[Message],
        *,
        prompt: str,
        passages: Sequence[str] = (),
    ) -> ModelRequest:
        """Return a request within this mandate; ``prompt`` is the name and version of the prompt."""
        return ModelRequest(
            task=task,
            tiers=tuple(tiers),
            messages=tuple(messages),
            account=self.account,
            deadline=self.deadline,
            consent=self.consent,
            private_only=self.private_only,
            prompt_version=prompt,
            policy_version=self.policy_version,
            passages=tuple(passages),
            budgets=self.budgets,
        )
