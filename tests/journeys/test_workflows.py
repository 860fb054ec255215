"""A developer's own graphs, over HTTP: run, watched, answered by people, put on record and erased."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from httpx import Response
from pydantic import BaseModel
from sqlalchemy import update

from handrail import Client
from handrail.client import RequestFailed
from policies.errors import InputError
from policies.types import Principal
from server.workflow_schemas import WorkflowBatch, WorkflowRun
from tests.journeys.flows import write_errands
from tests.journeys.shop import JSON, NewPlace, Shop, opener, told
from tools.models.ports import Completion, ModelRequest, Piece
from tools.storage import tables
from tools.storage.store import Tx

pytestmark = pytest.mark.anyio
BATCH = 100


@dataclass
class Echo:
    """Models that say what they were given."""

    asked: list[ModelRequest] = field(default_factory=list)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Stream nothing."""
        raise NotImplementedError

    async def complete(self, request: ModelRequest, schema: type[BaseModel] | None = None) -> Completion:
        """Answer."""
        del schema
        self.asked.append(request)
        return Completion(tier="large", model="echo", text=f"You said: {request.messages[1].data[0].text}")


@pytest.fixture(name="errands", scope="module")
async def errands_fixture(
    shop: Shop, new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """Open a shop that runs errands; it waits for the shared shop, so that both live on one loop."""
    del shop
    folder = write_errands(tmp_path_factory.mktemp("errands"))
    async with opener(folder, new_place)() as opened:
        yield opened


async def run(shop: Shop, *, workflow: str = "errand", subject: str | None = None, **given: Any) -> Response:
    """Run a workflow and return the answer in JSON."""
    named = ("Prefer", "Idempotency-Key")
    headers: dict[str, str] = {name: given.pop(name) for name in named if name in given}
    body = {"input": {"name": "tea", **given}, **({"subject": subject} if subject else {})}
    return await shop.http.post(f"/v1/workflows/{workflow}/runs", json=body, headers=headers)


async def ended(shop: Shop, run_id: str) -> JSON:
    """Wait until a run has ended or waits for a person; returns it."""
    with anyio.fail_after(30):
        await shop.events(f"/v1/runs/{run_id}/events")
    return await shop.get(f"/v1/runs/{run_id}")


async def decisions(shop: Shop, run_id: str) -> list[JSON]:
    found: list[JSON] = (await shop.get(f"/v1/decisions?stream={run_id}"))["decisions"]
    return found


async def test_they_are_listed_with_what_they_take_and_return(errands: Shop) -> None:
    found = (await errands.get("/v1/workflows"))["workflows"]
    assert [each["name"] for each in found] == ["errand", "brief-errand"]
    assert found[0]["description"] == "Carry something somewhere."
    assert (found[0]["input"]["required"], found[0]["output"]["required"]) == (["name"], ["text", "key"])


async def test_a_run_comes_back_with_what_it_came_to(errands: Shop) -> None:
    response = await run(errands, name="green tea")
    view = WorkflowRun.model_validate(response.json())
    assert (response.status_code, response.headers["location"]) == (200, f"/v1/runs/{view.run_id}")
    assert (view.status, view.outcome, view.reasons) == ("finished", "done", [])
    assert view.input == {"name": "green tea"}
    assert view.output == {"text": "green tea is there", "key": f"{view.run_id}:act:parcel"}
    assert await errands.get(f"/v1/runs/{view.run_id}") == response.json()


async def test_a_run_is_watched_and_read_again(errands: Shop) -> None:
    body = {"input": {"name": "tea"}}
    headers = {"Accept": "text/event-stream"}
    response = await errands.http.post("/v1/workflows/errand/runs", json=body, headers=headers)
    path = response.headers["location"]
    events = await errands.events(path)
    assert [f"{each.id}".partition(":")[2] for each in events] == [str(n) for n in range(1, len(events) + 1)]
    kinds = [(each.event, each.json().get("name") or each.json().get("text")) for each in events]
    assert kinds == [
        ("run.started", None),
        ("step.started", "begin"),
        ("note", "Begun for eve@example.com"),
        ("step.finished", "begin"),
        ("step.started", "carry"),
        ("step.finished", "carry"),
        ("run.finished", None),
    ]
    assert response.text.count("event: ") == len(events)
    assert told(await errands.events(path, **{"Last-Event-ID": events[-2].id})) == told(events[-1:])


async def test_it_is_on_record_and_told_in_plain_words(errands: Shop) -> None:
    run_id = (await run(errands)).json()["run_id"]
    found = await decisions(errands, run_id)
    assert [(each["node"], each["kind"], each["outcome"]) for each in found] == [
        ("workflow", "started", "started"),
        ("begin", "workflow.choice", "by foot"),
        ("begin", "step", "done"),
        ("carry", "step", "done"),
        ("workflow", "close", "done"),
    ]
    assert sorted(found[-1]["digests"]) == ["input", "output"]
    explained = await errands.get(f"/v1/runs/{run_id}/explanation")
    assert explained["story"] == [
        "The workflow errand was started for local-admin.",
        "These steps are done: begin, carry.",
        "The step begin decided choice: by foot. Why: It is near.",
        "It ended with a result that has the shape this workflow returns.",
    ]
    report = await errands.http.post("/v1/decisions/verify", json={"stream": run_id})
    assert (report.json()["clean"], report.json()["checked"]) == (True, 2)


async def test_a_result_that_was_changed_since_is_found(errands: Shop) -> None:
    run_id = (await run(errands)).json()["run_id"]
    product = errands.product
    forged = product.service.store.sealer.seal('{"text":"mine"}')
    row = tables.workflow_run.c

    def forge(tx: Tx) -> None:
        tx.change(update(tables.workflow_run).where(row.run_id == run_id).values(output=forged))

    await product.service.store.in_workspace(product.settings.workspace).write(forge)
    report = (await errands.http.post("/v1/decisions/verify", json={"stream": run_id})).json()
    assert [each["what"] for each in report["findings"]] == ["contents.output"]


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({"name": 5}, ["/input/name"]),
        ({"how": 5, "name": "x" * 101}, ["/input/name", "/input/how"]),
        ({"how": "a\0b"}, ["/input/how"]),
        ({"calls": 2**60}, ["/input/calls"]),
    ],
    ids=["type", "two places", "null character", "large number"],
)
async def test_an_input_that_does_not_fit_is_refused_where_it_is_wrong(
    errands: Shop, given: JSON, places: list[str]
) -> None:
    response = await run(errands, **given)
    assert (response.status_code, response.json()["code"]) == (422, "workflow.input")
    assert [each["pointer"] for each in response.json()["errors"]] == places


