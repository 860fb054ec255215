"""Sends traces and scores to Langfuse with its own SDK; importing this takes a third of a second.

Langfuse reads OpenTelemetry: its SDK is given our provider and adds a sender of its own to it, so that a turn has
one tree of spans wherever that goes. It neither wraps other libraries nor sets anything for the process.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from langfuse import Langfuse as Client
from langfuse import LangfuseOtelSpanAttributes as Named
from langfuse._client.resource_manager import LangfuseResourceManager

from tools.telemetry import names
from tools.telemetry.opening import Langfuse
from tools.telemetry.recording import BATCH, SEND_SECONDS, Recorder
from tools.telemetry.spans import Attributes, Score, Value

_TYPES: Mapping[str, str] = {
    "request": "span",
    "run": "agent",
    "step": "chain",
    "model": "generation",
    "tool": "tool",
    "guard": "guardrail",
}
_SAME: Mapping[str, str] = {
    names.PROMPT_NAME: Named.OBSERVATION_PROMPT_NAME,
    names.PROMPT_VERSION: Named.VERSION,
    names.REQUEST_MODEL: Named.OBSERVATION_MODEL,
    names.INPUT_MESSAGES: Named.OBSERVATION_INPUT,
    names.OUTPUT_MESSAGES: Named.OBSERVATION_OUTPUT,
    names.AGENT: Named.TRACE_NAME,
}
"""What Langfuse has a name of its own for. Sessions and users it calls as OpenTelemetry does."""
_USED: Mapping[str, str] = {names.INPUT_TOKENS: "input", names.OUTPUT_TOKENS: "output"}


def in_langfuse(attributes: Attributes) -> Attributes:
    """Return attributes under the names that Langfuse reads."""
    told: dict[str, Value | None] = {
        theirs: attributes[ours] for ours, theirs in _SAME.items() if ours in attributes
    }
    if (kind := attributes.get(names.KIND)) is not None:
        told[Named.OBSERVATION_TYPE] = _TYPES[str(kind)]
    if used := {theirs: attributes[ours] for ours, theirs in _USED.items() if ours in attributes}:
        told[Named.OBSERVATION_USAGE_DETAILS] = orjson.dumps(used).decode()
    if (money := attributes.get(names.MONEY)) is not None:
        told[Named.OBSERVATION_COST_DETAILS] = orjson.dumps({"total": money}).decode()
    if (failed := attributes.get(names.ERROR)) is not None:
        told |= {Named.OBSERVATION_LEVEL: "ERROR", Named.OBSERVATION_STATUS_MESSAGE: failed}
    return told


def add_langfuse(recorder: Recorder, settings: Langfuse, seconds: int) -> None:
    """Send what a recorder records to Langfuse as well, and scores, each waiting so long at most."""
    client = Client(
        public_key=settings.public_key,
        secret_key=settings.secret_key.get_secret_value(),
        base_url=settings.url,
        timeout=seconds,
        flush_at=BATCH,
        flush_interval=SEND_SECONDS,
        tracer_provider=recorder.provider,
        # All spans of the provider are ours.
        should_export_span=lambda _span: True,
    )

    def score(it: Score) -> None:
        client.create_score(
            score_id=it.id,
            trace_id=it.trace_id,
            name=it.name,
            value=it.value,
            comment=it.comment,
            data_type="NUMERIC",
        )

    def close() -> None:
        try:
            client.shutdown()
        finally:
            # It keeps one client for each key for ever, this closed one too.
            LangfuseResourceManager._instances.pop(settings.public_key, None)

    recorder.scorers.append(score)
    recorder.closers.append(close)
