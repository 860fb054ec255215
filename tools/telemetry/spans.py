"""Spans, as the seams see them: begin one, say what it was about, end it.

Spans nest by context: one that is begun inside another's block belongs to it. Where nobody records, and that is
everywhere outside a request or a run that a recorder has begun, ``span`` gives one that does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol

from tools.telemetry import names

Kind = Literal["request", "run", "step", "model", "tool", "guard"]
Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value | None]
"""What is None is left out."""


class Span:
    """Something that takes time; this one records nothing, and is what seams get where nobody records."""

    wants_content = False
    """Whether the contents of messages are recorded, with placeholders for personal data."""
    traceparent: str | None = None
    """The span as others name it that go on from here (W3C Trace Context)."""

    def begin(self, kind: Kind, name: str, attributes: Attributes) -> Span:  # noqa: ARG002
        """Begin a span that belongs to this one; whoever begins it ends it."""
        return self

    def rename(self, name: str) -> None:
        """Give the span another name."""

    def set(self, attributes: Attributes) -> None:
        """Say more of the span."""

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something happened now."""

    def fail(self, kind: str) -> None:
        """Say that it failed and how, as a code or the name of an error: never its text."""

    def end(self) -> None:
        """End it; what is said of it afterwards is lost."""


NOTHING = Span()
_HERE: ContextVar[Span] = ContextVar("handrail_span", default=NOTHING)


def here() -> Span:
    """Return the span at hand, which records nothing where there is none."""
    return _HERE.get()


def span(kind: Kind, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Return a block that is a span, within the one at hand. An error that leaves the block is named in it."""
    parent = _HERE.get()
    return _IDLE if parent is NOTHING else Block(parent.begin(kind, name, attributes))


class Block:
    """A block of code that is a span: those begun inside belong to it."""

    __slots__ = ("_span", "_token")

    def __init__(self, inside: Span) -> None:
        self._span = inside
        self._token: Token[Span] | None = None

    def __enter__(self) -> Span:
        self._token = _HERE.set(self._span)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _HERE.reset(self._token)
        if kind is not None and issubclass(kind, Exception):
            self._span.fail(kind.__name__)
        elif kind is not None:
            # It was overtaken, or the process stops: nothing is wrong with it.
            self._span.set({names.OUTCOME: "cancelled"})
        self._span.end()


class _Idle:
    """A block without a span."""

    def __enter__(self) -> Span:
        return NOTHING

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        pass


_IDLE = _Idle()


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What the span of a run's segment begins with."""

    trace_id: str
    """The run's: the span belongs to this trace, whatever else is going on here."""
    run_id: str
    epoch: int
    name: str
    attributes: Attributes
    shared: Attributes = field(default_factory=dict)
    """What every span inside repeats, for readers that look at single spans."""
    traceparent: str | None = None
    """The span of the request that asked for the segment, in this process or another."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a person thought of a run."""

    id: str
    trace_id: str
    name: str
    value: float
    comment: str | None = None
    """With placeholders for personal data."""


class Telemetry(Protocol):
    """Records what a process does and sends it away; never raises, and never waits for whoever receives it."""

    def request(self, trace_id: str, traceparent: str | None, method: str) -> AbstractContextManager[Span]:
        """Return the block of a request; ``traceparent`` is the caller's header, if it is valid."""
        ...

    def segment(self, segment: Segment) -> AbstractContextManager[Span]:
        """Return the block of a run's segment."""
        ...

    def score(self, score: Score) -> None:
        """Tell what a person thought of a run; a second time for the same id replaces the first."""
        ...


class Silence:
    """A ``Telemetry`` that records nothing."""

    def request(self, trace_id: str, traceparent: str | None, method: str) -> AbstractContextManager[Span]:  # noqa: ARG002
        """Return a block without a span."""
        return _IDLE

    def segment(self, segment: Segment) -> AbstractContextManager[Span]:  # noqa: ARG002
        """Return a block without a span."""
        return _IDLE

    def score(self, score: Score) -> None:
        """Tell nobody."""


SILENCE = Silence()