async def test_what_there_is_not_is_not_found(errands: Shop) -> None:
    response = await run(errands, workflow="dance")
    assert (response.status_code, response.json()["code"]) == (404, "workflow.unknown")
    assert (await errands.http.get("/v1/workflows/batches/bat_0")).status_code == 404


async def test_a_repeated_key_gives_the_same_run(errands: Shop) -> None:
    key = {"Idempotency-Key": "errand-1"}
    first, again = await run(errands, **key), await run(errands, **key)
    assert first.json()["run_id"] == again.json()["run_id"]
    assert (first.headers["idempotency-replayed"], again.headers["idempotency-replayed"]) == ("false", "true")
    assert (await run(errands, name="coffee", **key)).status_code == 422


async def test_a_person_is_asked_and_the_run_goes_on_with_the_answer(errands: Shop) -> None:
    waiting = (await run(errands, how="ask")).json()
    assert (waiting["status"], waiting["outcome"], waiting["output"]) == ("waiting", "review", None)
    review = await errands.get(f"/v1/reviews/{waiting['review_id']}")
    assert (review["kind"], review["queue"], review["priority"]) == ("workflow", "care", "normal")
    assert review["draft"] == [
        {"question": "May eve@example.com have tea?", "details": {"name": "tea"}, "otherwise": None}
    ]
    assert review["response_schema"]["properties"]["decision"] == {"enum": ["approve", "reject"]}
    decided = await errands.decide(waiting["review_id"], decision="approve", note="for joe@example.com")
    assert (decided.status_code, decided.json()["answer"]["note"]) == (200, "for joe@example.com")
    done = await ended(errands, waiting["run_id"])
    assert done["output"]["text"] == "approve: for joe@example.com"
    second = await errands.decide(waiting["review_id"], decision="reject")
    assert (second.status_code, second.json()["first"]["answer"]["decision"]) == (409, "approve")
    answered = [each for each in await decisions(errands, waiting["run_id"]) if each["kind"] == "review"]
    assert [(each["outcome"], each["reasons"][0]["text"]) for each in answered] == [("approve", "for [EMAIL_2]")]


