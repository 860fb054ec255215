"""The drafter on language models: an answer in words of its own, in which every sentence names its passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import pairwise

from agents.asking import Asker, passage_data, said_before, short_ids
from agents.cited_text import Cited, CitedText
from agents.drafter import DraftRequest
from agents.prompts import PromptFile, load_prompt
from policies.types import Abstention, Citation, Passage, Sentence, Tier
from tools.knowledge.quoting import quote
from tools.models.ports import Completion, Data, Message, Models
from tools.wording import words

TASK = "draft"
WIDER = 0.2
"""Two sentences are quoted for one if together they have so much more of its words."""

MOST_SENTENCES = 12
LONGEST_REPLY = 20_000
"""A reply with more characters, or more sentences, is cut there: nobody waits for what comes after."""

Drafting = Callable[[DraftRequest], AsyncGenerator[Sentence | Abstention, None]]


class ModelDrafter:
    """Drafts with language models, and with the local drafter where none answers.

    A sentence is yielded as soon as its marks are written. One without a mark, or with an id that was not given,
    comes without citations, which no guard on groundedness passes. Where it must give up after sentences were
    yielded, its last item is an ``Abstention``: those that were sent are to be withdrawn.
    """

    def __init__(
        self, local: Drafting, models: Models, tiers: Sequence[Tier], *, prompt: PromptFile | None = None
    ) -> None:
        self._local = local
        self._asker = Asker(task=TASK, models=models, tiers=tuple(tiers), prompt=prompt or load_prompt("draft"))

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Yield the sentences of an answer as they are written; see the class for how it gives up."""
        draft = _Draft(request)
        if request.mandate is not None and request.passages:
            said, language = _said(request, draft.passages), _language(request.language)
            pieces = self._asker.stream(request.mandate, said, more=language, passages=request.passages)
            async with aclosing(pieces):
                async for piece in pieces:
                    if piece.restart and not draft.restarted():
                        break
                    for sentence in draft.take(piece.text, piece.completion):
                        yield sentence
                    if draft.full:
                        break
        if not draft.answered:
            async with aclosing(self._local(request)) as items:
                async for item in items:
                    yield item
        elif abstention := draft.abstention():
            yield abstention


class _Draft:
    """One draft, as far as it has come."""

    def __init__(self, request: DraftRequest) -> None:
        self.passages = short_ids(request.passages)
        self._rejected = request.rejected
        self._text = CitedText()
        self._given = 0
        self._ended = False
        self._broken = False
        self._cut = False
        self._length = 0

    @property
    def full(self) -> bool:
        """Whether no more is to be read, because the reply is longer than one may be."""
        return self._given >= MOST_SENTENCES or self._length >= LONGEST_REPLY

    @property
    def answered(self) -> bool:
        """Whether a model has answered, if only in part; the local drafter must otherwise."""
        return self._ended or self._given > 0

    def restarted(self) -> bool:
        """Forget what was written; say whether that can be done, because nothing was given on."""
        self._broken = self._given > 0
        self._text = CitedText()
        self._length = 0
        return not self._broken

    def take(self, text: str, completion: Completion | None) -> list[Sentence]:
        """Return the sentences that are complete with this piece of the reply."""
        text = text[: LONGEST_REPLY - self._length]
        self._length += len(text)
        found = self._text.feed(text)
        if completion is not None and completion.tier == "local":
            self._broken = self._given > 0
            return []
        if completion is not None or self._length >= LONGEST_REPLY:
            self._ended = True
            self._cut = completion is None or not completion.whole
            found += self._text.end(cut=self._cut)
        kept = [self._cited(each) for each in found if each.text not in self._rejected]
        kept = kept[: MOST_SENTENCES - self._given]
        self._given += len(kept)
        return kept

    def abstention(self) -> Abstention | None:
        """Return why there is no answer, or no whole one, of a reply that has ended."""
        if self._broken:
            return _abstention("broken_off", "The model broke off when a part of its answer had been used.")
        if self._text.abstained:
            return _abstention("abstained", "The model finds no answer in the passages.")
        if self._given:
            return None
        if self._cut:
            return _abstention("cut", "The model's answer was cut before its first sentence was whole.")
        return _abstention("empty", "The model has written nothing that could be sent.")

    def _cited(self, each: Cited) -> Sentence:
        known = all(name in self.passages for name in each.ids)
        passages = [self.passages[name] for name in each.ids] if known else []
        return Sentence(text=each.text, citations=tuple(support_in(passage, each.text) for passage in passages))


def support_in(passage: Passage, text: str) -> Citation:
    """Return the sentence of a passage, or the two in a row, that have most of a text's words."""
    spans = passage.sentences or ((0, len(passage.text)),)
    wanted = words(text)
    shared = [wanted & words(passage.text[a:b]) for a, b in spans]
    found = [(float(len(own)), span) for own, span in zip(shared, spans, strict=True)]
    for (own, (start, _)), (other, (_, end)) in pairwise(zip(shared, spans, strict=True)):
        found.append((len(own | other) - WIDER * len(wanted), (start, end)))
    # The first of equals, and one before two.
    _, (start, end) = max(found, key=lambda each: each[0])
    return Citation(
        passage_id=passage.id,
        document=passage.document,
        document_version=passage.document_version,
        title=passage.title,
        quote=quote(passage.text, start, end),
        start=passage.start + start,
        end=passage.start + end,
    )


def _said(request: DraftRequest, passages: dict[str, Passage]) -> Message:
    rejected = tuple(Data(kind="refused", text=text) for text in request.rejected)
    text = "The passages, what was said before, and the customer's last message:"
    if rejected:
        text += " A check has refused the sentences marked as refused: reply without what is wrong in them."
    data = (
        *passage_data(passages),
        *said_before(request.history),
        *rejected,
        Data(kind="message", text=request.question),
    )
    return Message(role="user", text=text, data=data)


def _language(language: str) -> str:
    return f"Language of the reply: {language or 'that of the last message'}."


def _abstention(code: str, text: str) -> Abstention:
    return Abstention(code=f"draft.{code}", text=text, confidence=0.0)
