"""How the local drafter does for other organisations than the sample's, with neither intents nor a glossary.

``python -m evals.quoting`` lets it draft answers to the customers' questions of the readings
(``evals/heads/readings``), each from its own organisation's articles, and counts how often it quotes what answers,
quotes something else, or abstains; and how often it abstains from questions that no article answers. The matching
head and three numbers of the drafter (``tools.evidence.RIGHT`` and its bias) have learned from these questions, so
these figures flatter; ``evals/heads/matching.py`` takes the same with the organisations left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agents.drafter import DraftRequest, LocalDrafter
from evals.cli import told
from evals.figures import Figure
from evals.heads.readings import FOLDER, Article, Organisation, read_all
from evals.metrics import share
from evals.targets.drafter import ROUTE
from policies.errors import HandrailError
from policies.types import Sentence
from tools.encoder.opening import DEFAULT, open_encoder
from tools.encoder.ports import Encoder
from tools.knowledge.fake import InMemoryRetriever

CACHE = Path(".data/cache")
FOUND, WHOLE, ELSE, ABSTAINED, REFUSED = "found", "whole", "something else", "abstained", "rightly abstained"
MEANINGS = {
    FOUND: "quotes a sentence that answers",
    WHOLE: "quotes all of them",
    ELSE: "quotes none of them",
    ABSTAINED: "abstains, though an article answers",
    REFUSED: "abstains where no article answers",
}


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """What came of one question."""

    answerable: bool
    told: frozenset[str]
    """One of ``MEANINGS``, or two: who quotes all has quoted one."""


async def drafts(organisation: Organisation, encoder: Encoder) -> AsyncIterator[Drafted]:
    """Let the drafter answer all questions to one organisation, from its own articles."""
    paths = {f"{number:02d}.md": article for number, article in enumerate(organisation.articles)}
    retriever = InMemoryRetriever({path: markdown(each) for path, each in paths.items()}, encoder=encoder)
    for path, article in paths.items():
        for question in article.questions:
            quoted = await _quoted(question.asked, retriever, encoder)
            wanted = {(path, _plain(article.section_of[name].sentences[name])) for name in question.answer}
            yield Drafted(answerable=True, told=_told(quoted, wanted))
        for asked in article.unanswered:
            quoted = await _quoted(asked, retriever, encoder)
            yield Drafted(answerable=False, told=frozenset() if quoted else frozenset({REFUSED}))


def markdown(article: Article) -> str:
    """Return an article as a knowledge folder would have it."""
    sections = (f"## {each.heading}\n\n{' '.join(each.sentences.values())}" for each in article.sections)
    return "\n\n".join([f"# {article.title}", *sections]) + "\n"


def _told(quoted: set[tuple[str, str]], wanted: set[tuple[str, str]]) -> frozenset[str]:
    if not quoted:
        return frozenset({ABSTAINED})
    if not quoted & wanted:
        return frozenset({ELSE})
    return frozenset({FOUND, WHOLE} if wanted <= quoted else {FOUND})


async def _quoted(asked: str, retriever: InMemoryRetriever, encoder: Encoder) -> set[tuple[str, str]]:
    """Return document and text of each sentence that is quoted."""
    found = await retriever.search(asked, audience="customer")

    request = DraftRequest(question=asked, history=(), passages=found.passages, route=ROUTE)
    drafted = [each async for each in LocalDrafter(encoder)(request) if isinstance(each, Sentence)]
    return {(each.citations[0].document, _plain(each.text)) for each in drafted}


def _plain(text: str) -> str:
    return " ".join(text.split())


def figures(found: Sequence[Drafted]) -> dict[str, Figure]:
    """Return each share with its interval."""
    counted = Counter(what for each in found for what in each.told)
    answerable = sum(each.answerable for each in found)
    return {
        what: share(counted[what], len(found) - answerable if what == REFUSED else answerable) for what in MEANINGS
    }


async def measure(folder: Path, cache: Path, console: Console) -> dict[str, Figure]:
    """Let the drafter answer everything; raises ``ConfigError`` for a reading that can't be read."""
    found: list[Drafted] = []
    async with open_encoder(DEFAULT, cache, console.print) as encoder:
        for each in track(read_all(folder).values(), "organisations", console=console):
            found += [drafted async for drafted in drafts(each, encoder)]
    return figures(found)


def table(measured: Mapping[str, Figure]) -> Table:
    """Return the figures to be looked at."""
    shown = Table("the drafter", "share", "95 %", "questions")
    for what, figure in measured.items():
        interval = f"{figure.low:.1%} to {figure.high:.1%}"
        shown.add_row(MEANINGS[what], f"{figure.value:.1%}", interval, str(figure.count))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evals.quoting", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--readings", type=Path, default=FOLDER, help="folder of organisations")
    parser.add_argument("--cache", type=Path, default=CACHE, help="keep the exported encoder in this folder")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    asked = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        measured = anyio.run(measure, asked.readings, asked.cache, console)
        if asked.json is not None:
            plain = {what: asdict(figure) for what, figure in measured.items()}
            asked.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    except (HandrailError, OSError) as error:
        return told(error)
    Console().print(table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