async def test_a_run_that_waits_is_rows_alone_and_its_steps_are_not_run_twice(errands: Shop) -> None:
    waiting = (await run(errands, how="ask")).json()
    await errands.decide(waiting["review_id"], decision="reject")
    await ended(errands, waiting["run_id"])
    events = await errands.events(f"/v1/runs/{waiting['run_id']}/events")
    steps = [each.json()["name"] for each in events if each.event == "step.started"]
    assert steps == ["begin", "carry", "carry"]
    assert [each.event for each in events][-4:] == ["run.paused", "step.started", "step.finished", "run.finished"]


async def test_an_answer_has_the_shape_that_the_graph_asks_for(errands: Shop) -> None:
    waiting = (await run(errands, how="ask how much")).json()
    review_id = waiting["review_id"]
    assert (await errands.get(f"/v1/reviews/{review_id}"))["priority"] == "urgent"
    for wrong, place in (({"euros": -1}, "/euros"), ({"decision": "approve"}, "")):
        refused = await errands.http.post(f"/v1/reviews/{review_id}/decision", json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "workflow.answer")
        assert refused.json()["errors"][0]["pointer"] == place
    assert (await errands.http.post(f"/v1/reviews/{review_id}/decision", json={"euros": 7})).status_code == 200
    assert (await ended(errands, waiting["run_id"]))["output"]["text"] == "7 euros"


async def test_a_step_may_ask_twice(errands: Shop) -> None:
    waiting = (await run(errands, how="ask twice")).json()
    await errands.decide(waiting["review_id"], decision="approve")
    again = await ended(errands, waiting["run_id"])
    assert (again["status"], again["review_id"] != waiting["review_id"]) == ("waiting", True)
    await errands.decide(again["review_id"], decision="reject")
    assert (await ended(errands, waiting["run_id"]))["output"]["text"] == "approve, reject"


async def expire(shop: Shop, review_id: str, *, rest: list[JSON] | None = None) -> None:
    """Let a review's time run out."""
    workspace = shop.product.settings.workspace
    due = (await shop.get(f"/v1/reviews/{review_id}"))["due_at"]
    args = {"workspace_id": workspace, "review_id": review_id, "due_at": due, "rest": rest or []}
    await shop.product.service.expire_review(args)


async def test_what_nobody_answers_in_time_ends_as_the_graph_says(errands: Shop) -> None:
    waiting = (await run(errands, how="ask in vain")).json()
    await expire(errands, waiting["review_id"])
    assert (await ended(errands, waiting["run_id"]))["output"]["text"] == "reject"
    assert (await errands.get(f"/v1/reviews/{waiting['review_id']}"))["status"] == "expired"


async def test_without_a_word_of_the_graph_it_ends_as_expired(errands: Shop) -> None:
    waiting = (await run(errands, how="ask")).json()
    await expire(errands, waiting["review_id"], rest=[{"priority": "high", "at": "2099-01-01T00:00:00+00:00"}])
    raised = await errands.get(f"/v1/reviews/{waiting['review_id']}")
    assert (raised["status"], raised["priority"]) == ("open", "high")
    assert (await ended(errands, waiting["run_id"]))["status"] == "waiting"
    await expire(errands, waiting["review_id"])
    done = await ended(errands, waiting["run_id"])
    assert (done["outcome"], done["reasons"][0]["code"]) == ("expired", "review.expire")
    events = await errands.events(f"/v1/runs/{waiting['run_id']}/events")
    assert [each.event for each in events][-4:] == ["review.requested", "run.paused", "error", "run.finished"]


async def test_a_graph_that_raises_fails_its_run_and_says_where(errands: Shop) -> None:
    failed = (await run(errands, how="raise")).json()
    assert (failed["status"], failed["outcome"], failed["output"]) == ("finished", "failed", None)
    text = failed["reasons"][0]["text"]
    assert text.startswith("carry failed: ValueError at errands.py:")
    assert "heavy" not in text
    events = await errands.events(f"/v1/runs/{failed['run_id']}/events")
    error = next(each.json() for each in events if each.event == "error")
    assert (error["code"], error["message"].endswith("tea of eve@example.com is too heavy")) == (
        "workflow.failed",
        True,
    )
    explained = await errands.get(f"/v1/runs/{failed['run_id']}/explanation")
    assert explained["story"][-1].startswith("It failed, and came to no result. Why: carry failed: ValueError")


