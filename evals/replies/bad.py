"""Bad replies, made by program from the good ones: the same each time, and each wrong by what it cites."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from evals.replies import claims, misuse, values
from evals.replies.good import Reply, good_sentences, read_good
from evals.replies.kinds import CHANGED, KINDS, SPLITS
from evals.replies.lists import words
from graphs.settings import INSTALLED_SAMPLE, SAMPLE

MOST = 45
"""So many of each kind and split, drawn at random if there are more."""
_SEED = 20_261


@cache
def articles() -> Mapping[str, str]:
    """Return the text of every article of the sample, by name."""
    found = sorted((sample() / "knowledge").glob("*.md"))
    return {each.name: each.read_text(encoding="utf-8") for each in found}


def sample() -> Path:
    """Return the folder of the assistant that the replies are about."""
    return SAMPLE if SAMPLE.is_dir() else INSTALLED_SAMPLE


def all_replies() -> list[Reply]:
    """Return the good sentences and all bad ones."""
    good = good_sentences(read_good())
    return [*good, *bad_replies(good)]


def bad_replies(good: Sequence[Reply]) -> list[Reply]:
    """Make the bad replies: of each kind and split at most ``MOST``, without those that hold after all."""
    return [each for each in drawn(good) if each.id not in words().still_true]


def drawn(good: Sequence[Reply]) -> list[Reply]:
    """Return what the program makes of the freely worded sentences, as it was read by us."""
    made = list(_made([each for each in good if each.wording == "free"]))
    return [
        each
        for kind in KINDS
        for split in SPLITS
        for each in _drawn([one for one in made if (one.kind, one.split) == (kind, split)])
    ]


def _drawn(found: list[Reply]) -> list[Reply]:
    unique = list({each.text: each for each in found}.values())
    if len(unique) <= MOST:
        return unique
    chosen = random.Random(_SEED).sample(range(len(unique)), MOST)
    return [unique[place] for place in sorted(chosen)]


def _made(good: Sequence[Reply]) -> Iterator[Reply]:
    wrong = {kind: [new for each in good for new in _of_kind(kind, each)] for kind in ("number", "negation")}
    for kind in CHANGED:
        yield from wrong.get(kind) or [new for each in good for new in _of_kind(kind, each)]
    yield from misuse.of_another_article(good, articles())
    for split in SPLITS:
        own = [each for each in good if each.split == split]
        for number, each in enumerate(own):
            chance = _chance(each, "misuse")
            yield from _named(each, "placeholder", misuse.with_placeholder(each, chance))
            yield from _named(each, "injection", misuse.with_injection(each, number))
            yield from _compound(each, [*wrong["number"], *wrong["negation"]], chance)


def _of_kind(kind: str, reply: Reply) -> list[Reply]:
    """Return the ways in which one sentence can be made bad in this kind."""
    article = " ".join(articles()[name] for name in dict.fromkeys(each.document for each in reply.citations))
    chance = _chance(reply, kind)
    texts: Iterable[str] = {
        "number": lambda: values.wrong_numbers(reply, article, chance),
        "date": lambda: values.wrong_dates(reply, article, chance),
        "name": lambda: values.wrong_names(reply, article, chance),
        "negation": lambda: claims.negated(reply),
        "modality": lambda: claims.overstated(reply),
    }[kind]()
    return list(_named(reply, kind, texts))


def _compound(reply: Reply, wrong: Sequence[Reply], chance: random.Random) -> Iterator[Reply]:
    beside = [each for each in wrong if each.document == reply.document and not each.id.startswith(reply.id)]
    beside = [each for each in beside if each.id not in words().still_true]
    for number, other in enumerate([None, chance.choice(beside)] if beside else [None]):
        for made in misuse.with_addition(reply, other, chance):
            yield made.changed(id=f"{reply.id}-compound-{number}")


def _named(reply: Reply, kind: str, texts: Iterable[str]) -> Iterator[Reply]:
    for number, text in enumerate(dict.fromkeys(texts), start=1):
        yield reply.changed(id=f"{reply.id}-{kind}-{number}", kind=kind, text=text)


def _chance(reply: Reply, kind: str) -> random.Random:
    return random.Random(f"{_SEED} {kind} {reply.id}")
