from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

import anyio.lowlevel
import pytest
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, session_attributes, user_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from pydantic import SecretStr

from policies.errors import ConfigError
from tests.tools.telemetry.receiver import receiving
from tools.telemetry import names
from tools.telemetry.contents import masked, written
from tools.telemetry.opening import Langfuse, TelemetrySettings, open_telemetry
from tools.telemetry.spans import NOTHING, SILENCE, Score, Segment, here, span

pytestmark = pytest.mark.anyio
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-00"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


def segment(epoch: int = 1, traceparent: str | None = None, trace_id: str = TRACE) -> Segment:
    return Segment(
        trace_id=trace_id,
        run_id="run_1",
        epoch=epoch,
        name="invoke_agent tea-shop",
        attributes={names.OPERATION: "invoke_agent", names.EPOCH: epoch},
        shared={names.SESSION: "con_1", names.USER: None},
        traceparent=traceparent,
    )


async def test_spans_nest_in_the_callers_trace() -> None:
    with receiving() as receiver:
        async with open_telemetry(TelemetrySettings(otlp=receiver.url)) as telemetry:
            with (
                telemetry.request(TRACE, CALLER, "POST") as request,
                telemetry.segment(segment(traceparent=request.traceparent)),
                span("step", "draft", {names.STEP: "draft"}) as step,
            ):
                with span("guard", "guard tone", {names.SCORE: 0.25, names.TIER: None}):
                    pass
                step.event("degraded", {names.TIER: "small"})
        asked, run, draft, guard = (
            next(each for each in receiver.spans if each.kind == kind)
            for kind in ("request", "run", "step", "guard")
        )
    assert {each.trace_id for each in receiver.spans} == {TRACE}
    assert asked.parent_id == CALLER[36:52]
    assert [run.parent_id, draft.parent_id, guard.parent_id] == [asked.span_id, run.span_id, draft.span_id]
    assert guard.attributes == {"handrail.kind": "guard", "handrail.score": 0.25, "session.id": "con_1"}
    assert draft.events == (("degraded", {"handrail.tier": "small"}),)
    assert (run.links, asked.links) == ((), ())


async def test_a_later_segment_is_a_root_of_the_same_trace_with_links() -> None:
    with receiving() as receiver:
        for number, asked_by in ((1, None), (2, OTHER)):
            # Another process each time: nothing is kept between them.
            async with open_telemetry(TelemetrySettings(otlp=receiver.url)) as telemetry:
                with telemetry.segment(segment(number, asked_by)):
                    pass
        first, second = receiver.spans
    assert (first.trace_id, first.parent_id, first.links) == (TRACE, "", ())
    assert (second.trace_id, second.parent_id) == (TRACE, "")
    assert second.links == (("1" * 32, "2" * 16), (TRACE, first.span_id))


async def test_a_trace_id_that_is_none_is_replaced() -> None:
    with receiving() as receiver:
        async with open_telemetry(TelemetrySettings(otlp=receiver.url)) as telemetry:
            for odd in ("t", "0" * 32, TRACE.upper()):
                with telemetry.segment(segment(trace_id=odd)):
                    pass
    assert len({each.trace_id for each in receiver.spans} - {"0" * 32}) == 3


async def test_what_is_cancelled_has_not_failed() -> None:
    with receiving() as receiver:
        async with open_telemetry(TelemetrySettings(otlp=receiver.url)) as telemetry:
            with anyio.CancelScope() as scope, telemetry.segment(segment()):
                scope.cancel()
                await anyio.lowlevel.checkpoint()
    (run,) = receiver.spans
    assert (run.failed, run.attributes["handrail.outcome"]) == (False, "cancelled")


async def test_an_error_is_named_and_not_quoted() -> None:
    with receiving() as receiver:
        async with open_telemetry(TelemetrySettings(otlp=receiver.url)) as telemetry:
            with pytest.raises(ValueError, match="Kim Lee"), telemetry.segment(segment()):
                raise ValueError("Kim Lee, 4111 1111 1111 1111")
    (run,) = receiver.spans
    assert (run.failed, run.attributes["error.type"], run.events) == (True, "ValueError", ())
    assert b"Kim" not in receiver.bodies[0][2]


@pytest.mark.parametrize("kind", ["down", "hangs", "refuses", "fails"])
async def test_a_receiver_that_is_away_costs_neither_time_nor_anything_else(kind: str) -> None:
    with receiving(hangs=kind == "hangs", status={"refuses": 400, "fails": 503}.get(kind, 200)) as receiver:
        url = "http://127.0.0.1:1" if kind == "down" else receiver.url
        settings = TelemetrySettings(otlp=url, close_seconds=0.3)
        began = time.monotonic()
        async with open_telemetry(settings) as telemetry:
            opened = time.monotonic()
            with telemetry.segment(segment()):
                # More than the queue holds.
                for _ in range(10_000):
                    with span("guard", "guard tone", {}):
                        pass
            recorded = time.monotonic() - opened
        closed = time.monotonic() - opened - recorded
    assert opened - began < 10
    # A hundred times what it takes; each batch would have waited for seconds.
    assert recorded < 10
    assert closed < 5


