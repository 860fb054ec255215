"""What the injection head learns from texts written for each place: messages, documents, tools' results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import yaml

from evals.heads.injection_data import Example
from tools.guards.injection_hidden import hidden
from tools.guards.injection_text import Span, read, units

SOURCE = "places"
WEIGHTS = {"message": 2.0, "document": 3.0, "tool": 3.0}
"""How much a text counts at each place."""
OVERLAP = 0.5
"""A stretch is an order if it has this share of one, or if this share of it is one."""
_MARKED = re.compile("⟪(.*)⟫", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One text at its place."""

    place: str
    kind: str
    text: str
    attack: Span | None
    """Where the order stands; None in an honest text."""

    @property
    def group(self) -> str:
        """Of which no fold sees a part only."""
        return f"{self.place}:{self.text}"


def placed(*places: str) -> list[Placed]:
    """Return the texts of some places, in the order of the file."""
    told = yaml.safe_load(resources.files("evals.heads").joinpath("injection_places.yaml").read_text("utf-8"))
    return [
        _placed(place, kind, line, flag=flag == "attacks")
        for place in places
        for flag, kinds in told[place].items()
        for kind, lines in kinds.items()
        for line in lines
    ]


def _placed(place: str, kind: str, line: str, *, flag: bool) -> Placed:
    marked = _MARKED.search(line)
    text = line.replace("⟪", "").replace("⟫", "")
    attack = None
    if flag:
        attack = (marked.start(), marked.end() - 2) if marked else (0, len(text))
    return Placed(place=place, kind=kind, text=text, attack=attack)


def messages() -> list[Example]:
    """Return messages, whole and by their sentences, and what documents say where no reader looks."""
    found = [_example(each, each.text, flag=each.attack is not None) for each in placed("message")]
    found += [part for each in placed("message") for part in _parts(each)]
    for each in placed("document", "tool"):
        spans = list(hidden(each.text))
        found += [
            _example(each, each.text[slice(*span)], flag=flag)
            for span in spans
            if (flag := _holds(each.attack, span)) is not None
        ]
    return found


def documents() -> list[Example]:
    """Return documents and tools' results as the guard cuts them, whole where they are short."""
    found = []
    for each in placed("document", "tool"):
        found.append(_example(each, each.text, flag=each.attack is not None))
        found += _parts(each)
    return found


def _parts(told: Placed) -> Iterator[Example]:
    plain = read(told.text)
    for span in units(plain.text):
        flag = _holds(told.attack, plain.place(span))
        if flag is not None and plain.text[slice(*span)] != told.text:
            yield _example(told, plain.text[slice(*span)], flag=flag)
    for payload in plain.payloads:
        flag = _holds(told.attack, payload.span)
        if flag is not None:
            yield _example(told, payload.text, flag=flag)


def _holds(attack: Span | None, span: Span) -> bool | None:
    """Say whether a stretch gives orders; None where it has only a piece of one."""
    if attack is None:
        return False
    shared = min(attack[1], span[1]) - max(attack[0], span[0])
    if shared <= 0:
        return False
    enough = shared >= OVERLAP * (attack[1] - attack[0]) or shared >= OVERLAP * (span[1] - span[0]) >= 12
    return True if enough else None


def _example(told: Placed, text: str, *, flag: bool) -> Example:
    source = SOURCE if text == told.text else f"parts of {SOURCE}"
    return Example(text=text, flag=flag, source=source, group=told.group, weight=WEIGHTS[told.place])
