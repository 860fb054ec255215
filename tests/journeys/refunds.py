"""A shop with tools of its own, one of which sends money back and waits for a person where that is much."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from graphs.assembly import Product, open_product
from graphs.fakes import ScriptedDrafter, route_to, scripted_team
from graphs.faults import Faults
from graphs.settings import Settings
from graphs.team import Team
from policies.types import JSON, Autonomy
from tests.journeys.shop import FILES
from tools.assistants import Assistant
from tools.clock import Clock
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.own_actions import load_actions
from tools.storage import receipts
from tools.storage.reviews import Review

ACTIONS = """\
from __future__ import annotations
import os
import signal
from typing import Annotated
from handrail import Found, Refused, ToolContext, tool

Order = Annotated[str, Found(r"T-\\d+", "an order number")]

@tool
def look_up(order: Order) -> dict[str, object]:
    '''Look an order up.'''
    return {"say": [f"Order {order} was sent on Monday."], "_note": "staff only"}

@tool(effect=True)
def refund(
    order: Order, amount: Annotated[float, Found(r"(\\d+) euros", "an amount")], member: bool, context: ToolContext
) -> dict[str, object]:
    '''Send money back.'''
    with (context.data / "calls").open("a") as calls:
        calls.write(f"{context.key} {order} {amount:g} {member}\\n")
    if (context.data / "dies").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return {"say": [f"{amount:g} euros for order {order} were sent."]}
"""
RULES = """\
rules:
- {id: large, on: action, tool: refund, when: arguments.amount > 50.0, effect: require, reason: Over 50.}
- {id: huge, on: action, tool: refund, when: arguments.amount > 500.0, effect: block, queue: care, reason: Much.}
- {id: odd, on: action, when: 'action == "refund" && arguments.order == "T-13"', effect: escalate, reason: Odd.}
"""
SMALL, LARGE = "Refund 20 euros for T-7", "Refund 60 euros for T-7"
SENT = "60 euros for order T-7 were sent."


@dataclass(frozen=True)
class Counter:
    """An open shop that sends money back."""

    product: Product
    calls: Path

    async def begin(self, **customer: Any) -> str:
        """Begin a conversation; returns its id."""
        customer = customer or {"attributes": {"member": True}}
        conversation = await self.product.service.create_conversation(self.product.principal, customer=customer)
        return conversation.id

    async def ask(self, text: str, conversation_id: str | None = None) -> str:
        """Ask something and wait until nothing is at work; returns the run's id."""
        service, me = self.product.service, self.product.principal
        accepted = await service.post_message(me, conversation_id or await self.begin(), text)
        await self.settled()
        return accepted.run_id

    async def settled(self) -> None:
        """Wait until nothing is at work."""
        with anyio.fail_after(30):
            await self.product.service.jobs.settled()

    async def ending(self, run_id: str) -> tuple[str | None, str]:
        """Return how a run ended and what it said."""
        view = await self.product.service.get_run(self.product.principal, run_id)
        return view.outcome, view.text

    async def review(self, run_id: str) -> Review:
        """Return the review that a run asked for last."""
        found = await self.product.service.list_reviews(self.product.principal, status=None)
        return next(each for each in found if each.run_id == run_id)

    async def decide(self, run_id: str, decision: str, **more: str) -> None:
        """Answer the review of a run."""
        review = await self.review(run_id)
        await self.product.service.decide(self.product.principal, review.id, {"decision": decision, **more})
        await self.settled()

    async def receipts(self, run_id: str) -> list[str]:
        """Return how a run's receipts stand."""
        workspace = self.product.service.store.in_workspace("default")
        return [each.status for each in await workspace.read(lambda tx: receipts.of_run(tx, run_id))]

    async def decisions(self, run_id: str, *kinds: str) -> list[JSON]:
        """Return the decisions of a run of some kinds."""
        found = await self.product.service.explain(self.product.principal, run_id)
        return [each for each in found if each["kind"] in kinds]

    @property
    def done(self) -> list[str]:
        """What was done, without the keys."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line.partition(" ")[2] for line in lines]


def write_folder(folder: Path, autonomy: Autonomy = Autonomy.AUTO) -> Path:
    """Write an assistant with tools."""
    for name, text in {**FILES, "actions.py": ACTIONS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with (folder / "assistant.yaml").open("a") as file:
        file.write("tools: {look_up: actions.py, refund: actions.py}\n")
    own = f"  autonomy: {autonomy}\n  tools: [look_up, refund]\n"
    (folder / "intents.yaml").write_text(FILES["intents.yaml"].replace("  autonomy: auto\n", own))
    (folder / "policy.yaml").write_text(RULES + FILES["policy.yaml"])
    return folder


@asynccontextmanager
async def opened(
    folder: Path, place: JSON, clock: Clock | None = None, faults: Faults | None = None, **more: Any
) -> AsyncIterator[Counter]:
    """Open the shop over a place for its data; ``more`` is of its team."""

    async def hire(assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
        intent = assistant.intents[0]
        return scripted_team(
            assistant,
            knowledge,
            route_to(intent.name, intent.autonomy, queue="shipping"),
            drafter=ScriptedDrafter(otherwise=(SENT,)),
            actions=load_actions(assistant, place["data"]),
            **more,
        )

    settings = Settings(**{"assistant": folder, **place})
    async with open_product(settings, hire=hire, clock=clock, faults=faults, announce=lambda _: None) as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        yield Counter(product, place["data"] / "tools" / "tea-shop" / "calls")
