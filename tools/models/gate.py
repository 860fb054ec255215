"""Who may call a model now: one gate for all callers of it, so that a failing provider is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiolimiter import AsyncLimiter
from purgatory.domain.model import HALF_OPENED, Context, OpenedState

from tools.models.faults import REFUSED, CallFailed, Fault, read_fault
from tools.models.settings import ModelSettings

MINUTE = 60.0
LONGEST_QUIET = 600.0


class Circuit:
    """Opens after failures in a row, and after a while lets one call alone try.

    States and times are purgatory's; what it lacks is that a trial is alone and that a call which was cancelled
    says nothing.
    """

    def __init__(self, name: str, opens_after: int, opens_seconds: float) -> None:
        self._state = Context(name, opens_after, opens_seconds)
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the last thing known is that it fails; a trial may be due all the same."""
        return self._state.state != "closed"

    def enter(self) -> bool:
        """Let a call pass, or raise ``CallFailed`` at once; says whether it is the one that tries."""
        try:
            self._state.handle_new_request()
        except OpenedState:
            raise CallFailed(LEFT_ALONE) from None
        if self._state.state != HALF_OPENED:
            return False
        if self._trying:
            raise CallFailed(LEFT_ALONE)
        self._trying = True
        return True

    def leave(self, tries: bool, error: Exception | None = None, *, tells: bool = True) -> None:
        """Note how a call ended, for which ``enter`` said that it ``tries`` or not.

        One that was cancelled, or failed through no fault of the provider, tells nothing.
        """
        if tells and error is not None:
            self._state.handle_exception(error)
        elif tells:
            self._state.handle_end_request()
        self._trying = self._trying and not tries
        # Kept for those who listen, which nobody does.
        self._state.messages.clear()


LEFT_ALONE = Fault(
    code="model.circuit_open",
    text="It failed several times and is left alone for a while.",
    retry=False,
    blames=False,
)
QUIET = Fault(code="model.rate_limited", text="It asked to be left alone for a while.", retry=False, blames=False)
BUSY = Fault(code="model.busy", text="Too many calls wait for it.", retry=False, blames=False)


class Gate:
    """Lets calls of one model pass: so many at once, so many a minute, none while it is left alone."""

    def __init__(self, settings: ModelSettings) -> None:
        self.circuit = Circuit(settings.name, settings.opens_after, settings.opens_seconds)
        self._settings = settings
        self._slots = anyio.Semaphore(settings.concurrency)
        self._requests = _limiter(settings.requests_a_minute)
        self._tokens = _limiter(settings.tokens_a_minute)
        self._quiet_until = 0.0

    def has_room(self) -> bool:
        """Whether a call could begin at once; second tries are made only then."""
        return (
            self._slots.value > 0
            and not self.circuit.is_open
            and (self._requests is None or self._requests.has_capacity())
            and self._quiet_until <= anyio.current_time()
        )

    @asynccontextmanager
    async def entered(self, tokens: int, until: float) -> AsyncIterator[None]:
        """Wait for a turn, hold it during the block, and learn from how the block ends.

        Raises ``CallFailed`` when the model is left alone, or the turn would come too late.
        """
        await self._take_turn(tokens, until)
        try:
            tries = self.circuit.enter()
            try:
                yield
            except Exception as error:
                self._learn(error, tries)
                raise
            except BaseException:
                self.circuit.leave(tries, tells=False)
                raise
            self.circuit.leave(tries)
        finally:
            self._slots.release()

    async def _take_turn(self, tokens: int, until: float) -> None:
        late = min(until, anyio.current_time() + self._settings.wait_seconds)
        with anyio.move_on_at(late):
            await self._slots.acquire()
            try:
                # All may have been told to wait while this one queued; then the next gets its place at once.
                if self._quiet_until > late:
                    raise CallFailed(QUIET)
                await anyio.sleep_until(self._quiet_until)
                if self._requests is not None:
                    await self._requests.acquire()
                if self._tokens is not None:
                    await self._tokens.acquire(min(tokens, self._tokens.max_rate))
            except BaseException:
                self._slots.release()
                raise
            return
        raise CallFailed(BUSY)

    def _learn(self, error: Exception, tries: bool) -> None:
        fault = read_fault(error)
        if fault.after is not None:
            quiet = anyio.current_time() + min(fault.after, LONGEST_QUIET)
            self._quiet_until = max(self._quiet_until, quiet)
        if fault.blames:
            self.circuit.leave(tries, error)
        else:
            # Who refuses a request is well.
            self.circuit.leave(tries, tells=fault.code == REFUSED)


def _limiter(a_minute: int | None) -> AsyncLimiter | None:
    return AsyncLimiter(a_minute, MINUTE) if a_minute else None
