"""What is set of each language model; handed in by whoever builds the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from policies.errors import ConfigError
from policies.folder import Structured
from policies.types import Tier

OLLAMA_URL = "http://127.0.0.1:11434"
ADDRESSES = ("anthropic_api_url", "base_url", "openai_api_base")
"""Arguments by which clients take where they are served; ours says whether what they read stays here."""
ELSEWHERE = (":cloud", "-cloud")
"""How models end that a server of Ollama's on this machine only hands on to the makers' own."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a million tokens cost, in the currency of the budgets."""

    input: float
    output: float
    cached: float | None = None
    """For input that the provider had read before; as ``input`` when None."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """One model: how it is reached, how long it may take, how much may be asked of it."""

    name: str
    """``provider:model``, such as ``openai:gpt-4o-mini`` or ``ollama:llama3.2``."""
    api_key: SecretStr | None = None
    base_url: str | None = None
    """Where it is served, when not at the provider's own address: any server that speaks the wire of OpenAI."""
    private: bool | None = None
    """Whether what it reads stays with us, so that no consent is needed; left out, where it is served decides."""
    connect_seconds: float = 5.0
    first_token_seconds: float = 20.0
    total_seconds: float = 60.0
    """For one call; the time that a reader of the stream takes does not count."""
    wait_seconds: float = 10.0
    """How long a call waits for its turn before the next tier is asked."""
    retries: int = 2
    first_wait: float = 0.5
    """Before the first retry up to so many seconds are waited, then twice as many, at random (full jitter)."""
    longest_wait: float = 30.0
    """A provider that asks for a longer wait is not waited for."""
    opens_after: int = 5
    """So many failures in a row, of all callers together, and it is left alone."""
    opens_seconds: float = 30.0
    """For so long; then one call alone tries it again."""
    concurrency: int = 8
    requests_a_minute: int | None = None
    tokens_a_minute: int | None = None
    hedge_seconds: float | None = None
    """If no token has come by then, a second call is made and the quicker one kept; both are paid for."""
    max_tokens: int = 1024
    temperature: float | None = None
    structured: Structured | None = None
    """How a reply in a schema is asked for; None leaves it to the provider's client, and with a ``base_url`` to
    what the server turns out to know."""
    announces_end: bool = True
    """Whether the provider says why a reply ended; without that, a stream that is cut looks whole."""
    price: Price | None = None
    """Goes before the price list."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments for the provider's client, as they are."""

    def __post_init__(self) -> None:
        if not all(self.name.partition(":")):
            raise ConfigError(
                f"The model {self.name!r} names no provider.",
                remedy="Write provider:model, such as openai:gpt-4o-mini or ollama:llama3.2.",
                code="model.name",
            )
        for name in ("connect_seconds", "first_token_seconds", "total_seconds", "concurrency", "opens_after"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"{name} of the model {self.name} is {getattr(self, name)}.",
                    remedy="Give it a number above 0.",
                    code="model.setting",
                )
        if named := sorted(set(ADDRESSES) & set(self.options)):
            raise ConfigError(
                f"`options` of the model {self.name} says by {named[0]} where it is served.",
                remedy="Write `base_url` beside its name instead: it settles whether consent is needed.",
                code="model.setting",
            )

    @property
    def provider(self) -> str:
        """What stands before the colon."""
        return self.name.partition(":")[0]

    @property
    def model(self) -> str:
        """What stands after the colon: the name the provider knows it by."""
        return self.name.partition(":")[2]

    @property
    def stays_here(self) -> bool:
        """Whether what it reads stays with us: it is marked so, or is served on this machine and not marked."""
        if self.private is not None:
            return self.private
        if self.provider != "ollama":
            return _is_loopback(self.base_url or "")
        return _is_loopback(self.base_url or OLLAMA_URL) and not self.model.endswith(ELSEWHERE)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class ModelsSettings:
    """The models of each tier, and how many replies are kept."""

    tiers: Mapping[Tier, tuple[ModelSettings, ...]]
    """Several models of a tier are asked one after the other."""
    cache_entries: int = 1024
    """0 keeps none."""
    cache_seconds: float = 3600.0
