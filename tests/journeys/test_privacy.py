"""A person's data over HTTP: consent that changes, everything given out, everything gone from wherever it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from click.testing import Result
from sniffio import current_async_library_cvar
from sqlalchemy import Connection, inspect, text
from typer.testing import CliRunner

from handrail.cli import app
from handrail.client import Client
from policies.types import Principal
from server.schemas import Conversation, Erased, SubjectExport
from tests.journeys.shop import OpenShop, Shop, served, take_until
from tests.journeys.test_personal_data import everything
from tools.storage import datasets, events
from tools.storage.audit.check import check_workspace
from tools.storage.lock import announced

pytestmark = pytest.mark.anyio

# Words that occur nowhere else; what is no personal data by its shape is stored as it was written.
ID, MARK = "customer-quokka-77", "zanzibarite"
MAIL = f"{MARK}@example.com"


@pytest.fixture(name="own", scope="module")
async def own_fixture(open_shop: OpenShop, shop: Shop) -> AsyncIterator[Shop]:
    """Open a shop whose whole place may be looked through."""
    del shop  # It opens first, so that both close in turn.
    async with open_shop() as opened:
        yield opened


def places(shop: Shop) -> list[Path]:
    """Return the files of the data folder."""
    folder: Path = shop.product.settings.data
    return [path for path in folder.rglob("*") if path.is_file()]


async def found(shop: Shop, *words: str) -> set[str]:
    """Return where any of these words stands: tables of the database, and files."""
    stored = await shop.product.service.store.database.read(everything)
    where = {"tables"} if any(word in stored for word in words) else set()
    return where | {
        path.name for path in places(shop) if any(word.encode() in path.read_bytes() for word in words)
    }


async def a_life(shop: Shop) -> list[str]:
    """Let a customer do all that leaves rows; returns the conversations."""
    customer = {"id": ID, "locale": "en", "attributes": {"member": True}}
    answered, reviewed, taken, waiting = [await shop.conversation(**customer) for _ in range(4)]
    key = {"Idempotency-Key": f"{MARK}-{answered}"}
    await shop.ask(answered, f"My {MARK} tea is late, {MAIL}. When is it here?", **key)
    run = (await shop.ask(reviewed, f"I want my money back for {MARK}")).json()
    await shop.decide(run["review_id"], decision="edit", text=f"We send {MARK} back.")
    await shop.settled()
    await shop.ask(taken, f"I want to complain about {MARK}")
    replies = f"/v1/conversations/{taken}/replies"
    sent = await shop.http.post(replies, json={"text": f"Sorry for {MARK}."}, headers=key)
    assert sent.status_code == 201, sent.text
    await shop.ask(waiting, f"I want my money back for {MARK}, {MAIL}")
    return [answered, reviewed, taken, waiting]


async def an_example(shop: Shop, conversation_id: str, words: str = f"About {MARK}.") -> None:
    """Keep an example for evals, as a collection of them does."""
    workspace = shop.product.service.store.in_workspace("default")
    content = {"text": words}
    await workspace.write(
        lambda tx: datasets.add(
            tx, conversation_id, run_id=None, kind="route", source="message msg_1", version="v", content=content
        )
    )


async def consented(shop: Shop, conversation_id: str, **given: bool) -> httpx.Response:
    return await shop.http.patch(f"/v1/conversations/{conversation_id}/consent", json=given)


async def test_consent_changes_and_takes_examples_back(shop: Shop) -> None:
    conversation = await shop.conversation()
    assert (await shop.get(f"/v1/conversations/{conversation}"))["consent"] == {
        "third_party_llm": False,
        "train_eval": False,
    }
    agreed = await consented(shop, conversation, train_eval=True)
    assert Conversation.model_validate(agreed.json()).consent.model_dump() == {
        "third_party_llm": False,
        "train_eval": True,
    }
    await an_example(shop, conversation)
    assert (await consented(shop, conversation, train_eval=True)).status_code == 200
    withdrawn = await consented(shop, conversation, train_eval=False)
    assert withdrawn.json()["consent"] == {"third_party_llm": False, "train_eval": False}
    workspace = shop.product.service.store.in_workspace("default")
    assert await workspace.read(lambda tx: datasets.of_conversation(tx, conversation)) == []
    decided = (await shop.get(f"/v1/decisions?stream={conversation}"))["decisions"]
    assert [(each["kind"], each["outcome"], each["removed"]) for each in decided] == [
        ("consent.changed", "given", 0),
        ("consent.changed", "withdrawn", 1),
    ]


async def test_only_those_concerned_change_consent_and_only_admins_see_all(shop: Shop) -> None:
    conversation = await shop.conversation(id="c-7")
    asked: dict[str, Any] = {"subject": "c-7"}
    expected = {"customer": (200, 403, 403), "service": (403, 403, 403), "staff": (200, 200, 403)}
    for role, (own, everywhere, whole) in expected.items():
        principal = Principal(workspace_id="default", id="jo", role=role)  # type: ignore[arg-type]
        product = replace(shop.product, principal=principal)
        async with served(product) as (url, _stop), httpx.AsyncClient(base_url=url) as http:
            said = await http.patch(f"/v1/conversations/{conversation}/consent", json={"third_party_llm": True})
            noted = await http.post("/v1/privacy/consent", json=asked)
            paths = ("/v1/privacy/export", "/v1/privacy/erase")
            refused = [(await http.post(path, json=asked)).status_code for path in paths]
        if role != "service":
            assert (said.status_code, noted.status_code, refused) == (own, everywhere, [whole, whole])
        else:
            assert (said.status_code, said.json()["code"], refused) == (403, "forbidden", [whole, whole])
    decided = (await shop.get(f"/v1/decisions?stream={conversation}"))["decisions"]
    # Nothing in the ledger can be taken away again, so it does not say which customer it was.
    assert [each["actor"] for each in decided] == [{"type": "customer", "id": ""}]


async def test_staff_hear_of_a_change_and_the_customer_does_not(shop: Shop) -> None:
    conversation = await shop.conversation()
    await consented(shop, conversation, train_eval=True)
    workspace = shop.product.service.store.in_workspace("default")
    told = await workspace.read(lambda tx: events.of_conversation(tx, conversation, after=0))
    assert [(each.type, each.audience, each.data["by"]) for each in told] == [
        ("consent.changed", "staff", "local-admin")
    ]


async def test_all_that_is_kept_of_a_person_is_given_out(own: Shop) -> None:
    conversations = await a_life(own)
    await own.conversation(id="somebody-else")
    answer = await own.http.post("/v1/privacy/export", json={"subject": ID, "workspace": "default"})
    told = SubjectExport.model_validate(answer.json())
    assert [each["id"] for each in told.conversations] == conversations
    answered, reviewed, taken, waiting = told.conversations
    assert answered["customer"] == {"id": ID, "locale": "en", "attributes": {"member": True}}
    assert answered["messages"][0]["text"] == f"My {MARK} tea is late, {MAIL}. When is it here?"
    assert answered["personal_data"] == [MAIL]
    assert answered["messages"][1]["source"]["assistant_version"] == own.product.assistant.version
    assert answered["consent_history"] == [
        {"at": answered["created_at"], "by": None, "consent": answered["consent"]}
    ]
    assert reviewed["reviews"][0]["answer"]["text"] == f"We send {MARK} back."
    assert taken["messages"][-1]["source"] == {"assistant_version": None, "person": "local-admin"}
    assert taken["handoffs"][0]["brief"]["asked"] == f"I want to complain about {MARK}"
    assert waiting["runs"][0]["input"]["question"] == f"I want my money back for {MARK}, {MAIL}"
    assert all(each["decisions"] for each in told.conversations)
    nobody = (await own.http.post("/v1/privacy/export", json={"subject": "nobody"})).json()
    assert nobody["conversations"] == []
    other = await own.http.post("/v1/privacy/export", json={"subject": ID, "workspace": "elsewhere"})
    assert (other.status_code, other.json()["code"]) == (400, "workspace.other")


async def test_what_is_erased_is_erased_everywhere_and_the_ledger_still_holds(own: Shop) -> None:
    conversations = await a_life(own)
    await consented(own, conversations[0], train_eval=True)
    await an_example(own, conversations[0])
    embedded = own.product.settings.database_url is None
    before = await found(own, MARK)
    assert "tables" in before
    assert (len(before) > 1) is embedded
    # The customer's id and what the vault holds are sealed, so they stand nowhere to begin with.
    assert await found(own, ID, MAIL) == set()
    done = await own.http.post("/v1/privacy/erase", json={"subject": ID, "reason": f"A letter from {ID}."})
    erased = Erased.model_validate(done.json())
    assert erased.conversations >= len(conversations)
    assert erased.scrubbed is embedded
    assert await found(own, MARK, ID, MAIL) == set()
    for conversation in conversations:
        assert (await own.http.get(f"/v1/conversations/{conversation}")).status_code == 404
    report = await own.product.service.store.database.read(
        lambda connection: check_workspace(connection, "default", contents=True)
    )
    assert report.findings == ()
    assert report.erased > 0
    decided = (await own.get("/v1/decisions?stream=workspace"))["decisions"][-1]
    assert (decided["kind"], decided["subject"], decided["conversations"]) == (
        "subject.erased",
        erased.digest,
        erased.conversations,
    )
    assert decided["reasons"] == [{"code": "privacy.request", "text": "A letter from the subject."}]
    again = await own.http.post("/v1/privacy/erase", json={"subject": ID})
    assert again.json()["conversations"] == 0
    assert (await own.get("/v1/decisions?stream=workspace"))["decisions"][-1]["hash"] == decided["hash"]


async def test_after_a_withdrawal_nothing_that_was_taken_from_a_conversation_is_left(own: Shop) -> None:
    conversation = await own.conversation(id="c-taken")
    await own.ask(conversation, "About the xylograph, when is it here?")
    before = await own.product.service.store.database.read(lambda connection: holding(connection, "xylograph"))
    await consented(own, conversation, train_eval=True)
    await an_example(own, conversation, "About the xylograph.")
    taken = await own.product.service.store.database.read(lambda connection: holding(connection, "xylograph"))
    assert taken == before | {"dataset_item"}
    await consented(own, conversation, train_eval=False)
    after = await own.product.service.store.database.read(lambda connection: holding(connection, "xylograph"))
    # The conversation itself stays, and is searched by nobody.
    assert after == before == {"message", "event", "run"}
    assert not [path for path in places(own) if "chroma" in path.parts and b"xylograph" in path.read_bytes()]


def holding(connection: Connection, word: str) -> set[str]:
    """Return the tables in which a word stands."""
    names = inspect(connection).get_table_names()
    return {name for name in names if word in repr(connection.execute(text(f'select * from "{name}"')).all())}


async def test_a_key_that_was_used_for_an_erased_conversation_is_free_again(own: Shop) -> None:
    begun = {"customer": {"id": "c-keys"}}
    key = {"Idempotency-Key": "begin-1"}
    first = (await own.http.post("/v1/conversations", json=begun, headers=key)).json()["id"]
    await own.http.post("/v1/privacy/erase", json={"subject": "c-keys"})
    second = await own.http.post("/v1/conversations", json=begun, headers=key)
    assert second.status_code == 201
    assert second.json()["id"] != first


async def test_nothing_is_erased_while_an_answer_is_being_worked_on(own: Shop) -> None:
    idle, busy = await own.conversation(id="c-busy"), await own.conversation(id="c-busy")
    own.router.hold["slowly"] = gate = anyio.Event()
    async with own.listen(busy, "Answer slowly") as stream:
        await take_until("step.started", stream)
        refused = await own.http.post("/v1/privacy/erase", json={"subject": "c-busy"})
        assert (refused.status_code, refused.json()["code"]) == (409, "subject.busy")
        assert (await own.http.get(f"/v1/conversations/{idle}")).status_code == 200
        gate.set()
    await own.settled()
    done = await own.http.post("/v1/privacy/erase", json={"subject": "c-busy"})
    assert done.json()["conversations"] == 2


async def test_a_run_that_waits_for_a_person_is_ended_and_its_review_is_gone(own: Shop) -> None:
    run = (await own.ask(await own.conversation(id="c-waits"), "I want my money back")).json()
    await own.http.post("/v1/privacy/erase", json={"subject": "c-waits"})
    late = await own.decide(run["review_id"], decision="approve")
    assert (late.status_code, late.json()["code"]) == (404, "not_found")
    decided = (await own.get(f"/v1/decisions?stream={run['conversation_id']}"))["decisions"]
    assert [(each["kind"], each["outcome"]) for each in decided[-2:]] == [
        ("cancel", "cancelled"),
        ("conversation.erased", "erased"),
    ]


# Over PostgreSQL no server owns the folder: the command line works on the rows itself.
@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True, scope="session")
async def test_the_command_line_asks_the_server_that_owns_the_folder(own: Shop) -> None:
    settings = own.product.settings
    conversation = await own.conversation(id="c-cli")

    def handrail(*words: str) -> Result:
        # The thread inherits that the test runs on a loop, which the command starts for itself.
        current_async_library_cvar.set(None)
        return CliRunner().invoke(app, ["privacy", *words, "--subject", "c-cli", "--data", str(settings.data)])

    with announced(settings.data, str(own.http.base_url)):
        told = await anyio.to_thread.run_sync(handrail, "export")
        assert [each["id"] for each in json.loads(told.stdout)["conversations"]] == [conversation]
        noted = await anyio.to_thread.run_sync(handrail, "withdraw")
        assert noted.stdout == "Noted in 1 conversation.\n"
        other = await anyio.to_thread.run_sync(handrail, "erase", "--yes", "--workspace", "elsewhere")
        assert (other.exit_code, "works for the workspace 'default'" in other.stderr) == (1, True)
        done = await anyio.to_thread.run_sync(handrail, "erase", "--yes")
        assert (done.exit_code, "Erased: 1 conversation with 0 runs." in done.stdout) == (0, True)


async def test_the_client_begins_with_consent_and_changes_it(shop: Shop) -> None:
    client = Client(shop.http)
    conversation = await client.create_conversation({"id": "c-client"}, consent={"train_eval": True})
    changed = await client.set_consent(conversation, third_party_llm=True)
    assert changed["consent"] == {"third_party_llm": True, "train_eval": True}
    assert await client.set_subject_consent("c-client", train_eval=False) == {"conversations": 1}
    told = await client.export_subject("c-client")
    assert [each["consent"] for each in told["conversations"][0]["consent_history"]] == [
        {"third_party_llm": False, "train_eval": True},
        {"third_party_llm": True, "train_eval": True},
        {"third_party_llm": True, "train_eval": False},
    ]
    assert (await client.erase_subject("c-client", reason="Asked."))["conversations"] == 1
