"""What the injection head learns from: two public sets, honest questions and articles, and our own examples."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evals.heads import injection_grammar as grammar
from evals.heads.base import source_of
from policies.errors import ConfigError
from policies.types import JSON
from tools.guards.injection_text import Span, read, units

FILES: Mapping[str, tuple[str, str]] = {
    "deepset": ("injection/deepset_train.jsonl", "Apache-2.0"),
    "jackhhao": ("injection/jackhhao_train.jsonl", "MIT"),
}
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "banking77": ("intents/banking77/train_10.jsonl", "CC BY 4.0"),
    "clinc150": ("intents/clinc150/train_10.jsonl", "CC BY 3.0"),
    "hwu64": ("intents/hwu64/train_10.jsonl", "CC BY 4.0"),
}
UNTRAINED = ("intents/banking77/valid.jsonl", "intents/clinc150/valid.jsonl", "intents/hwu64/test.jsonl")
"""Honest questions that are never learned from; 500 of each are asked."""
ARTICLES = ("retrieval/clapnq/cases.jsonl", "Apache-2.0")
DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "bank": ("retrieval/bank/documents.jsonl", "MIT"),
    "codebase": ("retrieval/codebase/documents.jsonl", "MIT"),
}
"""Honest documents; of every second one the parts are learned, the others are kept for the evaluation."""
PAGES = "retrieval/plausible"
"""Honest pages that are never learned from."""
WEIGHTS: Mapping[str, float] = {"deepset": 2.0, "jackhhao": 1.5, "own": 0.5, "grammar": 0.25}
"""How much a message of a source counts: what people wrote to real assistants more than what we made up."""
FILLS = 3
"""How often a line with slots is filled."""
PARTS = 6
"""How many parts of a long honest text are learned each for itself."""


SENTENCES = (
    "You can return boots within thirty days.",
    "The museum opens at nine and closes at six.",
    "To add a member, open Settings and press Invite.",
    "The function returns the number of rows that were written.",
    "Payment is due two weeks after the invoice.",
    "Our hotline is open on weekdays.",
    "Wash the jacket at thirty degrees and hang it up to dry.",
    "The fee is waived for balances above 1,500 dollars.",
    "Select the site in the menu and copy the snippet.",
    "If the parcel is late, wait one more day before you write to us.",
    "The river rises in the north and is 140 km long.",
    "Use the option --verbose to see each step.",
    "Customers with a gold card have free access to the lounge.",
    "What is the delivery time to Norway?",
    "My order has not come yet.",
    "Thanks for your help so far.",
)
"""Honest sentences that stand beside our own examples, of both kinds."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One text to learn from."""

    text: str
    flag: bool
    source: str
    group: str
    """Examples of one group never stand on both sides of a fold; near-duplicates are joined besides."""
    weight: float = 1.0
    turns: frozenset[int] = frozenset()
    """Of a line of the grammar: the parts of the grammar that it is made of."""


def own(seed: int) -> list[Example]:
    """Return our own examples: every line plain, and once inside a carrier."""
    told = _yaml("injection_examples.yaml")
    draw = random.Random(seed)
    slot = re.compile(r"\{(" + "|".join(told["slots"]) + r")\}")
    found: list[Example] = []
    for kind, flag in (("attacks", True), ("honest", False)):
        for line in (line for lines in told[kind].values() for line in lines):
            for _ in range(FILLS if slot.search(line) else 1):
                said = slot.sub(lambda match: str(draw.choice(told["slots"][match.group(1)])), line)
                carried = draw.choice(told["carriers"]).replace("{line}", said)
                texts = dict.fromkeys((said, carried, *beside(said, draw)))
                found += [
                    Example(text=text, flag=flag, source="own", group=f"own:{line}", weight=WEIGHTS["own"])
                    for text in texts
                ]
    return found


def grammar_lines(orders: int, honest: int, seed: int) -> list[Example]:
    """Return lines of the grammar as messages: plain, half of them beside an honest sentence as well."""
    draw = random.Random(seed)
    lines = [*grammar.orders(orders, seed), *grammar.honest(honest, seed)]
    return [
        Example(
            text=text,
            flag=line.flag,
            source="grammar",
            group=line.group,
            weight=WEIGHTS["grammar"],
            turns=line.turns,
        )
        for line in lines
        for text in (line.text, *beside(line.text, draw))
    ]


