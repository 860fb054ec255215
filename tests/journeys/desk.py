"""The tea shop's desk: people of its staff, and how to look at what they and the bot did."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from httpx_sse import ServerSentEvent

from policies.types import Principal
from tests.journeys.shop import JSON, Shop, tidy


def staff(shop: Shop, name: str) -> Principal:
    return Principal(workspace_id=shop.product.settings.workspace, id=name, role="staff")


async def transcript(shop: Shop, conversation: str) -> list[tuple[str, str, str]]:
    """Return who said what in a conversation, and what became of it."""
    view = await shop.product.service.get_conversation(shop.product.principal, conversation)
    return [(each.author, each.text, each.state) for each in view.messages]


async def owner_of(shop: Shop, conversation: str) -> tuple[str, str | None]:
    """Return who has a conversation, and which person that is."""
    found = await shop.product.service.conversation(shop.product.principal, conversation)
    return found.owner, found.owner_id


async def told_to(shop: Shop, principal: Principal, conversation: str) -> list[tuple[str, JSON]]:
    """Return all that one principal is told of a conversation, tidied."""
    last = (await shop.product.service.conversation(principal, conversation)).last_event
    names: dict[str, str] = {}
    found: list[tuple[str, JSON]] = []
    events = shop.product.service.conversation_events(principal, conversation)
    with anyio.fail_after(30):
        async for batch in events:
            found += [(each.type, tidy(each.data, names)) for each in batch]
            if batch[-1].seq == last:
                break
    await events.aclose()
    return found


async def rest_of(stream: AsyncIterator[ServerSentEvent]) -> list[ServerSentEvent]:
    with anyio.fail_after(30):
        return [event async for event in stream]


async def explained(shop: Shop, run: str, kind: str) -> list[tuple[str, str]]:
    decisions = (await shop.get(f"/v1/runs/{run}/explanation"))["decisions"]
    return [(each["actor"]["id"], each["outcome"]) for each in decisions if each["kind"] == kind]
