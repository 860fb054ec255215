"""The ports for language models, and the values that pass through them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from policies.budgets import ENOUGH, BudgetOutcome, Scope, Spent
from policies.sections import Budgets
from policies.types import Tier

Role = Literal["system", "user", "assistant"]
WHOLE = frozenset({"", "stop", "end_turn", "stop_sequence", "tool_calls", "tool_use", "function_call"})
"""How a reply ends, by provider, that was not cut by a limit or by the provider's own guards."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """A text that a model reads and does not obey: a customer's words, a passage, what a tool returned."""

    kind: str
    """What it is, as one word: ``passage``, ``message``, ``draft``."""
    text: str
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message to a model: words of ours, then the data they are about."""

    role: Role
    text: str = ""
    data: tuple[Data, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who pays for a call, and what it belongs to."""

    workspace_id: str
    conversation_id: str
    run_id: str
    intent: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """What is asked of a model, by whom, until when, and who may read it."""

    task: str
    """What it is for, such as ``draft``; for figures, the models don't see it."""
    tiers: tuple[Tier, ...]
    """Which tiers are asked, in this order; ``local``, where it stands, ends the chain."""
    messages: tuple[Message, ...]
    account: Account
    deadline: datetime
    """When the answer is of no use any more; no call is begun or goes on after it."""
    consent: Mapping[str, object] = field(default_factory=dict)
    """What the customer agreed to, as ``policies.consent`` reads it."""
    private_only: bool = False
    """Whether only models marked private or on this machine may read it, whatever the customer agreed to."""
    prompt_version: str = ""
    policy_version: str = ""
    passages: tuple[str, ...] = ()
    """Ids of the passages the messages were made from, with the version of their index."""
    budgets: Budgets = field(default_factory=Budgets)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What calls have used."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input, what the provider had read before and charges less for."""
    money: float = 0.0
    priced: bool = True
    """False when no price is known: the money is then too low."""
    estimated: bool = False
    """True when the provider did not say, so that tokens were estimated from the length of the texts."""

    @property
    def tokens(self) -> int:
        """Read and written together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            money=self.money + other.money,
            priced=self.priced and other.priced,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool that the model wants to be called."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A model that gave no answer, and why: a stable code and a sentence for staff."""

    tier: Tier
    model: str
    code: str
    text: str
    calls: int = 0
    """How often the provider was called."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """How a request ended. When ``tier`` is ``local`` no model answered and the local tier must."""

    tier: Tier
    model: str | None = None
    text: str | None = None
    value: BaseModel | None = None
    """The validated reply, when a schema was asked for."""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    """What the provider says of how the reply ended: ``stop``, ``length``."""
    usage: Usage = Usage()
    """All that was used, by tiers that failed too; nothing when the reply was cached."""
    cached: bool = False
    calls: int = 0
    """How often providers were called, failed and second tries included."""
    degraded: tuple[Tried, ...] = ()
    """What was tried before, in order; empty when the first choice answered."""
    budget: BudgetOutcome = ENOUGH
    """What the budgets asked for; ``review`` is for whoever uses the reply to heed."""
    first_token_ms: float = 0.0
    total_ms: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether the provider says that it ended by itself, or says nothing."""
        return self.finish.lower() in WHOLE


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One item of a stream. The last one, and only that, has a completion."""

    text: str = ""
    restart: bool = False
    """Whether all text before is void, because the reply broke off and is begun anew. Who has used the text
    already stops reading here: then nothing more is called.
    """
    completion: Completion | None = None


class Models(Protocol):
    """Asks language models by tier; never raises because a model fails."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Yield the reply as it is written, and last a piece with the completion.

        Who stops early closes it (``contextlib.aclosing``), which ends the provider's connection.
        """
        ...

    async def complete(self, request: ModelRequest, schema: type[BaseModel] | None = None) -> Completion:
        """Return the whole reply, validated when there is a schema."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Money and tokens that a call may use up, set aside until it has ended."""

    id: str
    account: Account
    day: str
    before: Mapping[Scope, Spent]
    """What was spent and set aside for others at the moment before."""


class Spending(Protocol):
    """Keeps what models have cost, by run, conversation, intent, workspace and day (UTC)."""

    async def hold(self, account: Account, estimate: Usage) -> Hold:
        """Set something aside and say what was gone before, in one step: no two see the same rest."""
        ...

    async def settle(self, hold: Hold, used: Usage, *, calls: int = 0) -> None:
        """Replace what was set aside by what so many calls used; a second time changes nothing."""
        ...

    async def save(self, account: Account, saved: Usage) -> None:
        """Count a call that was not made because the reply was kept, and what it would have cost."""
        ...

    async def spent(self, account: Account) -> Mapping[Scope, Spent]:
        """Return what is spent and set aside in the scopes that budgets are about."""
        ...
