"""Reviewed drafts of those who agreed become cases, with where they come from, and go with the consent."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from evals.cases import ConversationCase, read_cases
from evals.collecting import case_of, collect, write_cases
from tests.journeys.shop import Shop

pytestmark = pytest.mark.anyio
ADDRESS = "jo@example.com"


async def reviewed(shop: Shop, *, agrees: bool, **answer: str) -> tuple[str, str]:
    """Have a draft judged; returns conversation and run."""
    conversation = await shop.conversation()
    path = f"/v1/conversations/{conversation}/consent"
    assert (await shop.http.patch(path, json={"train_eval": agrees})).status_code == 200
    run = (await shop.ask(conversation, f"I want my money back, write to {ADDRESS}")).json()
    assert (await shop.decide(run["review_id"], **answer)).status_code == 200
    await shop.settled()
    return conversation, run["run_id"]


async def test_judged_drafts_become_cases_and_go_with_the_consent(shop: Shop, tmp_path: Path) -> None:
    workspace = shop.product.service.store.in_workspace("default")
    before = len((await collect(workspace)).items)
    accepted, run = await reviewed(shop, agrees=True, decision="approve")
    edited, _ = await reviewed(shop, agrees=True, decision="edit", text="We send it back tomorrow.")
    rejected, _ = await reviewed(shop, agrees=True, decision="reject")
    await reviewed(shop, agrees=False, decision="approve")
    found = await collect(workspace)
    assert (found.new, len(found.items)) == (3, before + 3)
    assert (await collect(workspace)).new == 0
    by_conversation = {item.conversation_id: case_of(item) for item in found.items}
    case = by_conversation[accepted]
    assert case is not None
    assert case["input"] == {"turns": ["I want my money back, write to [EMAIL_1]"]}
    assert (case["expected"]["outcome"], case["tags"]) == ("drafted", ["accepted", "intent:refund"])
    assert case["judged"]["draft"]
    assert (case["lineage"]["run"], case["lineage"]["conversation"]) == (run, accepted)
    assert case["lineage"]["source"].startswith("review rev_")
    assert case["lineage"]["assistant_version"] == shop.product.assistant.version
    assert case["lineage"]["index_version"]
    changed, refused = by_conversation[edited], by_conversation[rejected]
    assert changed is not None
    assert refused is not None
    assert (changed["judged"]["verdict"], changed["judged"]["text"]) == ("edited", "We send it back tomorrow.")
    assert refused["expected"] == {"outcome": "person"}
    path = tmp_path / "cases.jsonl"
    assert write_cases(path, found.items) == len(found.items)
    assert ADDRESS not in path.read_text()
    assert len(read_cases([path], ConversationCase)) == len(found.items)
    withdrawn = await shop.http.patch(f"/v1/conversations/{accepted}/consent", json={"train_eval": False})
    assert withdrawn.status_code == 200
    left = await collect(workspace)
    assert (left.new, accepted in {item.conversation_id for item in left.items}) == (0, False)
    write_cases(path, left.items)
    assert accepted not in {
        orjson.loads(line)["lineage"]["conversation"] for line in path.read_bytes().splitlines()
    }
