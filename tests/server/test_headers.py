from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from starlette.datastructures import Headers

from policies.errors import InputError
from server.headers import idempotency_key, last_event_number, wait_seconds, wants_events


@dataclass(frozen=True, kw_only=True)
class Accept:
    id: str
    accept: list[str]
    events: bool


ACCEPTS = [
    Accept(id="nothing said", accept=[], events=False),
    Accept(id="anything", accept=["*/*"], events=False),
    Accept(id="events", accept=["text/event-stream"], events=True),
    Accept(id="events in capitals", accept=["TEXT/EVENT-STREAM"], events=True),
    Accept(id="json", accept=["application/json"], events=False),
    Accept(id="either, equally", accept=["application/json, text/event-stream"], events=True),
    Accept(id="json rather", accept=["text/event-stream;q=0.5, application/json"], events=False),
    Accept(id="events rather", accept=["application/json;q=0.1", "text/event-stream; q=0.2"], events=True),
    Accept(id="no events", accept=["text/event-stream;q=0"], events=False),
    Accept(id="no weight at all", accept=["text/event-stream;q=much"], events=False),
]


@pytest.mark.parametrize("case", ACCEPTS, ids=lambda case: case.id)
def test_events_are_sent_to_those_who_ask_for_them(case: Accept) -> None:
    headers = Headers(raw=[(b"accept", each.encode()) for each in case.accept])
    assert wants_events(headers) is case.events


@dataclass(frozen=True, kw_only=True)
class Wait:
    id: str
    prefer: list[str] = field(default_factory=list)
    seconds: float


WAITS = [
    Wait(id="nothing said", seconds=30),
    Wait(id="seconds", prefer=["wait=5"], seconds=5),
    Wait(id="quoted, with another", prefer=['return=minimal, Wait = "7"'], seconds=7),
    Wait(id="at once", prefer=["wait=0"], seconds=0),
    Wait(id="respond-async", prefer=["respond-async, wait=9"], seconds=0),
    Wait(id="too long", prefer=["wait=3600"], seconds=60),
    Wait(id="no number", prefer=["wait=long"], seconds=30),
    Wait(id="in a second header", prefer=["return=minimal", "wait=3"], seconds=3),
]


@pytest.mark.parametrize("case", WAITS, ids=lambda case: case.id)
def test_a_client_says_how_long_it_waits(case: Wait) -> None:
    assert wait_seconds(Headers(raw=[(b"prefer", each.encode()) for each in case.prefer])) == case.seconds


def test_without_a_key_nothing_is_idempotent() -> None:
    assert idempotency_key(Headers({})) is None


@pytest.mark.parametrize("key", ["a", "k" * 255, '"8e03978e-40d5"', "with space ~"])
def test_a_key_is_taken_as_it_is(key: str) -> None:
    assert idempotency_key(Headers({"Idempotency-Key": key})) == key


@pytest.mark.parametrize("keys", [[""], ["k" * 256], ["caf\xe9"], ["a\x7f"], ["a", "b"]])
def test_a_key_that_can_not_be_kept_is_refused(keys: list[str]) -> None:
    headers = Headers(raw=[(b"idempotency-key", each.encode("latin-1")) for each in keys])
    with pytest.raises(InputError) as caught:
        idempotency_key(headers)
    assert caught.value.code == "idempotency.key"


def test_a_reader_goes_on_after_its_last_event() -> None:
    assert last_event_number(Headers({"Last-Event-ID": "run_1:12"}), "run_1") == 12
    assert last_event_number(Headers({"Last-Event-ID": ""}), "run_1") is None
    assert last_event_number(Headers({}), "run_1") is None


@pytest.mark.parametrize("given", ["12", "run_1:", "run_1:x", ":3", "run_1:1:2", "run_1:-1", "run_1:" + "1" * 16])
def test_a_malformed_id_is_refused(given: str) -> None:
    with pytest.raises(InputError) as caught:
        last_event_number(Headers({"Last-Event-ID": given}), "run_1")
    assert caught.value.code == "last_event_id.malformed"


def test_the_id_of_another_stream_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        last_event_number(Headers({"Last-Event-ID": "run_2:1"}), "run_1")
    assert caught.value.code == "last_event_id.foreign"
