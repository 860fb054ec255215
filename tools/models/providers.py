"""Opens a model by its provider's name. A provider's package is imported only here, and only when it is needed."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from policies.errors import ConfigError
from tools.models.settings import OLLAMA_URL, ModelSettings

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = SecretStr("none")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A provider's client, and how it is closed."""

    model: BaseChatModel
    close: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """How models of one provider are opened."""

    module: str
    extra: str
    needs_key: bool
    open: Callable[[ModelSettings], Opened]


@cache
def _tls() -> ssl.SSLContext:
    import httpx

    # Reading the certificates takes longer than all the rest of opening a model.
    return httpx.create_ssl_context()


@cache
def _idle() -> httpx.Client:
    # For calls that block, which nobody makes; without it every model would read the certificates again.
    import httpx

    return httpx.Client(verify=_tls())


def _openai(settings: ModelSettings) -> Opened:
    import httpx

    # A client of our own: the shared one would outlive us. Other time-outs than for connecting are our callers'.
    timeout = httpx.Timeout(None, connect=settings.connect_seconds)
    http = httpx.AsyncClient(
        timeout=timeout,
        verify=_tls(),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
    )
    arguments = {
        "base_url": settings.base_url or OPENAI_URL,
        "api_key": settings.api_key or NO_KEY,
        "timeout": timeout,
        "max_retries": 0,
        "stream_usage": True,
        "http_client": _idle(),
        "http_async_client": http,
        "use_responses_api": False,
        # It would make a task of every chunk; we time them ourselves.
        "stream_chunk_timeout": None,
    }
    model: Any = _made("langchain_openai", "ChatOpenAI", settings, arguments)
    from tools.models.openai_chunks import PlainCompletions

    model.async_client = PlainCompletions(model.root_async_client)
    return Opened(model=model, close=http.aclose)


def _anthropic(settings: ModelSettings) -> Opened:
    arguments: dict[str, Any] = {"timeout": settings.total_seconds, "max_retries": 0}
    arguments |= {"base_url": settings.base_url} if settings.base_url else {}
    arguments |= {"api_key": settings.api_key or NO_KEY}
    return Opened(model=_made("langchain_anthropic", "ChatAnthropic", settings, arguments))


def _google(settings: ModelSettings) -> Opened:
    # It counts its first try as a retry.
    arguments: dict[str, Any] = {"request_timeout": settings.total_seconds, "retries": 1}
    arguments |= {"base_url": settings.base_url} if settings.base_url else {}
    arguments |= {"api_key": settings.api_key or NO_KEY}
    return Opened(model=_made("langchain_google_genai", "ChatGoogleGenerativeAI", settings, arguments))


def _ollama(settings: ModelSettings) -> Opened:
    arguments: dict[str, Any] = {
        "base_url": settings.base_url or OLLAMA_URL,
        "num_predict": settings.max_tokens,
        "client_kwargs": {"timeout": settings.total_seconds},
    }
    return Opened(model=_made("langchain_ollama", "ChatOllama", settings, arguments, limit=None))


def _made(
    module: str, name: str, settings: ModelSettings, arguments: Mapping[str, Any], limit: str | None = "max_tokens"
) -> BaseChatModel:
    given: dict[str, Any] = {"model": settings.model, **arguments}
    if limit is not None:
        given[limit] = settings.max_tokens
    if settings.temperature is not None:
        given["temperature"] = settings.temperature
    try:
        model: BaseChatModel = getattr(import_module(module), name)(**given | dict(settings.options))
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The model {settings.name} can't be opened: {type(error).__name__}.",
            remedy="Look at its name and `options`; install the extra again if its package is damaged.",
            code="model.open",
        ) from error
    return model


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(module="langchain_openai", extra="openai", needs_key=True, open=_openai),
    "anthropic": Provider(module="langchain_anthropic", extra="anthropic", needs_key=True, open=_anthropic),
    "google": Provider(module="langchain_google_genai", extra="google", needs_key=True, open=_google),
    "ollama": Provider(module="langchain_ollama", extra="ollama", needs_key=False, open=_ollama),
}


def check_provider(settings: ModelSettings, providers: Mapping[str, Provider] = PROVIDERS) -> Provider:
    """Return the provider of a model, or raise ``ConfigError`` that says what to write, install or set.

    Imports nothing and asks nobody.
    """
    provider = providers.get(settings.provider)
    if provider is None:
        raise ConfigError(
            f"The model {settings.name} is of an unknown provider, {settings.provider!r}.",
            remedy=f"Known are: {', '.join(sorted(providers))}. A server that speaks the wire of OpenAI is "
            "openai:model with its base_url.",
            code="model.provider",
        )
    if find_spec(provider.module) is None:
        raise ConfigError(
            f"The model {settings.name} needs the package {provider.module}, which is not installed.",
            remedy=f"Install the extra: pip install 'handrail[{provider.extra}]'.",
            code="model.not_installed",
        )
    if provider.needs_key and settings.api_key is None and settings.base_url is None:
        raise ConfigError(
            f"The model {settings.name} has no key.",
            remedy=f"Set the API key of {settings.provider}, or the base_url of a server that needs none.",
            code="model.no_key",
        )
    return provider


def open_model(settings: ModelSettings) -> Opened:
    """Make a provider's client; its package is imported, which may take seconds, so call it in a thread."""
    return check_provider(settings).open(settings)
