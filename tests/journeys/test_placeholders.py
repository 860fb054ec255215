"""No placeholder ever leaves unreplaced or reaches the wrong person, whatever drafters make of it."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from policies.personal_data import KINDS, Found
from tests.journeys.shop import OpenShop, Shop

pytestmark = pytest.mark.anyio

TURNS = 24
NAMES = (("Ada Stone", "ADA STONE"), ("J. Stone", "Ada"), ("Mrs Stone", "Stone"))
"""What each person calls two people; of all that is written alike, only the first two are one name."""
ADDRESSES = ("5 Elm Street", "7 Oak Lane", "9 Ash Close")
LIKE_A_PLACEHOLDER = re.compile(rf"\[?(?:{'|'.join(KINDS)})_\d+\]?")


async def by_list(text: str) -> list[Found]:
    """Find the names and addresses above, the longest first, as a trained finder does."""
    kinds = {value: "NAME" for names in NAMES for value in names} | dict.fromkeys(ADDRESSES, "ADDRESS")
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in sorted(kinds, key=len)[::-1]))
    return [Found(kind=kinds[each[0]], start=each.start(), end=each.end()) for each in pattern.finditer(text)]


@pytest.fixture(name="finding", scope="module")
async def finding_fixture(open_shop: OpenShop, shop: Shop) -> AsyncIterator[Shop]:
    """Open a shop with a finder of names and addresses, after the one that all share: they close in turn."""
    del shop
    async with open_shop(team={"finder": by_list}) as opened:
        yield opened


@dataclass
class Person:
    """A customer with a conversation and what they have told of themselves, in their own words."""

    conversation: str
    told: dict[str, str] = field(default_factory=dict)
    """By placeholder."""


def _values(person: int) -> dict[str, str]:
    """Return what a person tells first of all, by the placeholder that it gets."""
    name = ("ada", "ben", "cleo")[person]
    return {
        "[EMAIL_1]": f"{name}@example.org",
        "[EMAIL_2]": f"{name}.home@example.net",
        "[PHONE_1]": f"+44 20 7946 0{100 + person}",
        "[PHONE_2]": f"+1 212 555 01{20 + person}",
        "[NAME_1]": NAMES[person][0],
        "[ADDRESS_1]": ADDRESSES[person],
    }


KNOWN = tuple(_values(0))


def _draft(draw: random.Random) -> list[str]:
    """Return sentences with placeholders that may be known, unknown, damaged or doubled."""
    odd = ["[EMAIL_9]", "EMAIL_1", "[PHONE_1", "[[EMAIL_1]]", "[NAME_8]", "NAME_1]", "[[ADDRESS_1]]", "[IBAN_1]"]
    kinds = [*KNOWN, *odd]
    return [f"We write to {draw.choice(kinds)} or call {draw.choice(kinds)}, item {n}." for n in range(3)]


@pytest.mark.parametrize("seed", range(2))
async def test_no_placeholder_leaves_unreplaced_or_reaches_the_wrong_person(finding: Shop, seed: int) -> None:
    draw = random.Random(seed)
    people = [Person(await finding.conversation()) for _ in range(3)]
    everything = [set(_values(person).values()) for person in range(3)]
    for turn in range(TURNS):
        number = draw.randrange(3)
        person, own = people[number], _values(number)
        placeholder = draw.choice(list(own))
        person.told[placeholder] = own[placeholder]
        question = f"Delivery {seed}-{turn}: reach me at {own[placeholder]}, not [EMAIL_1] or PHONE_2."
        finding.drafter.script = {f"{seed}-{turn}:": _draft(draw)}
        events = await finding.say(person.conversation, question)
        run = events[0].json()["run_id"]
        read = [event.json().get("text", "") for event in events if event.event.startswith("message.delta")]
        read += [
            (await finding.get(f"/v1/runs/{run}"))["text"],
            *(await finding.get(f"/v1/runs/{run}/explanation"))["story"],
        ]
        seen = "\n".join(read)
        assert not LIKE_A_PLACEHOLDER.search(seen), seen
        others = set().union(*(values for n, values in enumerate(everything) if n != number)) - everything[number]
        assert not [value for value in others if value in seen]


async def test_names_that_look_alike_come_back_as_they_were_written(finding: Shop) -> None:
    conversation = await finding.conversation()
    said = [
        "My name is Ada Stone, delivery to 5 Elm Street?",
        "My sister J. Stone and my mother, Mrs Stone: delivery?",
        "My daughter is called Ada, and the shop is called Stone: delivery to 7 Oak Lane?",
    ]
    for text in said:
        assert (await finding.say(conversation, text))[0].json()["text"] == text
    assert finding.drafter.asked[-1].question == (
        "My daughter is called [NAME_4], and the shop is called [NAME_5]: delivery to [ADDRESS_2]?"
    )
    told = (await finding.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["text"] for each in told if each["author"] == "customer"] == said


async def test_a_name_in_other_letters_is_read_back_as_it_was_written_first(finding: Shop) -> None:
    conversation = await finding.conversation()
    await finding.ask(conversation, "Delivery to Ada Stone?")
    again = (await finding.say(conversation, "Delivery to ADA STONE!"))[0].json()["text"]
    assert again == "Delivery to Ada Stone!"


async def test_a_conversation_as_staff_read_it_holds_nobody_elses_values(shop: Shop) -> None:
    first, second = [await shop.conversation() for _ in range(2)]
    await shop.ask(first, "Delivery to ada@example.org?")
    await shop.ask(second, "Delivery to ben@example.org?")
    for conversation, own, other in ((first, "ada@", "ben@"), (second, "ben@", "ada@")):
        read = str(await shop.get(f"/v1/conversations/{conversation}"))
        assert (own in read, other in read) == (True, False)
