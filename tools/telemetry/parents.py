"""Reads who calls, from the header ``traceparent`` (W3C Trace Context), with OpenTelemetry's own reader."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_READER = TraceContextTextMapPropagator()


def caller_in(headers: Sequence[str]) -> SpanContext | None:
    """Return the span that calls, or None where there is no header, more than one, or one that is invalid."""
    if len(headers) != 1:
        return None
    named = get_current_span(_READER.extract({"traceparent": headers[0]}, Context())).get_span_context()
    return named if named.is_valid else None


def trace_of(caller: SpanContext) -> str:
    """Return the id of the trace that a span is of, as 32 hexadecimal digits."""
    return format_trace_id(caller.trace_id)
