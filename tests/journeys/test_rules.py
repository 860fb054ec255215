"""Rules of the policy file, as a customer meets them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graphs import drafting
from tests.journeys.shop import FILES, NewPlace, Shop, opener

pytestmark = pytest.mark.anyio

RULES = """\
rules:
- {id: many, when: 'turns >= 5', effect: escalate, reason: The conversation goes on for long.}
- {id: suit, 'on': answer, when: 'reply.contains("lawsuit")', effect: escalate, queue: legal, reason: Law.}
"""


@pytest.fixture(name="ruled", scope="module")
async def ruled_fixture(
    assistant_folder: Path, new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> AsyncIterator[Shop]:
    """Open a shop with rules."""
    del shop  # It opens first, so that both close in turn.
    folder = tmp_path_factory.mktemp("ruled") / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    (folder / "policy.yaml").write_text(FILES["policy.yaml"] + RULES)
    async with opener(folder, new_place)() as opened:
        yield opened


async def test_a_rule_counts_all_earlier_messages_of_the_customer(ruled: Shop) -> None:
    conversation = await ruled.conversation()
    outcomes = [(await ruled.ask(conversation, f"Question {number}?")).json()["outcome"] for number in range(6)]
    assert outcomes == ["answered"] * 5 + ["handed_over"]


async def test_a_rule_on_the_answer_names_the_queue(ruled: Shop) -> None:
    ruled.drafter.script["sue"] = ("A lawsuit.",)
    conversation = await ruled.conversation()
    await ruled.ask(conversation, "Can I sue?")
    assert (await ruled.get(f"/v1/conversations/{conversation}"))["queue"] == "legal"


async def test_a_truth_value_is_no_number(ruled: Shop) -> None:
    customer = {"attributes": {"visits": True}}
    response = await ruled.http.post("/v1/conversations", json={"customer": customer})
    assert (response.status_code, response.json()["code"]) == (400, "input.invalid")


async def test_a_run_is_shown_whole_however_many_events_it_has(
    ruled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "MOST_SENTENCES", 600)
    ruled.drafter.script["at length"] = [f"S{number}." for number in range(510)]
    run = (await ruled.ask(await ruled.conversation(), "at length")).json()
    assert (run["outcome"], run["text"].split()[-1]) == ("answered", "S509.")
    assert run["route"]["intent"] == "delivery"


async def test_a_step_that_times_out_is_not_called_the_deadline(ruled: Shop) -> None:
    ruled.drafter.script["time out"] = (TimeoutError("A socket."),)
    conversation = await ruled.conversation()
    await ruled.ask(conversation, "time out")
    brief = (await ruled.get(f"/v1/conversations/{conversation}"))["handoffs"][0]["brief"]
    assert [each["code"] for each in brief["why"]] == ["segment.failed"]
