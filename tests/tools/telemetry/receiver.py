"""A receiver of traces on the loopback, over real HTTP: OTLP, and what Langfuse answers beside it."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

LIMIT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Received:
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    links: tuple[tuple[str, str], ...]
    """Trace and span that it is linked to."""
    failed: bool

    @property
    def kind(self) -> str:
        """What kind of span of ours it is."""
        return str(self.attributes["handrail.kind"])


@dataclass
class Receiver:
    """What has arrived."""

    url: str = ""
    status: int = 200
    gate: threading.Event = field(default_factory=threading.Event)
    """Requests wait for it; set unless the receiver hangs."""
    spans: list[Received] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    """Path, headers and body of every request, as text could be found in it."""

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Wait until something holds of what has arrived; blocks, so call it in a thread."""
        until = time.monotonic() + LIMIT_SECONDS
        while not holds():
            assert time.monotonic() < until, [each.name for each in self.spans]
            time.sleep(0.01)

    def of_trace(self, trace_id: str) -> list[Received]:
        """Return the spans of one trace."""
        return [each for each in self.spans if each.trace_id == trace_id]

    def children(self, span_id: str) -> list[Received]:
        """Return what belongs to a span directly."""
        return [each for each in self.spans if each.parent_id == span_id]

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Keep one request and decode it."""
        body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.bodies.append((path, headers, body))
        if path.endswith("/v1/traces"):
            self.spans += _spans(body)
        elif path == "/api/public/scores":
            self.scores += json.loads(body)


def _spans(body: bytes) -> Iterator[Received]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _received(span)


def _received(span: Sent) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_read(span.attributes),
        events=tuple((each.name, _read(each.attributes)) for each in span.events),
        links=tuple((each.trace_id.hex(), each.span_id.hex()) for each in span.links),
        failed=span.status.code == 2,
    )


def _read(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {each.key: _value(each.value) for each in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, str(kind))


@contextmanager
def receiving(*, status: int = 200, hangs: bool = False) -> Iterator[Receiver]:
    """Receive traces at a free port; with another ``status`` they are refused, and who ``hangs`` never answers."""
    receiver = Receiver(status=status)
    if not hangs:
        receiver.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.gate.wait(LIMIT_SECONDS)
            receiver.take(self.path, {name.lower(): it for name, it in self.headers.items()}, body)
            answer = b"{}" if "/scores" in self.path else b""
            self.send_response(receiver.status)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: Any) -> None:
            """Write nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Take a client that leaves early for granted."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
