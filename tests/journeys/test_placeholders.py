"""No placeholder ever leaves unreplaced or reaches the wrong person, whatever drafters make of it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

import pytest

from tests.journeys.shop import Shop

pytestmark = pytest.mark.anyio

TURNS = 24
VALUES = {
    "EMAIL": ("{}@example.org", "{}.home@example.net"),
    "PHONE": ("+44 20 7946 0{:03d}", "+1 212 555 01{:02d}"),
}
LIKE_A_PLACEHOLDER = re.compile(r"\[?(?:EMAIL|PHONE|CARD|IBAN|NAME|SSN)_\d+\]?")


@dataclass
class Person:
    """A customer with a conversation and what they have told of themselves, in their own words."""

    conversation: str
    told: dict[str, str] = field(default_factory=dict)
    """By placeholder."""


def _values(person: int) -> dict[str, str]:
    name = ("ada", "ben", "cleo")[person]
    return {
        "[EMAIL_1]": VALUES["EMAIL"][0].format(name),
        "[EMAIL_2]": VALUES["EMAIL"][1].format(name),
        "[PHONE_1]": VALUES["PHONE"][0].format(100 + person),
        "[PHONE_2]": VALUES["PHONE"][1].format(20 + person),
    }


def _draft(draw: random.Random) -> list[str]:
    """Return sentences with placeholders that may be known, unknown, damaged or doubled."""
    kinds = ["[EMAIL_1]", "[EMAIL_2]", "[PHONE_1]", "[PHONE_2]", "[EMAIL_9]", "EMAIL_1", "[PHONE_1", "[[EMAIL_1]]"]
    return [f"We write to {draw.choice(kinds)} or call {draw.choice(kinds)}, item {n}." for n in range(3)]


@pytest.mark.parametrize("seed", range(2))
async def test_no_placeholder_leaves_unreplaced_or_reaches_the_wrong_person(shop: Shop, seed: int) -> None:
    draw = random.Random(seed)
    people = [Person(await shop.conversation()) for _ in range(3)]
    everything = [set(_values(person).values()) for person in range(3)]
    for turn in range(TURNS):
        number = draw.randrange(3)
        person, own = people[number], _values(number)
        placeholder = draw.choice(list(own))
        person.told[placeholder] = own[placeholder]
        question = f"Delivery {seed}-{turn}: reach me at {own[placeholder]}, not [EMAIL_1] or PHONE_2."
        shop.drafter.script = {f"{seed}-{turn}:": _draft(draw)}
        events = await shop.say(person.conversation, question)
        run = events[0].json()["run_id"]
        read = [event.json().get("text", "") for event in events if event.event.startswith("message.delta")]
        read += [
            (await shop.get(f"/v1/runs/{run}"))["text"],
            *(await shop.get(f"/v1/runs/{run}/explanation"))["story"],
        ]
        seen = "\n".join(read)
        assert not LIKE_A_PLACEHOLDER.search(seen), seen
        others = set().union(*(values for n, values in enumerate(everything) if n != number))
        assert not [value for value in others if value in seen]


async def test_a_conversation_as_staff_read_it_holds_nobody_elses_values(shop: Shop) -> None:
    first, second = [await shop.conversation() for _ in range(2)]
    await shop.ask(first, "Delivery to ada@example.org?")
    await shop.ask(second, "Delivery to ben@example.org?")
    for conversation, own, other in ((first, "ada@", "ben@"), (second, "ben@", "ada@")):
        read = str(await shop.get(f"/v1/conversations/{conversation}"))
        assert (own in read, other in read) == (True, False)
