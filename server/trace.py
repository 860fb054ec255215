"""Gives each request its trace: the caller's, as its ``traceparent`` says, or a new one. Plain ASGI, outermost."""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.telemetry import names
from tools.telemetry.parents import caller_in, trace_of
from tools.telemetry.spans import SILENCE, Span, Telemetry
from tools.tracing import bound

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds and tells nothing."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Trace:
    """Binds the trace of a request, for logs and ledger, and records it as a span where spans are recorded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope).getlist("traceparent")
        caller = caller_in(headers)
        trace = trace_of(caller) if caller else secrets.token_hex(16)
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        with (
            bound(trace=trace),
            _telemetry(scope).request(trace, headers[0] if caller else None, method) as span,
        ):
            await self._app(scope, receive, _noting(send, span))
            _name(span, method, scope)


def _telemetry(scope: Scope) -> Telemetry:
    product = scope["app"].state.lifecycle.product
    return product.telemetry if product else SILENCE


def _noting(send: Send, span: Span) -> Send:
    """Return ``send`` with a look at the status as it passes."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set({names.STATUS: status})
            if status >= 500:
                span.fail(str(status))
        await send(message)

    return noting


def _name(span: Span, method: str, scope: Scope) -> None:
    """Name a span by its route's pattern: a path may hold what a caller typed."""
    pattern = getattr(scope.get("route"), "path", None)
    span.set({names.ROUTE: pattern})
    span.rename(f"{method} {pattern}" if pattern else method)
