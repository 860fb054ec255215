"""One trace from the caller's header to the ledger, and what is in its spans; the receiver is a real one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from opentelemetry import trace

from agents.drafter import DraftRequest
from graphs.fakes import ScriptedAction, cited
from graphs.settings import Settings
from graphs.tracing import telemetry_settings
from policies.errors import ConfigError
from policies.guards import Binding, Finding, GuardRequest
from policies.types import Abstention, Outcome, Reason, Sentence
from server.logs import JsonLines
from tests.journeys.flows import write_errands
from tests.journeys.shop import FILES, NewPlace, OpenShop, Shop, opener
from tests.tools.models.requests import opened_scripts, quick
from tests.tools.telemetry.receiver import Received, Receiver, receiving
from tools.guards.rails import Rails
from tools.models import InMemorySpending, Message, Models
from tools.models.fakes import Reply, ScriptedFault, ScriptedModel
from tools.models.ports import Data

log = logging.getLogger("handrail.test")
pytestmark = pytest.mark.anyio
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
QUESTION = "How long does delivery take?"
CUSTOMER, MAIL, CARD = "customer-4711", "kim.lee@example.net", "4111 1111 1111 1111"


@dataclass(frozen=True)
class AsksAModel:
    """A drafter that says what a model says."""

    models: Models

    async def __call__(self, request: DraftRequest) -> AsyncIterator[Sentence | Abstention]:
        """Draft one answer."""
        assert request.mandate is not None
        log.info("a model is asked")
        data = (Data(kind="message", text=request.question),)
        asked = request.mandate.request(
            "draft", ("small",), [Message(role="user", data=data)], prompt="draft@1f0c"
        )
        async with aclosing(self.models.stream(asked)) as pieces:
            text = "".join([piece.text async for piece in pieces])
        yield Sentence(text=text, citations=tuple(cited(each) for each in request.passages[:1]))


@dataclass(frozen=True)
class Lenient:
    """A guard that finds nothing."""

    name: str = "lenient"
    stages: tuple[Any, ...] = ("input",)

    async def __call__(self, request: GuardRequest) -> Finding:  # noqa: ARG002
        """Judge one text."""
        return Finding(guard=self.name, score=0.25, reason=Reason(code="guard.lenient", text="Nothing."))


@pytest.fixture(name="receiver")
def receiver_fixture() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(name="open_busy")
def open_busy_fixture(tmp_path: Path, new_place: NewPlace) -> OpenShop:
    """Return a function that opens a shop whose intent ``delivery`` looks something up."""
    folder = tmp_path / "shop"
    (folder / "knowledge").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("  queue: shipping\n", "  queue: shipping\n  tools: [track]\n"))
    return opener(folder, new_place)


def busy_team(models: Models, calls: Path) -> dict[str, Any]:
    bound = Binding(guard="lenient", stage="input", threshold=0.5, effect=Outcome.REVIEW)
    return {
        "drafter": AsksAModel(models),
        "guards": Rails([Lenient()], [bound]),
        "actions": {"track": ScriptedAction(name="track", calls=calls, effect=False)},
        "models": models,
        "spending": InMemorySpending(),
    }


async def arrived(receiver: Receiver, holds: Callable[[], object]) -> None:
    """Wait until something holds of what has arrived."""
    await anyio.to_thread.run_sync(receiver.wait_for, holds)


def only(receiver: Receiver, kind: str, name: str = "") -> Received:
    (found,) = [each for each in receiver.spans if each.kind == kind and name in each.name]
    return found


async def test_a_turn_is_one_tree_in_the_callers_trace(
    open_busy: OpenShop, receiver: Receiver, tmp_path: Path
) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    handler, level = Kept(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        await _one_turn(open_busy, receiver, tmp_path)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert [json.loads(line)["trace"] for line in lines if "a model is asked" in line] == [TRACE]
    request = only(receiver, "request", "messages")
    run = only(receiver, "run")
    draft, intake, act = (only(receiver, "step", name) for name in ("draft", "intake", "act"))
    call, guard, tool = (only(receiver, kind) for kind in ("model", "guard", "tool"))
    assert {each.trace_id for each in (request, run, draft, intake, call, guard, tool)} == {TRACE}
    assert (request.name, request.parent_id) == ("POST /v1/conversations/{conversation_id}/messages", CALLER)
    assert [run.parent_id, draft.parent_id, call.parent_id] == [request.span_id, run.span_id, draft.span_id]
    assert (guard.parent_id, tool.parent_id) == (intake.span_id, act.span_id)
    assert [each.name for each in sorted(receiver.children(run.span_id), key=lambda each: each.name)] == sorted(
        ["intake", "route", "retrieve", "act", "draft", "check"]
    )
    assert request.attributes == {
        "handrail.kind": "request",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/conversations/{conversation_id}/messages",
    }
    assert (run.name, run.attributes["gen_ai.operation.name"]) == ("invoke_agent tea-shop", "invoke_agent")
    assert (run.attributes["handrail.outcome"], run.attributes["handrail.intent"]) == ("ended", "delivery")
    assert (tool.name, tool.attributes["handrail.outcome"]) == ("execute_tool track", "done")
    assert (guard.name, guard.attributes["handrail.score"]) == ("guard lenient", 0.25)
    _check_call(call, run.attributes["handrail.run.id"])


async def _one_turn(open_busy: OpenShop, receiver: Receiver, tmp_path: Path) -> None:
    model = ScriptedModel([ScriptedFault(500), Reply(text="It takes three days.", usage=(70, 5))])
    settings = {"small": quick("scripted:small", private=True, first_wait=0.001)}
    async with opened_scripts(settings=settings, small=model) as models:
        team = busy_team(models, tmp_path / "calls")
        async with open_busy(otlp_endpoint=receiver.url, team=team) as shop:
            conversation = await shop.conversation(id=CUSTOMER)
            answer = await shop.ask(conversation, QUESTION, traceparent=TRACEPARENT)
            run = answer.json()
            assert (run["text"], run["trace_id"]) == ("It takes three days.", TRACE)
            assert answer.headers["x-trace-id"] == TRACE
            told = await shop.events(f"/v1/runs/{run['run_id']}/events")
            assert [each.json()["trace_id"] for each in told if each.event == "run.started"] == [TRACE]
            decisions = (await shop.get(f"/v1/decisions?stream={conversation}"))["decisions"]
            assert {each["trace_id"] for each in decisions if each["run_id"]} == {TRACE}
            await arrived(receiver, lambda: [each for each in receiver.spans if each.kind == "run"])
            await arrived(receiver, lambda: [each for each in receiver.spans if "messages" in each.name])


def _check_call(call: Received, run_id: str) -> None:
    assert run_id.startswith("run_")
    said = {name: it for name, it in call.attributes.items() if name.startswith("gen_ai.")}
    assert said.pop("gen_ai.conversation.id") == call.attributes["session.id"]
    assert said.pop("gen_ai.response.time_to_first_chunk") > 0
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "small",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.prompt.name": "draft",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
    }
    ours = {name: it for name, it in call.attributes.items() if name.startswith("handrail.")}
    assert ours == {
        "handrail.kind": "model",
        "handrail.task": "draft",
        "handrail.tier": "small",
        "handrail.prompt.version": "1f0c",
        "handrail.calls": 2,
        "handrail.money": pytest.approx(0.00012),
    }
    ((name, failed),) = call.events
    assert (name, failed["handrail.call"], failed["error.type"]) == ("call.failed", 1, "model.failed")


async def test_without_a_valid_header_a_trace_begins_here(shop: Shop) -> None:
    conversation = await shop.conversation()
    traces = [
        (await shop.ask(conversation, QUESTION, **headers)).json()["trace_id"]
        for headers in ({}, {"traceparent": TRACEPARENT.upper()}, {"traceparent": f"00-{'0' * 32}-{CALLER}-01"})
    ]
    assert len({*traces, TRACE}) == 4
    assert {len(each) for each in traces} == {32}
    given = (await shop.ask(conversation, QUESTION, traceparent=f"cc-{TRACE}-{CALLER}-00-more")).json()
    assert given["trace_id"] == TRACE


async def test_what_an_answer_to_a_review_sets_going_stays_in_the_trace(
    open_shop: OpenShop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PUBLIC_KEY", "pk-review"), ("SECRET_KEY", "sk"), ("HOST", receiver.url)):
        monkeypatch.setenv(f"LANGFUSE_{name}", value)
    async with open_shop() as shop:
        run = (
            await shop.ask(await shop.conversation(id=CUSTOMER), "My money back", traceparent=TRACEPARENT)
        ).json()
        note = f"Ask {MAIL}."
        await shop.decide(run["review_id"], decision="edit", text="Within five days.", note=note)
        await shop.settled()
        await arrived(receiver, lambda: receiver.scores)
    first, second = sorted(
        (each for each in receiver.spans if each.kind == "run"),
        key=lambda each: each.attributes["handrail.run.epoch"],
    )
    decided = only(receiver, "request", "decision")
    assert (first.trace_id, second.trace_id, second.parent_id) == (TRACE, TRACE, "")
    assert decided.trace_id != TRACE
    assert second.links == ((decided.trace_id, decided.span_id), (TRACE, first.span_id))
    assert first.attributes["handrail.outcome"] == "waiting"
    assert first.attributes["langfuse.trace.name"] == "tea-shop"
    assert first.attributes["session.id"] == run["conversation_id"]
    assert first.attributes["user.id"] == second.attributes["user.id"] != CUSTOMER
    ((event, judged),) = decided.events
    assert (event, judged["gen_ai.evaluation.score.value"]) == ("gen_ai.evaluation.result", 0.5)
    (score,) = receiver.scores
    assert {name: score[name] for name in ("id", "traceId", "name", "value", "comment")} == {
        "id": run["review_id"],
        "traceId": TRACE,
        "name": "review",
        "value": 0.5,
        "comment": "Ask [EMAIL_1].",
    }


@pytest.mark.parametrize("content", [False, True])
async def test_no_span_holds_personal_data(
    open_busy: OpenShop, receiver: Receiver, tmp_path: Path, *, content: bool
) -> None:
    # What the model makes up is nobody's, and masked all the same.
    model = ScriptedModel([f"It takes three days. Call {CARD}."])
    async with opened_scripts(settings={"small": quick("scripted:small", private=True)}, small=model) as models:
        team = busy_team(models, tmp_path / "calls")
        async with open_busy(otlp_endpoint=receiver.url, trace_content=content, team=team) as shop:
            conversation = await shop.conversation(id=CUSTOMER, attributes={"visits": 3})
            await shop.ask(conversation, f"{QUESTION} I am {MAIL}, my card is {CARD}.")
            await shop.http.get(f"/v1/runs/{MAIL}?card={CARD}")
            await shop.settled()
    sent = b"".join(body for _, _, body in receiver.bodies)
    assert only(receiver, "model")
    for private in (MAIL, CARD, CARD.replace(" ", ""), CUSTOMER, "kim"):
        assert private.encode() not in sent
    assert (b"three days" in sent, b"[CARD_1]" in sent, b"delivery take" in sent) == (content,) * 3


async def test_a_receiver_that_hangs_breaks_and_slows_nothing(open_shop: OpenShop) -> None:
    with receiving(hangs=True) as receiver:
        async with open_shop(otlp_endpoint=receiver.url, drain_seconds=0.5) as shop:
            began = time.monotonic()
            for _ in range(5):
                run = (await shop.ask(await shop.conversation(), QUESTION)).json()
                assert run["outcome"] == "answered"
            assert time.monotonic() - began < 5 * 4
            ending = time.monotonic()
        # The receiver would be waited for five seconds a batch.
        assert time.monotonic() - ending < 10


async def test_a_workflow_is_a_tree_of_the_requests_trace(
    tmp_path: Path, new_place: NewPlace, receiver: Receiver
) -> None:
    async with opener(write_errands(tmp_path / "errands"), new_place)(otlp_endpoint=receiver.url) as shop:
        body, headers = {"input": {"name": "a"}}, {"traceparent": TRACEPARENT}
        response = await shop.http.post("/v1/workflows/errand/runs", json=body, headers=headers)
        assert response.json()["trace_id"] == TRACE
        await shop.settled()
    request, run = only(receiver, "request", "workflows"), only(receiver, "run")
    assert (run.name, run.trace_id, run.parent_id) == ("invoke_workflow errand", TRACE, request.span_id)
    assert [each.name for each in receiver.children(run.span_id)] == ["begin", "carry"]


async def test_one_key_of_langfuse_is_too_few(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    with pytest.raises(ConfigError, match="LANGFUSE_SECRET_KEY is not set"):
        async with open_shop():
            pass


async def test_metrics_count_what_models_did(open_busy: OpenShop, tmp_path: Path) -> None:
    async with (
        opened_scripts(
            settings={"small": quick("scripted:small", private=True)},
            small=ScriptedModel(["It takes three days."]),
        ) as models,
        open_busy(team=busy_team(models, tmp_path / "calls")) as shop,
    ):
        before = await _counted(shop)
        await shop.ask(await shop.conversation(), QUESTION)
        after = await _counted(shop)
    rise = {name: after[name] - before.get(name, 0.0) for name in after}
    assert rise['handrail_model_requests_total{outcome="answered",tier="small"}'] == 1
    assert rise['handrail_model_calls_total{tier="small"}'] == 1
    assert rise['handrail_model_tokens_total{direction="output",tier="small"}'] > 0
    assert rise['handrail_model_money_total{tier="small"}'] > 0


async def _counted(shop: Shop) -> dict[str, float]:
    lines = (await shop.http.get("/metrics")).text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("handrail_model_")]
    return {name: float(number) for name, number in pairs}


def test_settings_of_others_are_read_where_ours_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert telemetry_settings(Settings()).otlp is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert telemetry_settings(Settings()).otlp == "http://127.0.0.1:4318"
    assert telemetry_settings(Settings(otlp_endpoint="http://127.0.0.1:9")).otlp == "http://127.0.0.1:9"


async def test_nothing_but_our_own_spans_is_sent(
    open_shop: OpenShop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With both, FastAPI would send what it records of requests by itself.
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    before = trace.get_tracer_provider()
    async with open_shop() as shop:
        await shop.ask(await shop.conversation(), QUESTION)
        await shop.http.post("/v1/conversations", json={"customer": MAIL})
    assert trace.get_tracer_provider() is before
    assert {path for path, _, _ in receiver.bodies} == {"/v1/traces"}
    assert {each.kind for each in receiver.spans} == {"request", "run", "step"}
