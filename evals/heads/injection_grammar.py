"""Lines of the grammar that the injection head learns from: orders to a machine, and honest ones like them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

ENGLISH = 0.6
"""Which share of the orders is English."""
BARE = 0.3
"""Which share of the English orders names nobody who gets them."""
TONGUES = ("de", "fr", "es", "it", "nl", "pt", "pl")
TURNS = 4
"""Into how many parts branches, moods and carriers are divided, to leave one out."""

_SECOND_PERSON = (
    (r"\bit (was|had|is)\b", {"was": "you were", "had": "you had", "is": "you are"}),
    (r"\bits\b", "your"),
    (r"\bitself\b", "yourself"),
    (r"\bit (has|knows|answers|read)\b", {"has": "you have", "knows": "you know", "answers": "you answer"}),
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line, plain and in a carrier."""

    text: str
    carried: str
    flag: bool
    group: str
    """The branch and the mood, of which no fold sees both sides."""
    turns: frozenset[int]
    """The parts of the grammar that it is made of; its carrier's is ``carrier``."""
    carrier: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which branches, moods and carriers may be used."""

    turn: int | None = None
    """The only part to be used; None for all."""

    def pick(self, told: Sequence[str], draw: random.Random) -> tuple[str, int]:
        """Draw one that may be used; say of which part it is."""
        numbers = [number for number in range(len(told)) if self.turn is None or number % TURNS == self.turn]
        number = draw.choice(numbers)
        return told[number], number % TURNS


EVERYTHING = Choice()


@cache
def _grammar() -> Mapping[str, Any]:
    told = resources.files("evals.heads").joinpath("injection_grammar.yaml").read_text("utf-8")
    grammar: Mapping[str, Any] = yaml.safe_load(told)
    return grammar


def orders(number: int, seed: int, choice: Choice = EVERYTHING) -> list[Line]:
    """Return lines that give a machine orders, no two alike."""
    return _distinct(number, random.Random(seed), choice, flag=True)


def honest(number: int, seed: int, choice: Choice = EVERYTHING) -> list[Line]:
    """Return honest lines in the same moods and carriers, and all those that stand in the grammar as they are."""
    draw = random.Random(seed + 1)
    fixed = [
        _line(_filled(each, draw), f"line:{each}", {number % TURNS}, draw, choice, flag=False)
        for number, each in enumerate(_grammar()["honest"]["lines"])
        if choice.turn is None or number % TURNS == choice.turn
    ]
    return fixed + _distinct(number, draw, choice, flag=False)


def _distinct(number: int, draw: random.Random, choice: Choice, *, flag: bool) -> list[Line]:
    found: dict[str, Line] = {}
    # Some draws say what others said; a small part of the grammar may have no more to say.
    for _ in range(3 * number):
        foreign = flag and draw.random() > ENGLISH
        text, group, turns = _foreign(draw, choice) if foreign else _english(draw, choice, flag=flag)
        found.setdefault(text, _line(text, group, turns, draw, choice, flag=flag))
        if len(found) == number:
            break
    return list(found.values())


def _line(text: str, group: str, turns: set[int], draw: random.Random, choice: Choice, *, flag: bool) -> Line:
    carrier, turn = choice.pick(_grammar()["carriers"], draw)
    carried = carrier.replace("{line}", text)
    return Line(
        text=text, carried=carried, flag=flag, group=f"grammar:{group}", turns=frozenset(turns), carrier=turn
    )


def _english(draw: random.Random, choice: Choice, *, flag: bool) -> tuple[str, str, set[int]]:
    told = _grammar()["en" if flag else "honest"]
    bare = draw.random() < (BARE if flag else 0.5)
    shared = [] if flag or bare else _grammar()["en"]["moods"]
    mood, turn = choice.pick([*told["bare moods" if bare else "moods"], *shared], draw)
    branches = list(told["orders"])
    while True:
        # Honest branches are few: of them any may be used.
        branch, other = choice.pick(branches, draw) if flag else (draw.choice(branches), turn)
        if not bare or branch in told["bare"]:
            break
    order, more = (draw.choice(told["orders"][branch]) for _ in range(2))
    if bare or "{who}" not in mood.lower():
        order, more = _addressed(order), _addressed(more)
    who, call = draw.choice(told["who"]), draw.choice(told["call"])
    said = _put(mood, {"who": who, "call": call, "order": order, "more": more})
    return _filled(said, draw), f"{branch}:{mood}", {turn, other}


def _foreign(draw: random.Random, choice: Choice) -> tuple[str, str, set[int]]:
    tongue = draw.choice(TONGUES)
    told = _grammar()[tongue]
    mood, turn = choice.pick(told["moods"], draw)
    picked = {each: choice.pick(told[each], draw) for each in ("imperative", "infinitive")}
    parts = {name: said for name, (said, _) in picked.items()}
    second, last = choice.pick(told["imperative"], draw)
    used = "infinitive" if "infinitive" in mood else "imperative"
    turns = {turn, picked[used][1], *({last} if "imperative2" in mood else ())}
    people = {"who": draw.choice(told["who"]), "call": draw.choice(told["call"])}
    said = _put(mood, {**parts, **people, "imperative2": second})
    return _filled(said, draw), f"{tongue}:{mood}:{parts[used]}", turns


def _addressed(order: str) -> str:
    """Turn what "it" shall do into what "you" shall do."""
    for pattern, put in _SECOND_PERSON:
        if isinstance(put, str):
            order = re.sub(pattern, put, order)
        else:
            order = re.sub(pattern, lambda match, put=put: put.get(match[1], f"you {match[1]}"), order)  # type: ignore[misc]
    return order


def _put(mood: str, parts: Mapping[str, str]) -> str:
    for name, said in parts.items():
        mood = mood.replace(f"{{{name}}}", said)
        mood = mood.replace(f"{{{name[0].upper()}{name[1:]}}}", f"{said[:1].upper()}{said[1:]}")
    return mood


def _filled(text: str, draw: random.Random) -> str:
    slots = _grammar()["slots"]
    return re.sub(r"\{(" + "|".join(slots) + r")\}", lambda match: str(draw.choice(slots[match[1]])), text)