async def test_a_result_of_another_shape_is_none(errands: Shop) -> None:
    failed = (await run(errands, how="rubbish")).json()
    reason = failed["reasons"][0]
    assert (failed["outcome"], reason["code"]) == ("failed", "workflow.output")
    assert reason["text"].endswith("wrong: text.")


async def test_a_step_asks_a_model_which_sees_no_personal_data(
    errands: Shop, new_place: NewPlace, tmp_path: Path
) -> None:
    assert (await run(errands, how="ask a model")).json()["output"]["text"] is None
    models = Echo()
    async with opener(write_errands(tmp_path), new_place)(team={"models": models}) as shop:
        done = (await run(shop, how="ask a model", name="a box for eve@example.com")).json()
        found = await decisions(shop, done["run_id"])
        events = await shop.events(f"/v1/runs/{done['run_id']}/events")
    assert done["output"]["text"] == "You said: a box for eve@example.com is there"
    [request] = models.asked
    assert [each.text for each in request.messages[1].data] == ["a box for [EMAIL_1] is there"]
    assert (request.account.run_id, request.tiers) == (done["run_id"], ("large",))
    [asked] = [each for each in found if each["kind"] == "model"]
    assert (asked["node"], asked["outcome"], asked["prompt"][:7]) == ("carry", "large", "errand@")
    assert [each.json()["tier"] for each in events if each.event == "usage"] == ["large"]


async def test_a_graph_that_hangs_is_given_up(errands: Shop) -> None:
    failed = (await run(errands, workflow="brief-errand", how="hang")).json()
    assert [each["code"] for each in failed["reasons"]] == ["workflow.deadline"]
    assert failed["reasons"][0]["text"] == "No end within 1.5 seconds; carry was at work."


