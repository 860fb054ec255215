"""Help articles of invented organisations with what can be said of them: what groundedness is judged by.

One file in ``readings/`` for each organisation, all written for this purpose: articles, customers' questions, and
for each question faithful sentences in other words (``said``) and unfaithful ones (``wrong``) with what is wrong.
The wrong ones are as near to the articles' words as the faithful ones are: most have one thing of the article in
another's place. What judges sentences never learns from them; the matching head learns from the questions and
what answers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.heads.groundedness_pairs import Pair
from policies.errors import ConfigError

FOLDER = Path(__file__).with_name("readings")
Kind = Literal[
    "addition", "condition", "date", "direction", "entity", "mixed",
    "modality", "name", "negation", "number", "scope",
]  # fmt: skip
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Said(_Strict):
    """A sentence that the named sentences bear out."""

    text: Text
    of: Annotated[tuple[str, ...], Field(min_length=1)]


class Wrong(Said):
    """A sentence that cites some and is not borne out by the article."""

    kind: Kind


class Asked(_Strict):
    """A customer's question; ``answer`` names the sentences that answer it, the main one first."""

    asked: Text
    answer: Annotated[tuple[str, ...], Field(min_length=1)]
    said: tuple[Said, ...]
    wrong: tuple[Wrong, ...]


class Section(_Strict):
    """Sentences under a heading, by name."""

    heading: Text
    sentences: Mapping[str, Text]


class Article(_Strict):
    """A help article; its sentences' names are its own."""

    title: Text
    sections: tuple[Section, ...]
    questions: tuple[Asked, ...]
    unanswered: tuple[Text, ...]

    @cached_property
    def section_of(self) -> Mapping[str, Section]:
        """For each sentence the section it stands in."""
        return {name: section for section in self.sections for name in section.sentences}


class Organisation(_Strict):
    """All that is written of one organisation."""

    organisation: Text
    articles: tuple[Article, ...]


def read_all(folder: Path = FOLDER) -> dict[str, Organisation]:
    """Read the organisations by the names of their files; raises ``ConfigError`` that names file and field."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}


def _read(path: Path) -> Organisation:
    try:
        found = Organisation.model_validate(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path} is no reading: {error}", remedy="Mend it; others show the form.") from error
    for article in found.articles:
        named = (name for each in article.questions for one in (each.answer, *_cited(each)) for name in one)
        if unknown := sorted(set(named) - set(article.section_of)):
            problem = f"{path}: {article.title!r} names sentences that it has not: {', '.join(unknown)}."
            raise ConfigError(problem, remedy="Name those that stand in its sections.")
    return found


def _cited(asked: Asked) -> Iterator[tuple[str, ...]]:
    yield from (each.of for each in asked.said)
    yield from (each.of for each in asked.wrong)


def written(organisations: Mapping[str, Organisation]) -> list[Pair]:
    """Return every sentence said of the articles with the sections it cites; its group is its organisation."""
    return [
        _pair(group, article, sentence)
        for group, organisation in organisations.items()
        for article in organisation.articles
        for question in article.questions
        for sentence in (*question.said, *question.wrong)
    ]


def _pair(group: str, article: Article, sentence: Said) -> Pair:
    sections = list({(each := article.section_of[name]).heading: each for name in sentence.of}.values())
    kind = sentence.kind if isinstance(sentence, Wrong) else None
    return Pair(
        claim=sentence.text,
        sources=tuple(text for each in sections for text in each.sentences.values()),
        above="; ".join(f"{article.title} {each.heading}" for each in sections),
        supported=kind is None,
        kind=f"wrong, {kind}" if kind else "said",
        group=group,
    )
