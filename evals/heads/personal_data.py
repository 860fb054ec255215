"""Trains the head that finds names, addresses, places and the rest by the encoder's token vectors.

It learns from the generated sentences of the data folder, from the same with other values in place of theirs, and
from made-up messages. Figures are of five parts: a sentence is looked through by a head that has seen none whose
words around the values are the same or nearly so.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread
import numpy as np

from evals import spans
from evals.heads.base import COMMAND, Announce, Trained, source_of
from evals.heads.invented import Example, Span, invent, recased, swapped
from evals.heads.tagger import Arrays, Tags, fit
from evals.metrics import Figure, share
from policies.errors import ConfigError
from policies.personal_data import Found
from policies.types import JSON
from tools.encoder.ports import Encoder, TokenEncoder, Tokens, Vectors
from tools.guards.head import Head
from tools.guards.personal_data import PersonalData
from tools.guards.presidio import open_presidio
from tools.guards.token_head import KINDS, NAME, TAGS, TokenHead, Typed, Word, features, words_of

LARGE, SMALL = "pii/generated_large.jsonl", "pii/generated_small.jsonl"
HONEST = ("intents/banking77/valid.jsonl", "intents/clinc150/valid.jsonl", "intents/hwu64/valid.jsonl")
SEED = 11
FOLDS = 5
INVENTED = 5_000
CAUTION = 0.7
"""How much less likely than the network says a word is taken to be nothing: what is missed weighs more."""
ALIKE = 0.6
"""From which share of common words on two templates are one."""
_HONEST_EACH = 500
_SWAPPED_WEIGHT = 0.5
_ENCODED_AT_ONCE = 64
_SAME = {"PREFIX": "TITLE"}
_WORD = re.compile(r"[a-z]+|<[a-z_]+>")
_METRICS = ("span_f2", "span_precision", "span_recall", "typed_f2", "typed_precision", "typed_recall")


@dataclass(frozen=True)
class _Read:
    """An example as the network sees it."""

    example: Example
    tokens: Tokens
    rows: Vectors
    tags: Tags


async def train(data: Path, encoder: Encoder, announce: Announce) -> Trained:
    """Train the head; raises ``ConfigError`` for an encoder that gives no tokens."""
    if not isinstance(encoder, TokenEncoder):
        raise ConfigError(f"The encoder {encoder.id!r} gives no tokens.", remedy="Use all-MiniLM-L6-v2.")
    large, small = _examples(data / LARGE), _examples(data / SMALL)
    chance = random.Random(SEED)
    announce(f"personal data: encoding {2 * len(large) + INVENTED} texts")
    kept = await _read(encoder, large)
    others = await _read(encoder, [recased(swapped(each, chance), chance) for each in large])
    invented = await _read(encoder, invent(INVENTED, SEED))
    groups = grouped([_template(each.example) for each in (*kept, *invented)])
    places = _places(groups[: len(kept)])
    learned: list[Arrays] = []
    for part in (*range(FOLDS), None):
        announce(f"personal data: training head {len(learned) + 1} of {FOLDS + 1}, a minute")
        learned.append(
            await anyio.to_thread.run_sync(partial(_learn, kept, others, invented, places, groups), part)
        )
    *heads, final = learned
    head = Head(arrays=final, about=_about(data, encoder, len(large)))
    parted = [TokenHead(Head(arrays=each, about=head.about)) for each in heads]
    announce("personal data: measuring")
    report, figures = await _report(
        data, encoder, kept, small, [parted[place] for place in places], TokenHead(head)
    )
    about = {**head.about, "figures": figures}
    return Trained(name=NAME, head=Head(arrays=final, about=about), report=report)


def grouped(templates: Sequence[Sequence[str]]) -> list[int]:
    """Number texts so that those whose templates share most of their words have the same number."""
    unique = {template: n for n, template in enumerate(dict.fromkeys(map(tuple, templates)))}
    words = [Counter(each) for each in unique]
    parent = list(range(len(words)))

    def root(n: int) -> int:
        while parent[n] != n:
            n = parent[n]
        return n

    for n, mine in enumerate(words):
        for m in range(n):
            both = sum((mine & words[m]).values())
            if both >= ALIKE * (sum(mine.values()) + sum(words[m].values()) - both):
                parent[root(n)] = root(m)
    return [root(unique[tuple(each)]) for each in templates]


def _template(example: Example) -> list[str]:
    """Return the words around the values; those are there only where nothing else is."""
    text, position = "", 0
    for span in sorted(example.spans, key=lambda span: span.start):
        text += f"{example.text[position : span.start]} <{span.kind.lower()}> "
        position = max(position, span.end)
    words = _WORD.findall((text + example.text[position:]).casefold())
    return [each for each in words if each[0] != "<"] or ["<values alone>"]


def _places(groups: Sequence[int]) -> list[int]:
    """Return the fold of each text, the same for those of a group."""
    order = np.random.default_rng(SEED).permutation(np.unique(groups)).tolist()
    return [order.index(each) % FOLDS for each in groups]


def _learn(
    kept: Sequence[_Read],
    others: Sequence[_Read],
    invented: Sequence[_Read],
    places: Sequence[int],
    groups: Sequence[int],
    without: int | None,
) -> Arrays:
    """Learn from all but a fold, and from no made-up message that is like one of it."""
    unseen = {group for group, place in zip(groups, places, strict=False) if place == without}
    ours = [n for n, place in enumerate(places) if place != without]
    made = [each for each, group in zip(invented, groups[len(kept) :], strict=True) if group not in unseen]
    used = [*(kept[n] for n in ours), *(others[n] for n in ours), *made]
    weights = [1.0] * len(ours) + [_SWAPPED_WEIGHT] * len(ours) + [1.0] * len(made)
    return fit([each.rows for each in used], [each.tags for each in used], weights, SEED)


async def _read(encoder: TokenEncoder, examples: Sequence[Example]) -> list[_Read]:
    found: list[_Read] = []
    for start in range(0, len(examples), _ENCODED_AT_ONCE):
        part = examples[start : start + _ENCODED_AT_ONCE]
        for example, tokens in zip(part, await encoder.tokens([each.text for each in part]), strict=True):
            words = words_of(example.text, tokens.offsets)
            rows = features(example.text, words, tokens.vectors)
            found.append(_Read(example, tokens, rows, tags_of(words, example.spans)))
    return found


def tags_of(words: Sequence[Word], its: Sequence[Span]) -> Tags:
    """Return the tag of each word: of the span that half of it lies in."""
    tags = np.zeros(len(words), np.int64)
    for span in sorted(its, key=lambda span: span.start):
        if span.kind not in KINDS:
            continue
        part = "B"
        for at, word in enumerate(words):
            if 2 * (min(word.end, span.end) - max(word.start, span.start)) >= word.end - word.start:
                tags[at] = TAGS.index(f"{part}-{span.kind}")
                part = "I"
    return tags


def _examples(file: Path) -> list[Example]:
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        its = [
            Span(_SAME.get(each["type"], each["type"]), each["start"], each["end"])
            for each in row["expected"]["spans"]
        ]
        found.append(Example(text=row["input"], spans=tuple(its), template=""))
    return found


def _about(data: Path, encoder: Encoder, rows: int) -> JSON:
    return {
        "command": COMMAND,
        "seed": SEED,
        "encoder": encoder.id,
        "caution": CAUTION,
        "tags": list(TAGS),
        "data": [source_of(data, LARGE, "MIT", rows)],
        "invented": {"file": "evals/heads/invented.yaml", "rows": INVENTED},
    }


async def _report(
    data: Path,
    encoder: TokenEncoder,
    kept: Sequence[_Read],
    small: Sequence[Example],
    heads: Sequence[TokenHead],
    final: TokenHead,
) -> tuple[str, JSON]:
    presidio = await open_presidio()
    alone = PersonalData(presidio=presidio)
    by_head = {id(each): PersonalData(encoder=encoder, head=each, presidio=presidio) for each in (*heads, final)}
    finders = [by_head[id(each)] for each in heads]
    large = [each.example for each in kept]
    lines = {
        "generated_large, cross-validated": await _pairs(large, finders),
        "generated_large, head alone, cross-validated": [
            _pair(each.example, head(each.example.text, each.tokens))
            for each, head in zip(kept, heads, strict=True)
        ],
        "generated_large, patterns and Presidio alone": await _pairs(large, [alone] * len(large)),
        "generated_small, not learned from": await _pairs(small, [by_head[id(final)]] * len(small)),
        "generated_small, patterns and Presidio alone": await _pairs(small, [alone] * len(small)),
    }
    figures = {name: {each: spans.figure(each, pairs) for each in _METRICS} for name, pairs in lines.items()}
    asked = await _asked(data, by_head[id(final)])
    table = [f"| {name} | {' | '.join(map(_told, its.values()))} |" for name, its in figures.items()]
    head = [f"| set | {' | '.join(_METRICS)} |", "|---|" + "---|" * len(_METRICS)]
    text = "\n".join([_INTRODUCTION, *head, *table, "", _ASKED.format(_told(asked), asked.count)])
    values = {name: {key: round(each.value, 4) for key, each in its.items()} for name, its in figures.items()}
    return text, {**values, "honest questions with a name or an address": round(asked.value, 4)}


_INTRODUCTION = (
    "Learned from `pii/generated_large.jsonl` (MIT) and made-up messages. `span_`: a span counts as found when "
    "any found one shares a character with it, whatever the types; `typed_`: start, end and type are the same. "
    "Cross-validated in five parts, by template.\n"
)
_ASKED = "Honest questions in which a name or an address is masked, names that are there included: {} of {}.\n"


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


async def _pairs(examples: Sequence[Example], finders: Sequence[PersonalData]) -> list[spans.Pair]:
    return [_pair(each, await finder.all(each.text)) for each, finder in zip(examples, finders, strict=True)]


def _pair(example: Example, found: Sequence[Found | Typed]) -> spans.Pair:
    return spans.Pair(
        expected=[spans.Span(*each) for each in example.spans],
        found=[spans.Span(each.kind, each.start, each.end) for each in found],
    )


async def _asked(data: Path, finder: PersonalData) -> Figure:
    masked = count = 0
    for name in HONEST:
        texts = [each["input"] for each in map(json.loads, (data / name).read_text().splitlines())]
        random.Random(SEED).shuffle(texts)
        for text in texts[:_HONEST_EACH]:
            count += 1
            masked += any(each.kind in ("NAME", "ADDRESS") for each in await finder(text))
    return share(masked, count)
