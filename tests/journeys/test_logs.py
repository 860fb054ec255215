"""Turns with personal data in them, through every door and failure, leave none of it in the logs."""

from __future__ import annotations

import json
import logging

import pytest

from server.logs import JsonLines
from tests.journeys.shop import Shop

pytestmark = pytest.mark.anyio
MAIL, PHONE = "kim.lee@example.net", "+44 20 7946 0777"
OURS = "handrail"


class Kept(logging.Handler):
    """Keeps lines as they would be written, and as they were before anything was masked."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.raw: list[str] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(self.format(record))
        self.raw.append(logging.Formatter("%(message)s").format(record))


@pytest.fixture(name="kept")
def kept_fixture() -> Kept:
    return Kept()


async def test_no_log_line_holds_personal_data(shop: Shop, kept: Kept) -> None:
    logger = logging.getLogger(OURS)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(kept)
    try:
        await _drive(shop)
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
    assert kept.lines
    text = "\n".join([*kept.lines, *kept.raw])
    assert "kim.lee" not in text
    assert "0777" not in text
    failed = next(line for line in kept.lines if "failed" in line)
    assert {"run", "conversation", "trace"} <= set(json.loads(failed))


async def _drive(shop: Shop) -> None:
    shop.drafter.script["breaks"] = (RuntimeError("the drafter broke"),)
    conversation = await shop.conversation(id=MAIL, attributes={"visits": 3})
    for text in ("How long does delivery take", "This breaks", "I want to complain"):
        await shop.ask(await shop.conversation(), f"{text}? I am {MAIL}, {PHONE}.")
    run = (await shop.ask(conversation, f"Send my money back, {MAIL}")).json()
    await shop.decide(run["review_id"], decision="edit", text=f"We call {PHONE}.", note=f"It is {MAIL}.")
    await shop.settled()
    for path in (f"/v1/runs/{MAIL}", f"/v1/conversations/{MAIL}", f"/v1/decisions?stream={MAIL}", f"/v1/{MAIL}"):
        await shop.http.get(path)
    await shop.http.post(f"/v1/conversations/{conversation}/messages", content=f"{MAIL} is no JSON")
    await shop.http.post("/v1/decisions/con_0/1/reversal", json={"reason": f"{MAIL} asked"})
