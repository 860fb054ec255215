from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Literal

import anyio
import pytest
from pydantic import BaseModel

from evals.stub_model import Answer, Body, Stub, serving
from policies.sections import Budget, Budgets
from tests.tools.models.requests import ACCOUNT, opened, pieces_of, quick, request, tried
from tools.models import Completion, InMemorySpending, Piece, Usage
from tools.models.ports import Account

pytestmark = pytest.mark.anyio


class Verdict(BaseModel):
    outcome: Literal["yes", "no"]
    confidence: float


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with serving() as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[Stub]:
    async with serving([Answer(text="From the large one.")]) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def client_is_imported() -> None:
    import langchain_openai

    assert langchain_openai.ChatOpenAI.__name__


async def test_a_reply_streams_in_pieces_and_ends_with_what_it_cost(stub: Stub) -> None:
    async with opened({"small": quick(url=stub.url)}) as models:
        *texts, last = await pieces_of(models, request())
    assert texts == [Piece(text="All "), Piece(text="is "), Piece(text="well.")]
    completion = last.completion
    assert completion is not None
    assert (completion.tier, completion.model, completion.text) == ("small", "openai:stub", "All is well.")
    assert (completion.finish, completion.calls, completion.degraded) == ("stop", 1, ())
    assert completion.usage == Usage(input_tokens=100, output_tokens=20, money=0.0003)
    assert 0 < completion.first_token_ms <= completion.total_ms


async def test_what_is_sent_is_the_prompt_with_data_in_blocks(stub: Stub) -> None:
    async with opened({"small": quick(url=stub.url, max_tokens=50, temperature=0.2)}) as models:
        await models.complete(request())
    sent = stub.bodies[0]
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert sent["messages"][1]["content"] == '<data kind="message">\nHow long may I return it?\n</data>'
    assert (sent["model"], sent["temperature"], sent["stream_options"]) == ("stub", 0.2, {"include_usage": True})
    assert sent.get("max_completion_tokens") == 50


async def test_a_failing_tier_is_retried_and_then_the_next_one_asked(stub: Stub, other: Stub) -> None:
    stub.plays(Answer(status=500))
    async with opened({"small": quick(url=stub.url), "large": quick(url=other.url)}) as models:
        completion = await models.complete(request())
    assert (completion.tier, completion.text) == ("large", "From the large one.")
    assert tried(completion) == [("small", "model.failed", 3)]
    assert (stub.calls, other.calls, completion.calls) == (3, 1, 4)