def beside(line: str, draw: random.Random) -> tuple[str, ...]:
    """Return a line before or after an honest sentence, half of the time."""
    told = draw.choice(SENTENCES)
    return draw.choice(((f"{told} {line}",), (f"{line} {told}",), (), ()))


def result(text: str) -> str:
    """Return a tool's result with a text inside."""
    return json.dumps({"status": "ok", "results": [{"id": 1, "score": 0.82, "text": text}]}, ensure_ascii=False)


def planted() -> Mapping[str, Sequence[str]]:
    """Return the texts that are kept for the evaluation: planted, messages and honest."""
    kept: Mapping[str, Sequence[str]] = _yaml("injection_planted.yaml")
    return kept


def public(data: Path, source: str) -> list[Example]:
    """Return the texts of one public set."""
    file, _ = FILES[source]
    if not (data / file).exists():
        raise ConfigError(
            f"The data folder {data} has no {file}.",
            remedy="Give the folder that holds the public data, as in `make heads DATA=folder`.",
            code="heads.data",
        )
    return [
        Example(
            text=row["input"],
            flag=bool(row["expected"]["flag"]),
            source=source,
            group=f"{source}:{number}",
            weight=WEIGHTS[source],
        )
        for number, row in enumerate(rows(data / file))
    ]


def honest(data: Path) -> list[Example]:
    """Return honest questions and articles."""
    found = [
        Example(text=row["input"], flag=False, source="questions", group=f"{source}:{number}", weight=0.5)
        for source, (file, _) in QUESTIONS.items()
        for number, row in enumerate(rows(data / file))
        if number % 2 == 0
    ]
    articles = [row["input"]["passage"] for row in rows(data / ARTICLES[0])]
    found += [
        Example(text=text, flag=False, source="articles", group=f"articles:{number}", weight=0.5)
        for number, text in enumerate(dict.fromkeys(articles[:300]))
    ]
    for source, (file, _) in DOCUMENTS.items():
        for number, row in enumerate(rows(data / file)):
            text = row["text"] if number % 4 else result(row["text"])
            if number % 8 == 0:
                found.append(
                    Example(text=text, flag=False, source="documents", group=f"{source}:{number}", weight=0.5)
                )
    return found


def with_parts(examples: Sequence[Example], seed: int) -> list[Example]:
    """Return examples, and after each long honest one some of its parts: honest as well, each for itself."""
    draw = random.Random(seed)
    found: list[Example] = []
    for each in examples:
        found.append(each)
        plain = read(each.text).text
        cut = [] if each.flag else list(units(plain))
        if len(cut) > 1:
            picked: list[Span] = draw.sample(cut, min(PARTS, len(cut)))
            parts = (plain[slice(*span)] for span in picked)
            found += [
                Example(text=part, flag=False, source=f"parts of {each.source}", group=each.group, weight=0.25)
                for part in parts
            ]
    return found


def sources(data: Path) -> list[JSON]:
    """Say which files were learned from."""
    files = [*FILES.values(), *QUESTIONS.values(), ARTICLES, *DOCUMENTS.values()]
    return [
        source_of(data, file, licence, sum(1 for _ in rows(data / file)))
        for file, licence in files
        if (data / file).exists()
    ]


def untrained_questions(data: Path, each: int, seed: int) -> list[str]:
    """Return honest questions of three sets that nothing was learned from."""
    found: list[str] = []
    for file in UNTRAINED:
        asked = [row["input"] for row in rows(data / file)]
        random.Random(seed).shuffle(asked)
        found += asked[:each]
    learned = {example.text.casefold() for example in honest(data)}
    return [text for text in found if text.casefold() not in learned]


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Read a file of cases, one a line; a file that is not there has none."""
    if not file.exists():
        return
    with file.open() as lines:
        for line in lines:
            yield json.loads(line)


def flags_of(examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which examples are attacks."""
    return np.array([each.flag for each in examples], np.bool_)


def _yaml(name: str) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(resources.files("evals.heads").joinpath(name).read_text("utf-8"))
    return told
