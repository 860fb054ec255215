"""The good replies: what a careful language model would answer from the articles, in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from evals.cases import Row, Text, read_rows
from evals.replies.kinds import GOOD, Split, Wording

FILE = Path(__file__).with_name("good.jsonl")


class Quoted(Row):
    """The words of a document that bear a sentence out."""

    document: Text
    quote: Text


class GoodSentence(Row):
    """One sentence with all that it rests on."""

    text: Text
    citations: Annotated[tuple[Quoted, ...], Field(min_length=1)]


class GoodReply(Row):
    """A question with its answer; the articles of one split are not those of the other."""

    id: Text
    question: Text
    history: tuple[Text, ...] = ()
    """What the customer wrote before."""
    sentences: Annotated[tuple[GoodSentence, ...], Field(min_length=1)]
    split: Split
    wording: Wording


class Reply(Row):
    """One sentence to put to the gate; its kind is ``good`` or what is wrong with it."""

    id: str
    kind: str
    split: Split
    wording: Wording
    question: str
    history: tuple[str, ...]
    text: str
    citations: tuple[Quoted, ...]
    line: int
    """Where the good reply stands in its file."""

    def changed(self, **changes: object) -> Reply:
        """Return it with other members."""
        return self.model_copy(update=changes)

    @property
    def document(self) -> str:
        """The article that it cites first."""
        return self.citations[0].document

    @property
    def quotes(self) -> str:
        """All that it rests on."""
        return " ".join(each.quote for each in self.citations)


def read_good(file: Path = FILE) -> dict[int, GoodReply]:
    """Read the good replies by line; raises ``ConfigError`` that names file, line and field."""
    return {line: row for line, _, row in read_rows(file, GoodReply)}


def good_sentences(replies: Mapping[int, GoodReply]) -> list[Reply]:
    """Return every sentence of the good replies by itself."""
    return [
        Reply(
            id=f"{reply.id}-{place}",
            kind=GOOD,
            split=reply.split,
            wording=reply.wording,
            question=reply.question,
            history=reply.history,
            text=sentence.text,
            citations=sentence.citations,
            line=line,
        )
        for line, reply in replies.items()
        for place, sentence in enumerate(reply.sentences, start=1)
    ]