@pytest.mark.parametrize(
    ("answer", "code", "calls"),
    [
        (Answer(status=400), "model.refused", 1),
        (Answer(status=401), "model.key", 1),
        (Answer(status=429), "model.rate_limited", 2),
        (Answer(status=500), "model.failed", 2),
        (Answer(broken_json=True), "model.garbled", 2),
        (Answer(cut_after=2), "model.unreachable", 2),
        (Answer(ends_without_reason=True), "model.cut", 2),
        (Answer(text=""), "model.empty", 2),
        (Answer(first_seconds=5), "model.slow", 2),
        (Answer(text="so slow " * 20, token_seconds=0.05), "model.slow", 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_fault_ends_at_the_local_tier_with_its_name(
    stub: Stub, answer: Answer, code: str, calls: int
) -> None:
    stub.plays(answer)
    times: dict[str, Any] = {"first_token_seconds": 0.1, "total_seconds": 0.2} if code == "model.slow" else {}
    settings = quick(url=stub.url, retries=1, **times)
    async with opened({"small": settings}) as models:
        completion = await models.complete(request(tiers=("small", "local")))
    assert (completion.tier, completion.model, completion.text) == ("local", None, None)
    assert tried(completion) == [("small", code, calls)]
    await stub.until_idle()


async def test_nobody_listening_is_told_from_a_slow_model(free_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{free_tcp_port}/v1"
    async with opened({"small": quick(url=url, retries=1)}) as models:
        completion = await models.complete(request(tiers=("small",)))
    assert tried(completion) == [("small", "model.unreachable", 2)]


async def test_a_provider_that_says_when_is_asked_again_then_and_not_before(stub: Stub) -> None:
    stub.plays(Answer(status=429, retry_after="0.3"), Answer())
    async with opened({"small": quick(url=stub.url)}) as models:
        assert (await models.complete(request())).tier == "small"
    assert stub.calls == 2
    assert stub.times[1] - stub.times[0] >= 0.3


async def test_nobody_else_calls_a_provider_that_asked_to_be_left_alone(stub: Stub) -> None:
    stub.plays(Answer(status=429, retry_after="0.3"), Answer())
    async with opened({"small": quick(url=stub.url, retries=0)}) as models:
        assert tried(await models.complete(request(tiers=("small",)))) == [("small", "model.rate_limited", 1)]
        assert (await models.complete(request())).tier == "small"
    assert stub.times[1] - stub.times[0] >= 0.3


async def test_a_wait_that_outlasts_the_deadline_is_not_begun(stub: Stub) -> None:
    stub.plays(Answer(status=429, retry_after="5"))
    async with opened({"small": quick(url=stub.url)}) as models:
        with anyio.fail_after(2):
            completion = await models.complete(request(seconds=3, tiers=("small",)))
    assert (stub.calls, tried(completion)) == (1, [("small", "model.rate_limited", 1)])


async def test_no_call_goes_on_after_the_deadline(stub: Stub, other: Stub) -> None:
    stub.plays(Answer(text="still talking " * 50, token_seconds=0.02))
    async with opened({"small": quick(url=stub.url), "large": quick(url=other.url)}) as models:
        await models.warm()
        completion = await models.complete(request(seconds=0.3))
    assert tried(completion) == [("small", "model.deadline", 1), ("large", "model.deadline", 0)]
    await stub.until_idle()
    assert (stub.left, other.calls) == (1, 0)


async def test_a_model_that_hangs_until_the_deadline_is_to_blame_and_paid_for(stub: Stub) -> None:
    stub.plays(Answer(first_seconds=5))
    async with opened({"small": quick(url=stub.url, opens_after=1, first_token_seconds=0.8)}) as models:
        await models.warm()
        ended = [await models.complete(request(seconds=0.4, tiers=("small",))) for _ in range(2)]
    assert [tried(each)[0][1] for each in ended] == ["model.deadline", "model.circuit_open"]
    assert ended[0].usage.input_tokens > 0
    assert ended[1].usage.tokens == 0


async def test_a_reply_that_breaks_off_is_begun_anew_and_the_reader_is_told(stub: Stub) -> None:
    stub.plays(Answer(cut_after=2), Answer())
    async with opened({"small": quick(url=stub.url)}) as models:
        pieces = await pieces_of(models, request())
    whole = [Piece(text="All "), Piece(text="is "), Piece(text="well.")]
    assert pieces[:-1] == [Piece(text="All "), Piece(text="is "), Piece(restart=True), *whole]


async def test_who_is_cancelled_closes_the_connection(stub: Stub) -> None:
    stub.plays(Answer(text="on and on " * 50, token_seconds=0.02))
    spending = InMemorySpending()
    async with opened({"small": quick(url=stub.url)}, spending) as models:
        await models.warm()
        with anyio.move_on_after(0.3):
            await models.complete(request())
        await stub.until_idle()
    assert (stub.calls, stub.left) == (1, 1)
    assert 0 < (await spending.spent(ACCOUNT))["run"].tokens < 200


async def test_who_stops_reading_closes_the_connection(stub: Stub) -> None:
    stub.plays(Answer(text="on and on " * 50, token_seconds=0.02))
    async with opened({"small": quick(url=stub.url)}) as models:
        async with aclosing(models.stream(request())) as pieces:
            assert (await anext(pieces)).text == "on "
        await stub.until_idle()
        assert stub.left == 1


async def test_a_reader_who_takes_his_time_is_not_taken_for_a_slow_model(stub: Stub) -> None:
    async with opened({"small": quick(url=stub.url, total_seconds=0.4)}) as models:
        read: list[Piece] = []
        async with aclosing(models.stream(request())) as pieces:
            async for piece in pieces:
                read.append(piece)
                await anyio.sleep(0.12)
    assert read[-1].completion is not None
    assert read[-1].completion.tier == "small"


async def test_after_failures_in_a_row_a_model_is_left_alone_until_one_trial_succeeds(stub: Stub) -> None:
    stub.plays(*[Answer(status=500)] * 3, Answer(first_seconds=0.05))
    settings = quick(url=stub.url, retries=0, opens_after=3, opens_seconds=0.3)
    async with opened({"small": settings}) as models:
        codes = [tried(await models.complete(request()))[0][1] for _ in range(5)]
        assert codes == ["model.failed"] * 3 + ["model.circuit_open"] * 2
        assert stub.calls == 3
        await anyio.sleep(0.32)
        tiers: list[str] = []

        async def ask(number: int) -> None:
            tiers.append((await models.complete(request(prompt_version=str(number)))).tier)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(ask, number)
        assert sorted(tiers) == ["local"] * 9 + ["small"]
        assert stub.calls == 4
        assert (await models.complete(request(prompt_version="after"))).tier == "small"


async def _ask_50(stub: Stub, tiers: list[str], **settings: Any) -> None:
    async with (
        opened({"small": quick(url=stub.url, **settings)}) as models,
        anyio.create_task_group() as group,
    ):

        async def ask(number: int) -> None:
            tiers.append((await models.complete(request(prompt_version=str(number)))).tier)

        for number in range(50):
            group.start_soon(ask, number)


async def test_a_failing_provider_under_50_clients_is_called_as_often_as_it_takes_to_see_that(stub: Stub) -> None:
    stub.plays(Answer(status=500, first_seconds=0.02))
    tiers: list[str] = []
    await _ask_50(stub, tiers)
    assert tiers == ["local"] * 50
    # Five failures open the circuit: by then four have ended and eight are on their way, at most.
    assert stub.most_running <= 8
    assert 5 <= stub.calls <= 12


async def test_a_provider_without_capacity_under_50_clients_gets_one_round_of_calls(stub: Stub) -> None:
    stub.plays(Answer(status=429, retry_after="20", first_seconds=0.02))
    tiers: list[str] = []
    await _ask_50(stub, tiers)
    assert tiers == ["local"] * 50
    assert 1 <= stub.calls <= 8


async def test_50_clients_share_the_places_there_are(stub: Stub) -> None:
    stub.plays(Answer(first_seconds=0.005))
    tiers: list[str] = []
    await _ask_50(stub, tiers, concurrency=4)
    assert tiers == ["small"] * 50
    assert stub.calls == 50
    assert stub.most_running <= 4


@pytest.mark.parametrize("limits", [{"requests_a_minute": 2}, {"tokens_a_minute": 200}])
async def test_more_calls_a_minute_than_allowed_go_to_the_next_tier(
    stub: Stub, other: Stub, limits: dict[str, Any]
) -> None:
    settings = quick(url=stub.url, wait_seconds=0.2, max_tokens=10, **limits)
    async with opened({"small": settings, "large": quick(url=other.url)}) as models:
        ended = [await models.complete(request(prompt_version=str(number))) for number in range(3)]
    assert [each.tier for each in ended] == ["small", "small", "large"]
    assert tried(ended[-1]) == [("small", "model.busy", 0)]
    assert stub.calls == 2


async def test_a_call_that_is_slow_to_begin_gets_a_second_and_the_quicker_one_is_kept(stub: Stub) -> None:
    stub.plays(Answer(first_seconds=1), Answer(text="The second."))
    async with opened({"small": quick(url=stub.url, hedge_seconds=0.05)}) as models:
        completion = await models.complete(request())
        await stub.until_idle()
    assert (completion.text, completion.calls, stub.calls, stub.left) == ("The second.", 2, 2, 1)
    assert completion.usage.estimated
    assert completion.usage.input_tokens > 100


async def test_a_second_call_may_fail_without_harm(stub: Stub) -> None:
    stub.plays(Answer(first_seconds=0.4, text="The first."), Answer(status=500))
    async with opened({"small": quick(url=stub.url, hedge_seconds=0.05)}) as models:
        completion = await models.complete(request())
    assert (completion.text, stub.calls) == ("The first.", 2)


async def test_who_is_cancelled_closes_both_calls(stub: Stub) -> None:
    stub.plays(Answer(first_seconds=1))
    async with opened({"small": quick(url=stub.url, hedge_seconds=0.02)}) as models:
        await models.warm()
        with anyio.move_on_after(0.3):
            await models.complete(request())
        await stub.until_idle()
    assert (stub.calls, stub.left) == (2, 2)


async def test_a_spent_budget_stops_the_call(stub: Stub) -> None:
    spending = InMemorySpending()
    budgets = Budgets(conversation=Budget(tokens=150, at_80="warn", at_100="local"))
    asked = [request(budgets=budgets, tiers=("small",), prompt_version=str(number)) for number in range(3)]
    async with opened({"small": quick(url=stub.url)}, spending) as models:
        ended = [await models.complete(each) for each in asked]
    assert [each.tier for each in ended] == ["small", "small", "local"]
    assert [each.budget.action for each in ended] == [None, "warn", "local"]
    assert tried(ended[-1]) == [("small", "budget.conversation.spent", 0)]
    assert stub.calls == 2
    assert (await spending.spent(ACCOUNT))["conversation"].tokens == 240


async def test_the_same_request_is_answered_from_the_cache(stub: Stub) -> None:
    async with opened({"small": quick(url=stub.url)}) as models:
        first = await models.complete(request())
        again = await pieces_of(models, request())
        saved = models.cache.saved("ws")
    assert stub.calls == 1
    assert again[0] == Piece(text="All is well.")
    ended = again[-1].completion
    assert isinstance(ended, Completion)
    assert (ended.cached, ended.calls, ended.usage, ended.text) == (True, 0, Usage(), first.text)
    assert (saved.calls, saved.usage) == (1, first.usage)


@pytest.mark.parametrize(
    "change",
    [
        {"account": Account(workspace_id="other", conversation_id="con_1", run_id="run_1")},
        {"prompt_version": "p2"},
        {"policy_version": "v2"},
        {"passages": ("p1@2",)},
        {"consent": {"third_party_llm": True, "train_eval": True}},
        {"task": "check"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_differs_in_anything_that_matters_is_asked_anew(stub: Stub, change: dict[str, Any]) -> None:
    async with opened({"small": quick(url=stub.url)}) as models:
        await models.complete(request())
        assert not (await models.complete(request(**change))).cached
    assert stub.calls == 2


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_a_reply_in_a_schema_is_validated(
    stub: Stub, method: Literal["json_schema", "function_calling", "json_mode"]
) -> None:
    reply = {"outcome": "yes", "confidence": 0.9}
    text = '{"outcome": "yes", "confidence": 0.9}'
    stub.plays(Answer(tool=("Verdict", reply)) if method == "function_calling" else Answer(text=text))
    async with opened({"small": quick(url=stub.url, structured=method)}) as models:
        completion = await models.complete(request(), Verdict)
    assert completion.value == Verdict(outcome="yes", confidence=0.9)
    assert (completion.calls, completion.usage.tokens) == (1, 120)


def without_schemas(status: int) -> Callable[[int, Body], Answer]:
    """Return what a server does that has only JSON without a schema."""

    def answer(_call: int, body: Body) -> Answer:
        knows = body["response_format"]["type"] == "json_object"
        return Answer(text='{"outcome": "yes", "confidence": 0.9}') if knows else Answer(status=status)

    return answer


@pytest.mark.parametrize(("status", "refusals"), [(400, 1), (422, 1), (500, 2)])
async def test_a_server_that_knows_no_schemas_is_asked_for_json_with_the_schema_in_words(
    stub: Stub, status: int, refusals: int
) -> None:
    stub.answer = without_schemas(status)
    async with opened({"small": quick(url=stub.url)}) as models:
        first = await models.complete(request(), Verdict)
        second = await models.complete(request(policy_version="2"), Verdict)
    assert (first.tier, first.value, first.calls) == (
        "small",
        Verdict(outcome="yes", confidence=0.9),
        refusals + 1,
    )
    assert (second.tier, second.calls) == ("small", 1)
    forms = [each["response_format"]["type"] for each in stub.bodies]
    assert forms == [*["json_schema"] * refusals, "json_object", "json_object"]
    said = stub.bodies[-1]["messages"][-1]["content"]
    assert said.startswith('<data kind="message">')
    assert '"outcome"' in said
    assert '"outcome"' not in stub.bodies[0]["messages"][-1]["content"]


# Five failures in a row would be a model that is left alone for a while.
@pytest.mark.parametrize(("status", "calls"), [(422, 6), (500, 4)])
async def test_calls_at_the_same_time_find_the_way_of_asking_together(stub: Stub, status: int, calls: int) -> None:
    stub.answer = without_schemas(status)
    found: list[Completion] = []

    async def ask(version: int) -> None:
        found.append(await models.complete(request(policy_version=str(version)), Verdict))

    async with opened({"small": quick(url=stub.url)}) as models, anyio.create_task_group() as tasks:
        for version in range(calls):
            tasks.start_soon(ask, version)
    good = ("small", Verdict(outcome="yes", confidence=0.9))
    assert [(each.tier, each.value) for each in found] == [good] * calls


async def test_a_server_that_knows_schemas_is_asked_in_one_though_it_failed_once(stub: Stub) -> None:
    stub.plays(Answer(status=500), Answer(text='{"outcome": "no", "confidence": 0.5}'))
    async with opened({"small": quick(url=stub.url)}) as models:
        await models.complete(request(), Verdict)
        await models.complete(request(policy_version="2"), Verdict)
    assert [each["response_format"]["type"] for each in stub.bodies] == ["json_schema"] * 3


async def test_a_way_of_asking_that_is_set_is_kept_to(stub: Stub) -> None:
    stub.plays(Answer(status=422))
    settings = quick(url=stub.url, structured="json_schema")
    async with opened({"small": settings}) as models:
        completion = await models.complete(request(tiers=("small",)), Verdict)
    assert (tried(completion), stub.calls) == ([("small", "model.refused", 1)], 1)


async def test_a_reply_in_a_fence_is_read_without_it(stub: Stub) -> None:
    stub.plays(Answer(text='```json\n{"outcome": "yes", "confidence": 1}\n```'))
    async with opened({"small": quick(url=stub.url, structured="json_mode")}) as models:
        completion = await models.complete(request(), Verdict)
    assert (completion.value, stub.calls) == (Verdict(outcome="yes", confidence=1.0), 1)


@pytest.mark.parametrize("bad", ['{"outcome": "perhaps", "confidence": 2}', "No JSON at all", '{"outcome":'])
async def test_a_reply_that_does_not_fit_is_mended_once(stub: Stub, bad: str) -> None:
    stub.plays(Answer(text=bad), Answer(text='{"outcome": "no", "confidence": 0.5}'))
    async with opened({"small": quick(url=stub.url, structured="json_schema")}) as models:
        completion = await models.complete(request(), Verdict)
    assert completion.value == Verdict(outcome="no", confidence=0.5)
    assert (stub.calls, completion.usage.tokens) == (2, 240)
    said, wrong = stub.bodies[1]["messages"][-2:]
    assert (said["role"], said["content"]) == ("assistant", bad)
    assert "does not fit the schema" in wrong["content"]


async def test_a_reply_that_never_fits_goes_to_the_next_tier(stub: Stub, other: Stub) -> None:
    stub.plays(Answer(text="{}"))
    other.plays(Answer(text='{"outcome": "no", "confidence": 0.5}'))
    async with opened({"small": quick(url=stub.url), "large": quick(url=other.url)}) as models:
        completion = await models.complete(request(), Verdict)
    assert (completion.tier, tried(completion)) == ("large", [("small", "model.bad_reply", 2)])
    assert completion.degraded[0].text == "Its reply does not fit the schema Verdict: confidence, outcome."


async def test_a_reply_in_a_schema_that_ran_out_of_tokens_is_no_reply(stub: Stub) -> None:
    stub.plays(Answer(text='{"outcome": "no", "conf', finish="length"))
    async with opened({"small": quick(url=stub.url, opens_after=1)}) as models:
        completion = await models.complete(request(tiers=("small",)), Verdict)
        assert (completion.tier, tried(completion)) == ("local", [("small", "model.cut", 1)])
        stub.plays(Answer())
        assert (await models.complete(request())).tier == "small"


async def test_an_http_failure_of_a_reply_in_a_schema_is_retried(stub: Stub) -> None:
    stub.plays(Answer(status=500), Answer(broken_json=True), Answer(text='{"outcome": "no", "confidence": 0.5}'))
    async with opened({"small": quick(url=stub.url)}) as models:
        completion = await models.complete(request(), Verdict)
    assert (completion.tier, stub.calls) == ("small", 3)