async def test_nobody_records_without_an_address() -> None:
    async with open_telemetry(TelemetrySettings()) as telemetry:
        assert telemetry is SILENCE
        with (
            telemetry.request(TRACE, CALLER, "GET") as request,
            telemetry.segment(segment()) as run,
            span("step", "draft", {}) as step,
        ):
            assert [request, run, step, here()] == [NOTHING] * 4


def test_nothing_is_imported_for_traces_that_nobody_asked_for() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, tools.telemetry.opening, tools.telemetry.spans, tools.tracing, graphs.settings;"
            "print([m for m in ('opentelemetry', 'langfuse', 'google.protobuf') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


async def test_no_provider_is_set_for_the_process() -> None:
    before = trace.get_tracer_provider()
    with receiving() as receiver:
        async with open_telemetry(langfuse_settings(receiver.url, otlp=receiver.url)) as telemetry:
            with (
                telemetry.segment(segment()),
                trace.get_tracer("another").start_as_current_span("theirs") as theirs,
            ):
                assert not theirs.is_recording()
                assert not trace.get_current_span().get_span_context().is_valid
    assert trace.get_tracer_provider() is before
    assert {each.name for each in receiver.spans} == {"invoke_agent tea-shop"}


def langfuse_settings(url: str, **more: object) -> TelemetrySettings:
    keys = Langfuse(public_key="pk-1", secret_key=SecretStr("sk-1"), url=url)
    return TelemetrySettings(langfuse=keys, **more)  # type: ignore[arg-type]


async def test_langfuse_gets_spans_under_its_names_and_scores() -> None:
    with receiving() as receiver:
        for number in (1, 2):
            async with open_telemetry(langfuse_settings(receiver.url)) as telemetry:
                with telemetry.segment(segment(number)), span("model", "chat stub", GENERATION) as call:
                    call.set({names.INPUT_TOKENS: 7, names.OUTPUT_TOKENS: 3, names.MONEY: 0.5})
                telemetry.score(Score(id=f"rev_{number}", trace_id=TRACE, name="review", value=0.5, comment="Ok."))
    model = next(each for each in receiver.spans if each.kind == "model")
    told: Mapping[str, object] = {
        name: it for name, it in model.attributes.items() if name.startswith(("langfuse.", "session."))
    }
    assert told == {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "stub",
        "langfuse.observation.prompt.name": "draft",
        "langfuse.version": "1f0c9a2b",
        "langfuse.observation.usage_details": '{"input":7,"output":3}',
        "langfuse.observation.cost_details": '{"total":0.5}',
        "session.id": "con_1",
    }
    path, headers, _ = receiver.bodies[0]
    assert (path, headers["authorization"]) == ("/api/public/otel/v1/traces", "Basic cGstMTpzay0x")
    assert [(each["id"], each["traceId"], each["value"], each["comment"]) for each in receiver.scores] == [
        ("rev_1", TRACE, 0.5, "Ok."),
        ("rev_2", TRACE, 0.5, "Ok."),
    ]


GENERATION = {
    names.OPERATION: "chat",
    names.REQUEST_MODEL: "stub",
    names.PROMPT_NAME: "draft",
    names.PROMPT_VERSION: "1f0c9a2b",
}


async def test_langfuse_that_is_away_does_not_hold_up_the_end() -> None:
    with receiving(hangs=True) as receiver:
        began = time.monotonic()
        async with open_telemetry(langfuse_settings(receiver.url, close_seconds=0.2)) as telemetry:
            with telemetry.segment(segment()):
                await anyio.lowlevel.checkpoint()
            telemetry.score(Score(id="rev_1", trace_id=TRACE, name="review", value=1.0))
    assert time.monotonic() - began < 15


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="HANDRAIL_OTLP_ENDPOINT is '127"):
        async with open_telemetry(TelemetrySettings(otlp="127.0.0.1:4318")):
            pass


def test_contents_keep_placeholders_and_lose_what_looks_like_personal_data() -> None:
    assert masked("I am [NAME_1], [NAME_2]: 4111 1111 1111 1111") == "I am [NAME_1], [NAME_2]: [CARD_1]"
    assert masked("[EMAIL_1] is not kim@example.net.") == "[EMAIL_1] is not [EMAIL_2]."
    assert written([("user", "Hi [NAME_1].\n")]) == (
        '[{"role":"user","parts":[{"type":"text","content":"Hi [NAME_1].\\n"}]}]'
    )


def test_names_are_those_of_the_conventions() -> None:
    modules = (gen_ai_attributes, session_attributes, user_attributes, error_attributes, http_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    ours = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    strange = {each for each in ours - known if not each.startswith("handrail.")}
    assert strange == {names.EVALUATION}
