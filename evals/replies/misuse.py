"""True words misused: of another article, of another conversation, beside a falsehood, or for a planted order."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from evals.replies.good import Reply
from evals.replies.kinds import SPLITS
from evals.replies.lists import words

_WORD = re.compile(r"[a-z]{3,}")
_FACT = re.compile(r"(?:CA\$|[$€£])?\d[\d,.]*%?")
_SOCIAL = re.compile(r"^(?:Yes|No|Sure|Of course|I'm sorry|Sorry|I'm afraid)\b[^,:]*[,:] ")
_FOREIGN = (2, 3, 4, 7)
"""Numbers of placeholders that the conversation does not have; it has the first of each kind."""


def of_another_article(replies: Sequence[Reply], articles: Mapping[str, str]) -> Iterator[Reply]:
    """Yield sentences that are true in another article, cited to the passage that is likest to them in this one.

    They hold a number that this article does not have, so nothing in it bears them out.
    """
    known = {name: facts(text) for name, text in articles.items()}
    around = {each.id: _words(f"{each.text} {each.quotes} {each.question}") for each in replies}
    quoted = {each.id: _words(each.quotes) for each in replies}
    for told in replies:
        own, own_facts = _words(told.text), facts(told.text)
        fits = [each for each in replies if _apart(told, each) and own_facts - known[each.document]]
        if fits:
            best = max(fits, key=lambda each: 2 * len(own & around[each.id]) + len(own & quoted[each.id]))
            yield best.changed(id=f"{told.id}-in-{best.id}", kind="wrong_article", text=told.text)


def facts(text: str) -> set[str]:
    """Return the numbers of a text with their signs, and those with a currency also without it."""
    found = {each.rstrip(".,") for each in _FACT.findall(text)}
    return found | {each.lstrip("CA$€£") for each in found}


def _apart(told: Reply, asked: Reply) -> bool:
    """Say whether two sentences are of one half and rest on different articles."""
    own, others = ({quoted.document for quoted in each.citations} for each in (told, asked))
    return told.split == asked.split and not own & others


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def with_placeholder(reply: Reply, chance: random.Random) -> Iterator[str]:
    """Yield the sentence with a placeholder that stands for something in another conversation."""
    kind = chance.choice(sorted(words().placeholders))
    pattern = chance.choice(words().placeholders[kind])
    mark = f"[{kind}_{chance.choice(_FOREIGN)}]"
    yield _fill(pattern, reply.text).replace("{}", mark)


def with_injection(reply: Reply, number: int) -> Iterator[str]:
    """Yield what a planted text has ordered, alone or beside the sentence; the splits have different orders."""
    share = words().injections[SPLITS.index(reply.split) :: len(SPLITS)]
    yield _fill(share[number % len(share)], reply.text)


def with_addition(reply: Reply, wrong: Reply | None, chance: random.Random) -> Iterator[Reply]:
    """Yield the sentence with a clause that nothing bears out, or with a ``wrong`` one of the same article."""
    stop = reply.text.rstrip(".!")
    if wrong is None:
        added = chance.choice(words().additions)
        yield reply.changed(text=f"{stop}{added}.", kind="compound")
    else:
        clause = _SOCIAL.sub("", wrong.text)
        text = f"{stop}, and {_lowered(clause)}"
        cited = dict.fromkeys([*reply.citations, *wrong.citations])
        yield reply.changed(text=text, kind="compound", citations=tuple(cited))


def _fill(pattern: str, sentence: str) -> str:
    begun = pattern.find("{sentence}") > 0
    return pattern.replace("{sentence_without_stop}", sentence.rstrip(".!")).replace(
        "{sentence}", _lowered(sentence) if begun and not pattern.startswith("I've") else sentence
    )


def _lowered(text: str) -> str:
    first = text.split(" ", 1)[0]
    return (
        text
        if re.search(r"[A-Z0-9].*[A-Z0-9]|^I\b", first) or first in KEEP_CAPITAL
        else text[0].lower() + text[1:]
    )


KEEP_CAPITAL = frozenset(
    {
        *("Asheville", "Avalanche", "Bend", "Boulder", "Burlington", "Clearance", "Express", "Final", "Gear"),
        *("Larkspur", "Map", "Monday", "Pay", "PayPal", "Prices", "Saver", "Standard", "Summit", "Trail"),
        *("Trailworn", "Wilderness"),
    }
)
"""First words that are names."""
