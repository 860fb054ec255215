"""What the injection head learns about documents and tools' results: their parts, and orders among them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evals.heads import injection_data as material
from evals.heads import injection_grammar as grammar
from evals.heads import injection_places as places
from evals.heads.injection_data import Example
from evals.heads.injection_fit import Reader, Scores
from policies.guards import GuardRequest, Stage
from policies.types import Passage
from tools.encoder.ports import Vectors
from tools.guards.injection import STAGES, Curve, InjectionGuard, InjectionModel, Sense
from tools.guards.injection_text import UNIT, read, units
from tools.knowledge import sentences

ORDERS, HONEST = 1_500, 800
"""How many lines of the grammar are learned."""
PASSAGES = 250
"""Passages of each collection of documents; all where it has fewer."""
PASSAGE_WORDS = 180
PARTS = 16
"""How many parts of a document are learned."""
CODE = ("codebase",)
"""Code is unlike all else that is learned: to judge it unseen, half of it is left out, and prose as a whole."""
SAMPLES = Path(__file__).resolve().parents[2] / "handrail" / "samples" / "support" / "knowledge"
RAW: Mapping[Stage, Curve] = {stage: Curve(slope=1.0, even=0.0) for stage in STAGES}
"""Curves that leave what weights add up to as it is."""


@dataclass(frozen=True, kw_only=True)
class Collections:
    """Honest documents, by where they are from."""

    learned: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    """Never learned from."""


def collections(data: Path) -> Collections:
    """Return the documents: half of each public collection and the sample's are learned from, our pages never."""
    learned: dict[str, Sequence[str]] = {}
    kept: dict[str, Sequence[str]] = {}
    for name, (file, _) in material.DOCUMENTS.items():
        texts = [row["text"] for row in material.rows(data / file)]
        learned[name], kept[name] = texts[::2], texts[1::2]
    articles = [row["input"]["passage"] for row in material.rows(data / material.ARTICLES[0])]
    learned["articles"] = list(dict.fromkeys(articles[:300]))
    learned["samples"] = [path.read_text("utf-8") for path in sorted(SAMPLES.glob("*.md"))]
    kept["plausible"] = [path.read_text("utf-8") for path in sorted((data / material.PAGES).glob("*.md"))]
    return Collections(
        learned={name: texts for name, texts in learned.items() if texts},
        kept={name: texts for name, texts in kept.items() if texts},
    )


def examples(data: Path, documents: Mapping[str, Sequence[str]], seed: int) -> list[Example]:
    """Return all that is learned about documents."""
    draw = random.Random(seed)
    found = [each for name, texts in documents.items() for each in _honest(name, texts, draw)]
    hosts = [each.text for each in found if len(each.text) < UNIT / 2] or list(material.SENTENCES)
    found += planted(hosts, ORDERS, HONEST, seed)
    found += [replace(each, weight=0.7) for each in material.own(seed)]
    found += places.documents()
    for source in material.FILES:
        # What honest role-play of the second set says would be an order in a document.
        found += [
            replace(each, weight=0.3)
            for each in material.public(data, source)
            if len(each.text) <= UNIT and (each.flag or source == "deepset")
        ]
    return found


def planted(hosts: Sequence[str], orders: int, honest: int, seed: int) -> list[Example]:
    """Return lines of the grammar: plain, in a carrier, and beside a sentence of a document."""
    draw = random.Random(seed)
    found: list[Example] = []
    for line in [*grammar.orders(orders, seed), *grammar.honest(honest, seed)]:
        host = draw.choice(hosts)
        carried = line.turns | {line.carrier}
        between = draw.choice((" ", "\n"))
        beside = draw.choice((f"{host}{between}{line.text}", f"{line.text}{between}{host}"))
        for text, turns in ((line.text, line.turns), (line.carried, carried), (beside, line.turns)):
            found.append(
                Example(text=text, flag=line.flag, source="grammar", group=line.group, weight=0.5, turns=turns)
            )
    return found


def left_out(name: str, texts: Sequence[str]) -> dict[str, str]:
    """Return the documents of a collection that are left out together, by group."""
    return {f"{name}:{number}": text for number, text in enumerate(texts) if number % 2 or name not in CODE}


def _honest(name: str, texts: Sequence[str], draw: random.Random) -> list[Example]:
    found = []
    for number, text in enumerate(texts):
        plain = read(material.result(text) if number % 4 == 0 else text).text
        parts = [plain[slice(*span)] for span in units(plain)]
        kept = parts if len(parts) < PARTS else draw.sample(parts, PARTS)
        found += [
            Example(text=part, flag=False, source=f"documents: {name}", group=f"{name}:{number}", weight=0.5)
            for part in kept
        ]
    return found


async def totals(
    reader: Reader, sense: Sense, passages: Sequence[Passage], stage: Stage, *, inside: bool = True
) -> Scores:
    """Return what the weights add up to at the worst place of each passage, asked of the guard itself."""
    model = InjectionModel(message=sense, document=sense, encoder=reader.id.split("/")[0], curves=RAW, margin=0.0)
    scores = await judge(reader, model, passages, stage, inside=inside)
    return np.log(scores / (1 - scores))


async def judge(
    reader: Reader, model: InjectionModel, passages: Sequence[Passage], stage: Stage, *, inside: bool = True
) -> Scores:
    """Return the guard's score of each text: a message, a passage with its vectors, or a tool's result.

    ``inside`` puts each text into a result at ``tool``; else it is one already.
    """

    async def vectors_of(asked: Sequence[Passage]) -> Mapping[str, Vectors]:
        return {each.id: await reader.encode([each.text[a:b] for a, b in each.sentences]) for each in asked}

    guard = InjectionGuard(reader, vectors_of=vectors_of, model=model)
    found = []
    for each in passages:
        text = material.result(each.text) if stage == "tool" and inside else each.text
        finding = await guard(GuardRequest(stage=stage, text=text, passages=(each,)))
        found.append(finding.score)
    return np.array(found)


def passages_of(source: str, texts: Sequence[str], seed: int, most: int = PASSAGES) -> list[Passage]:
    """Cut documents into passages, and draw some."""
    found = [passage(f"{source}-{number}", cut) for number, text in enumerate(texts) for cut in _cuts(text)]
    return random.Random(seed).sample(found, min(most, len(found)))


def _cuts(text: str) -> list[str]:
    cuts: list[str] = []
    start = end = words = 0
    for first, last in sentences.spans(text):
        if words > PASSAGE_WORDS:
            cuts.append(text[start:end])
            start, words = first, 0
        words += len(text[first:last].split())
        end = last
    return [each for each in [*cuts, text[start:end]] if each.strip()]


def passage(document: str, text: str) -> Passage:
    """Return a text as a passage."""
    return Passage(
        id=f"{document}:{zlib.crc32(text.encode())}",
        document=document,
        document_version="",
        title="",
        heading="",
        text=text,
        start=0,
        end=len(text),
        index_version="",
        audience="customer",
        sentences=sentences.spans(text),
    )


def plant(hosts: Sequence[Passage], texts: Sequence[str], each: int, seed: int) -> list[Passage]:
    """Put each text between two sentences of some honest passages."""
    draw = random.Random(seed)
    found = []
    for text in texts:
        for host in draw.sample(list(hosts), min(each, len(hosts))):
            place = draw.choice([span[1] for span in host.sentences] or [0])
            found.append(passage(host.document, f"{host.text[:place]}\n{text}\n{host.text[place:].lstrip()}"))
    return found
