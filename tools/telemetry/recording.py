"""Records spans with OpenTelemetry's library; importing this takes a tenth of a second.

The provider is our own: none is set for the process, so that what other libraries would record of texts stays
unrecorded, and spans nest by our context and not by theirs.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from threading import Thread

import anyio
import anyio.to_thread
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as Recorded

from tools.telemetry import names
from tools.telemetry.parents import caller_in
from tools.telemetry.spans import Attributes, Block, Kind, Score, Segment, Span, Value, here

log = logging.getLogger("handrail.telemetry")
QUEUE = 8_192
"""Spans that wait to be sent; a new one pushes out the oldest."""
BATCH = 128
"""Spans sent together: few, since what makes them ready to be sent competes with turns for the interpreter."""
SEND_SECONDS = 1.0
LONGEST_TEXT = 32_768
QUIET_SECONDS = 60.0
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS: Mapping[Kind, SpanKind] = {"request": SpanKind.SERVER, "model": SpanKind.CLIENT}
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
_GIVEN: ContextVar[tuple[int, int | None] | None] = ContextVar("handrail_given_ids", default=None)
Extras = Callable[[Attributes], Attributes]
"""Says what attributes are called by a receiver that has names of its own for them."""


def no_extras(_attributes: Attributes) -> Attributes:
    """Add nothing."""
    return {}


class _Seldom(logging.Filter):
    """Lets one line through and no other for a while: a receiver that is away is told with every batch."""

    _next = 0.0

    def filter(self, _record: logging.LogRecord) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + QUIET_SECONDS
        return True


for _name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal"):
    logging.getLogger(_name).addFilter(_Seldom())


class _Ids(RandomIdGenerator):
    """Ids at random, except where a span belongs to a trace that is known already and has no parent here."""

    def generate_trace_id(self) -> int:
        given = _GIVEN.get()
        return given[0] if given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        given = _GIVEN.get()
        return (given[1] if given else None) or super().generate_span_id()


class _Span(Span):
    """A span that is recorded."""

    def __init__(self, recorder: Recorder, recorded: Recorded, shared: Attributes) -> None:
        self._recorder = recorder
        self._recorded = recorded
        self._shared = shared
        self.wants_content = recorder.content

    @property
    def traceparent(self) -> str:  # type: ignore[override]  # made when it is asked for
        """The span as others name it that go on from here."""
        it = self._recorded.get_span_context()
        return f"00-{it.trace_id:032x}-{it.span_id:016x}-{it.trace_flags:02x}"

    def begin(self, kind: Kind, name: str, attributes: Attributes) -> Span:
        """Begin a span that belongs to this one."""
        within = set_span_in_context(self._recorded, Context())
        return self._recorder.begun(kind, name, attributes, within=within, shared=self._shared)

    def rename(self, name: str) -> None:
        """Give the span another name."""
        self._recorded.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Say more of the span."""
        self._recorded.set_attributes(self._recorder.written(attributes))

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something happened now."""
        self._recorded.add_event(name, self._recorder.written(attributes))

    def fail(self, kind: str) -> None:
        """Say that it failed and how."""
        self.set({names.ERROR: kind})
        self._recorded.set_status(Status(StatusCode.ERROR, kind))

    def end(self) -> None:
        """End it."""
        self._recorded.end()


class Recorder:
    """A ``Telemetry`` over OpenTelemetry; what it records waits in memory and is sent by threads."""

    def __init__(self, version: str, *, content: bool, extras: Extras = no_extras) -> None:
        """``content`` records the contents of messages; ``extras`` adds what a receiver wants besides."""
        self.content = content
        self.scorers: list[Callable[[Score], None]] = []
        self.closers: list[Callable[[], None]] = []
        self.provider = TracerProvider(
            resource=_resource(version),
            shutdown_on_exit=False,
            id_generator=_Ids(),
            span_limits=SpanLimits(max_span_attribute_length=LONGEST_TEXT),
        )
        self._extras = extras
        self._tracer: Tracer = self.provider.get_tracer("handrail", version)

    def send_to(self, exporter: SpanExporter) -> None:
        """Send spans with an exporter, in batches, from a thread of its own."""
        self.provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                schedule_delay_millis=SEND_SECONDS * 1000,
            )
        )

    def request(self, trace_id: str, traceparent: str | None, method: str) -> AbstractContextManager[Span]:
        """Return the block of a request."""
        caller = _within(_remote(traceparent))
        return Block(self.begun("request", method, {names.METHOD: method}, within=caller, given=_ids(trace_id)))

    def segment(self, segment: Segment) -> AbstractContextManager[Span]:
        """Return the block of a run's segment.

        It belongs to the request that asked for it if that is of the run's trace; otherwise it is a root of that
        trace and is linked to the request. A later segment or attempt is linked to the first one, whose id follows
        from the run's, so nothing has to be kept between processes.
        """
        ids = _ids(segment.trace_id, _span_id(segment.run_id, segment.epoch))
        asked = _remote(segment.traceparent)
        inside = asked if asked and ids and asked.trace_id == ids[0] else None
        linked = [asked] if asked and not inside else []
        if ids and segment.epoch > 1:
            first = _span_id(segment.run_id, 1)
            linked.append(SpanContext(ids[0], first, is_remote=True, trace_flags=SAMPLED))
        begun = self.begun(
            "run",
            segment.name,
            segment.attributes,
            within=_within(inside),
            shared=segment.shared,
            links=[Link(each) for each in linked],
            given=ids,
        )
        return Block(begun)

    def score(self, score: Score) -> None:
        """Tell what a person thought of a run: those who keep scores, and the span at hand."""
        here().event(
            names.EVALUATION,
            {
                names.EVALUATION_NAME: score.name,
                names.EVALUATION_VALUE: score.value,
                names.EVALUATION_EXPLANATION: score.comment,
            },
        )
        for each in self.scorers:
            each(score)

    def begun(
        self,
        kind: Kind,
        name: str,
        attributes: Attributes,
        *,
        within: Context,
        shared: Attributes | None = None,
        links: Sequence[Link] = (),
        given: tuple[int, int | None] | None = None,
    ) -> Span:
        """Begin a span within a context of OpenTelemetry's; with ``given`` ids, as far as it has no parent."""
        said = {names.KIND: kind, **attributes, **(shared or {})}
        token = _GIVEN.set(given)
        try:
            recorded = self._tracer.start_span(
                name,
                context=within,
                kind=_KINDS.get(kind, SpanKind.INTERNAL),
                attributes=self.written(said),
                links=links,
            )
        finally:
            _GIVEN.reset(token)
        return _Span(self, recorded, shared or {})

    def written(self, attributes: Attributes) -> dict[str, Value]:
        """Return attributes as they leave: without those that are None, with what a receiver wants besides."""
        return {name: it for name, it in {**attributes, **self._extras(attributes)}.items() if it is not None}

    async def aclose(self, seconds: float) -> None:
        """Send what waits, for so long at most; what is left then is lost."""
        thread = Thread(target=self._close, name="handrail-telemetry-close", daemon=True)
        thread.start()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join, seconds)
        if thread.is_alive():
            log.warning("traces were not delivered within %g seconds; the rest is lost", seconds)

    def _close(self) -> None:
        for close in [*self.closers, self.provider.shutdown]:
            try:
                close()
            except Exception as error:
                log.warning("traces may be lost: %s", type(error).__name__)


def _resource(version: str) -> Resource:
    """Return what names the process; OpenTelemetry's own variables go before ours."""
    ours = Resource.create({"service.name": "handrail", "service.version": version})
    return ours.merge(OTELResourceDetector().detect())


def _remote(traceparent: str | None) -> SpanContext | None:
    """Return the span that a header names, as one that is recorded: who asks does not settle what we record."""
    named = caller_in([traceparent]) if traceparent else None
    return named and SpanContext(named.trace_id, named.span_id, is_remote=True, trace_flags=SAMPLED)


def _within(parent: SpanContext | None) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()


def _ids(trace_id: str, span_id: int | None = None) -> tuple[int, int | None] | None:
    return (int(trace_id, 16), span_id) if _TRACE.fullmatch(trace_id) else None


def _span_id(run_id: str, epoch: int) -> int:
    """Return the id of a segment's span, the same in every process."""
    digest = hashlib.blake2b(f"{run_id}:{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) or 1
