from __future__ import annotations

import anyio
import pytest

from tests.tools.models.requests import quick
from tools.models.faults import CallFailed
from tools.models.gate import Circuit, Gate

pytestmark = pytest.mark.anyio

FAILURE = ConnectionError("down")


def opened_circuit() -> Circuit:
    circuit = Circuit("stub", opens_after=1, opens_seconds=0.0)
    circuit.leave(circuit.enter(), FAILURE)
    return circuit


def test_a_trial_that_was_cancelled_tells_nothing_and_the_next_call_tries() -> None:
    circuit = opened_circuit()
    assert circuit.enter()
    with pytest.raises(CallFailed):
        circuit.enter()
    circuit.leave(True, tells=False)
    assert circuit.is_open
    circuit.leave(circuit.enter())
    assert (circuit.is_open, circuit.enter()) == (False, False)


def test_a_call_from_before_does_not_end_the_trial() -> None:
    circuit = opened_circuit()
    assert circuit.enter()
    circuit.leave(False, tells=False)
    with pytest.raises(CallFailed):
        circuit.enter()


async def test_a_place_is_given_back_however_a_call_ends() -> None:
    gate = Gate(quick(concurrency=1, wait_seconds=0.02))
    until = anyio.current_time() + 1

    async def fail() -> None:
        async with gate.entered(1, until):
            assert not gate.has_room()
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        await fail()
    with anyio.move_on_after(0.01):
        async with gate.entered(1, until):
            await anyio.sleep(1)
    async with gate.entered(1, until):
        with pytest.raises(CallFailed, match="Too many calls wait"):
            await gate.entered(1, until).__aenter__()
    assert gate.has_room()


async def test_a_request_larger_than_the_limit_of_a_minute_is_let_pass_alone() -> None:
    gate = Gate(quick(tokens_a_minute=10, wait_seconds=0.02))
    async with gate.entered(1_000, anyio.current_time() + 1):
        pass
    with pytest.raises(CallFailed):
        await gate.entered(1, anyio.current_time() + 1).__aenter__()