@pytest.mark.parametrize("how", ["hang", "ask"])
async def test_a_run_is_cancelled(errands: Shop, how: str) -> None:
    begun = (await run(errands, how=how, Prefer="wait=0" if how == "hang" else "wait=30")).json()
    cancelled = await errands.http.post(f"/v1/runs/{begun['run_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["outcome"]) == (200, "cancelled")
    assert (await errands.http.post(f"/v1/runs/{begun['run_id']}/cancel")).status_code == 409
    events = await errands.events(f"/v1/runs/{begun['run_id']}/events")
    assert [each.event for each in events].count("run.finished") == 1
    if how == "ask":
        assert (await errands.get(f"/v1/reviews/{begun['review_id']}"))["status"] == "stale"


async def test_an_app_runs_them_by_the_client(errands: Shop) -> None:
    async with Client.open(str(errands.http.base_url)) as client:
        assert [each["name"] for each in await client.workflows()] == ["errand", "brief-errand"]
        assert await client.check_inputs("errand", [{}]) == [
            {"index": 0, "pointer": "/name", "detail": "Field required"}
        ]
        first = await client.run_workflow("errand", {"name": "tea"}, subject="c-1", key="by the client")
        again = await client.run_workflow("errand", {"name": "tea"}, subject="c-1", key="by the client")
        with pytest.raises(RequestFailed, match="The input is not what 'errand' takes"):
            await client.run_workflow("errand", {"name": 5})
    assert (first["outcome"], first) == ("done", again)


async def test_customers_have_no_part_in_it(errands: Shop) -> None:
    run_id = (await run(errands)).json()["run_id"]
    service = errands.product.service
    customer = Principal(workspace_id=errands.product.settings.workspace, id="c-1", role="customer")

    async def follow() -> None:
        async for _ in service.run_events(customer, run_id):
            pass

    review_id = (await run(errands, how="ask")).json()["review_id"]
    for refused in (
        service.decide(customer, review_id, {"decision": "approve"}),
        service.show_run(customer, run_id),
        service.audit.explanation(customer, run_id),
        service.cancel(customer, run_id),
        service.workflows.batch(customer, "bat_0"),
        follow(),
    ):
        with pytest.raises(InputError) as error:
            await refused
        assert error.value.code == "forbidden"
    with pytest.raises(InputError):
        service.workflows.listed(customer)


async def test_a_batch_gives_each_item_its_own_result(errands: Shop) -> None:
    items = [{"id": f"no {number}", "input": {"name": f"box {number}"}} for number in range(BATCH)]
    items[3]["input"] = {"name": "box 3", "how": "raise"}
    items[7]["input"] = {"name": "box 7", "how": "ask"}
    path, key = "/v1/workflows/errand/runs:batch", {"Idempotency-Key": "batch-1"}
    response = await errands.http.post(path, json={"items": items}, headers=key)
    assert (response.status_code, response.json()["count"]) == (202, BATCH)
    place = response.headers["location"]
    with anyio.fail_after(90):
        steps = await errands.events(place, Accept="text/event-stream")
    batch = WorkflowBatch.model_validate(steps[-1].json())
    assert {each.event for each in steps[:-1]} == {"progress"}
    assert batch.progress == {
        "total": BATCH,
        "queued": 0,
        "running": 0,
        "waiting": 1,
        "done": BATCH - 2,
        "failed": 1,
        "expired": 0,
        "cancelled": 0,
    }
    assert [each.id for each in batch.items] == [each["id"] for each in items]
    assert [each.outcome for each in batch.items[:9]] == [*["done"] * 3, "failed", *["done"] * 3, "review", "done"]
    assert batch.items[99].output is not None
    assert batch.items[99].output["text"] == "box 99 is there"
    again = await errands.http.post(path, json={"items": items}, headers=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (response.json(), "true")


async def test_a_batch_with_a_wrong_item_is_refused_whole(errands: Shop) -> None:
    body = {"items": [{"input": {"name": "a"}}, {"input": {"name": 1}}, {"input": 5}]}
    response = await errands.http.post("/v1/workflows/errand/runs:batch", json=body)
    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/items/1/input/name", "/items/2/input"]
    checked = await errands.http.post("/v1/workflows/errand/runs:check", json={"inputs": [{"name": "a"}, {}]})
    assert checked.json() == {"errors": [{"index": 1, "pointer": "/name", "detail": "Field required"}]}


async def test_what_it_was_given_is_sealed_and_what_was_asked_masked(errands: Shop) -> None:
    secret = "Zyxolith Ltd"
    waiting = (await run(errands, name=secret, how="ask")).json()
    product = errands.product

    def rows(tx: Tx) -> str:
        run_id = waiting["run_id"]
        statements = [
            tables.workflow_run.select().where(tables.workflow_run.c.run_id == run_id),
            tables.run.select().where(tables.run.c.id == run_id),
        ]
        asked = tables.review.select().where(tables.review.c.run_id == run_id)
        given = [str(dict(row)) for statement in statements for row in tx.all(statement)]
        masked = str([dict(row) for row in tx.all(asked)])
        assert "eve@example.com" not in masked
        assert "[EMAIL_1]" in masked
        return " ".join(given)

    kept = await product.service.store.in_workspace(product.settings.workspace).read(rows)
    assert secret not in kept
    if product.settings.database_url is None:
        files = [product.settings.data / f"checkpoints.db{end}" for end in ("", "-wal")]
        assert not any(secret.encode() in file.read_bytes() for file in files if file.exists())


async def test_what_is_about_a_person_is_erased_with_them(errands: Shop) -> None:
    mine = (await run(errands, subject="c-77", how="ask")).json()
    other = (await run(errands, subject="c-78")).json()
    exported = await errands.http.post("/v1/privacy/export", json={"subject": "c-77"})
    assert [each["input"] for each in exported.json()["workflow_runs"]] == [mine["input"]]
    erased = await errands.http.post("/v1/privacy/erase", json={"subject": "c-77"})
    assert (erased.status_code, erased.json()["runs"]) == (200, 1)
    assert (await errands.http.get(f"/v1/runs/{mine['run_id']}")).status_code == 404
    assert (await errands.http.get(f"/v1/reviews/{mine['review_id']}")).status_code == 404
    assert (await errands.get(f"/v1/runs/{other['run_id']}"))["outcome"] == "done"
    report = (await errands.http.post("/v1/decisions/verify", json={"stream": mine["run_id"]})).json()
    assert (report["clean"], report["erased"]) == (True, 1)
