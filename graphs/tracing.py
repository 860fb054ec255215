"""What traces say of runs and reviews: who the conversation is of, without saying who that is."""

from __future__ import annotations

from importlib.metadata import version

from graphs.settings import Settings, secret
from graphs.turn import Turn
from policies.errors import ConfigError
from policies.types import JSON
from tools.storage import runs
from tools.storage.reviews import Review
from tools.storage.runs import Run
from tools.storage.sealing import Sealer
from tools.storage.store import Tx
from tools.telemetry import names
from tools.telemetry.contents import masked, written
from tools.telemetry.opening import CLOSE_SECONDS, Langfuse, TelemetrySettings
from tools.telemetry.spans import Attributes, Score, Segment, Span

SCORES = {"approve": 1.0, "edit": 0.5, "reject": 0.0}
"""What a review says of a draft."""
USER_DIGITS = 32
LANGFUSE_CLOUD = "https://cloud.langfuse.com"


def telemetry_settings(settings: Settings) -> TelemetrySettings:
    """Return where traces go, from our settings and from the variables that OpenTelemetry and Langfuse name.

    Raises ``ConfigError`` where one of Langfuse's two keys is missing.
    """
    standard = secret("OTEL_EXPORTER_OTLP_ENDPOINT")
    return TelemetrySettings(
        version=version("handrail"),
        otlp=settings.otlp_endpoint or (standard.get_secret_value() if standard else None),
        langfuse=_langfuse(),
        content=settings.trace_content,
        close_seconds=min(settings.drain_seconds, CLOSE_SECONDS),
    )


def _langfuse() -> Langfuse | None:
    public, private = secret("LANGFUSE_PUBLIC_KEY"), secret("LANGFUSE_SECRET_KEY")
    if public is None and private is None:
        return None
    if public is None or private is None:
        missing = "LANGFUSE_SECRET_KEY" if public else "LANGFUSE_PUBLIC_KEY"
        raise ConfigError(
            f"Langfuse takes two keys, and {missing} is not set.",
            remedy="Set it, or unset the other one.",
            code="settings.invalid",
        )
    url = secret("LANGFUSE_BASE_URL") or secret("LANGFUSE_HOST")
    return Langfuse(
        public_key=public.get_secret_value(),
        secret_key=private,
        url=url.get_secret_value() if url else LANGFUSE_CLOUD,
    )


def segment_of(run: Run, *, who: str, user: str | None, traceparent: str | None) -> Segment:
    """Return what the span of a segment begins with; ``who`` is the assistant that works on it."""
    workflow = run.graph != "support"
    about: Attributes = {
        names.OPERATION: "invoke_workflow" if workflow else "invoke_agent",
        names.WORKFLOW if workflow else names.AGENT: run.graph if workflow else who,
        names.AGENT_VERSION: run.assistant_version,
        names.RUN: run.id,
        names.EPOCH: run.epoch,
        names.ATTEMPT: run.attempts,
    }
    return Segment(
        trace_id=run.trace_id,
        run_id=run.id,
        epoch=run.epoch,
        name=f"{about[names.OPERATION]} {run.graph if workflow else who}",
        attributes=about,
        shared={
            names.CONVERSATION: run.conversation_id,
            names.SESSION: run.conversation_id,
            names.USER: user,
        },
        traceparent=traceparent,
    )


def tell_ending(span: Span, turn: Turn, *, waits: bool) -> None:
    """Say how a segment ended: what it was about and, where contents are wanted, what was asked and said."""
    span.set({names.OUTCOME: "waiting" if waits else "ended", names.INTENT: turn.intent})
    if span.wants_content:
        said = " ".join(each.text for each in turn.released or turn.passed)
        span.set(
            {
                names.INPUT_MESSAGES: written([("user", turn.run.input["question"])]),
                names.OUTPUT_MESSAGES: written([("assistant", said)]) if said else None,
            }
        )


def user_of(sealer: Sealer, workspace_id: str, customer: JSON) -> str | None:
    """Return a digest of the customer's id, which only this installation's key could find again."""
    known = customer.get("id")
    return sealer.digest(f"trace:{workspace_id}:{known}")[:USER_DIGITS] if known else None


def score_of(tx: Tx, review: Review) -> Score | None:
    """Return what a closed review says of its run; its note has placeholders, as it is stored."""
    answer = review.answer or {}
    # A workflow's question is about no draft, and its answer may have any shape.
    value = None if review.kind == "workflow" else SCORES.get(answer.get("decision", ""))
    if value is None:
        return None
    note = answer.get("note")
    return Score(
        id=review.id,
        trace_id=runs.get(tx, review.run_id).trace_id,
        name="review",
        value=value,
        comment=masked(note) if note else None,
    )
