"""Opens what records and sends traces, as the settings say; nothing is imported for it where they say nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import SecretStr

from policies.errors import ConfigError
from tools.telemetry.spans import SILENCE, Telemetry

if TYPE_CHECKING:
    from tools.telemetry.recording import Recorder

EXPORT_SECONDS = 5
"""How long a thread waits for a receiver before it gives up on a batch."""
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Langfuse:
    """Where Langfuse is, and the keys of a project there."""

    public_key: str
    secret_key: SecretStr
    url: str


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """Where traces are sent, if anywhere, and what they may hold."""

    version: str = ""
    """Of this program."""
    otlp: str | None = None
    """The base address of a receiver that speaks OTLP over HTTP, such as ``http://127.0.0.1:4318``."""
    langfuse: Langfuse | None = None
    content: bool = False
    """Whether the contents of messages are recorded, with placeholders."""
    close_seconds: float = CLOSE_SECONDS
    """How long what waits may take to be sent at the end."""


@asynccontextmanager
async def open_telemetry(settings: TelemetrySettings) -> AsyncIterator[Telemetry]:
    """Record and send traces until the context ends, which sends the rest within ``close_seconds``.

    Raises ``ConfigError`` for an address that is none; a receiver that does not answer is no error.
    """
    if settings.otlp is None and settings.langfuse is None:
        yield SILENCE
        return
    recorder = await anyio.to_thread.run_sync(_opened, settings)
    try:
        yield recorder
    finally:
        await recorder.aclose(settings.close_seconds)


def _opened(settings: TelemetrySettings) -> Recorder:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from tools.telemetry.recording import Recorder, no_extras

    if settings.langfuse is None:
        recorder = Recorder(settings.version, content=settings.content, extras=no_extras)
    else:
        from tools.telemetry.langfuse import add_langfuse, in_langfuse

        _require_url(settings.langfuse.url, "LANGFUSE_BASE_URL")
        recorder = Recorder(settings.version, content=settings.content, extras=in_langfuse)
        add_langfuse(recorder, settings.langfuse, EXPORT_SECONDS)
    if settings.otlp is not None:
        _require_url(settings.otlp, "HANDRAIL_OTLP_ENDPOINT")
        endpoint = f"{settings.otlp.rstrip('/')}/v1/traces"
        recorder.send_to(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS))
    return recorder


def _require_url(url: str, variable: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{variable} is {url!r}, which is no address.",
            remedy="Write one such as http://127.0.0.1:4318.",
            code="settings.invalid",
        )
