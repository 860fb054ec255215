"""The checker on language models: asked only where the local checker is unsure, and believed only with quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.asking import Asker, passage_data, short_ids
from agents.checker import AnswerRequest, SentenceRequest, contradiction
from agents.prompts import PromptFile, load_prompt
from policies.facts import facts
from policies.types import Outcome, Passage, Reason, Tier, Verdict
from tools.knowledge.quoting import clean
from tools.models.ports import Data, Message, Models
from tools.support import contained, contradict

TASK = "check"
COVERED = 0.8
"""The claims that a model names must have this share of the sentence's words, or it has not seen all of it."""
UNSURE = {"guard.groundedness.unsure"}
"""Why a sentence may be held back and a model be asked: nothing says otherwise, too little says so."""
ANSWERS = (0.03, 0.3)
JUDGED = 0.8
"""What a model's word counts as, as a probability."""


class Claim(BaseModel):
    """One claim of a sentence, as a model judges it."""

    model_config = ConfigDict(extra="forbid")

    claim: str
    supported: Literal["yes", "no"]
    passage: str
    quote: str


class Judged(BaseModel):
    """What a model makes of a sentence."""

    model_config = ConfigDict(extra="forbid")

    claims: list[Claim] = Field(min_length=1)


class Answered(BaseModel):
    """Whether a reply answers, as a model judges it."""

    model_config = ConfigDict(extra="forbid")

    answers: Literal["yes", "no"]


class Checking(Protocol):
    """A checker of sentences and answers."""

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence."""
        ...

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check a whole answer."""
        ...


class ModelChecker:
    """Asks language models where the local checker is unsure; what they can't show, the local verdict decides.

    A sentence is put to them only if groundedness alone holds it back and says that it is unsure. An answer is, if
    the local figure for whether it answers is between ``answers``. No other guard can be overruled.
    """

    def __init__(
        self,
        local: Checking,
        models: Models,
        tiers: Sequence[Tier],
        *,
        prompt: PromptFile | None = None,
        answer_prompt: PromptFile | None = None,
        answers: tuple[float, float] = ANSWERS,
    ) -> None:
        self._local = local
        self._sentences = Asker(
            task=TASK, models=models, tiers=tuple(tiers), prompt=prompt or load_prompt("check")
        )
        self._answers = replace(self._sentences, prompt=answer_prompt or load_prompt("answer"))
        self._answering = answers

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence."""
        local = await self._local.sentence(request)
        if request.mandate is None or request.own or not self.is_unsure(local):
            return local
        cited = {each.passage_id for each in request.sentence.citations}
        passages = short_ids([each for each in request.passages if each.id in cited])
        text = request.sentence.text
        said = Message(
            role="user",
            text="The passages, then the sentence:",
            data=(*passage_data(passages), Data(kind="sentence", text=text)),
        )
        judged, tier = await self._sentences.ask(request.mandate, said, Judged, passages=list(passages.values()))
        shown = judged is not None and borne_out(text, judged, passages)
        return Verdict(outcome=Outcome.PASS, score=JUDGED, tier=tier) if shown else local

    def is_unsure(self, local: Verdict) -> bool:
        """Say whether a model may judge a sentence after the local checker."""
        return not local.passed and {reason.code for reason in local.reasons} == UNSURE

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check a whole answer."""
        local = await self._local.answer(request)
        if request.mandate is None or not self.is_open(local):
            return local
        reply = " ".join(sentence.text for sentence in request.sentences)
        said = Message(
            role="user",
            text="What the customer asks, then the reply:",
            data=(Data(kind="message", text=request.question), Data(kind="reply", text=reply)),
        )
        judged, tier = await self._answers.ask(request.mandate, said, Answered)
        if judged is None:
            return local
        if judged.answers == "no":
            reason = Reason(code="check.not_answered", text="A model finds that it does not answer the question.")
            return Verdict(outcome=Outcome.ESCALATE, score=local.score, reasons=(reason,), tier=tier)
        found = contradiction([sentence.text for sentence in request.sentences])
        return replace(found, score=JUDGED) if found else Verdict(outcome=Outcome.PASS, score=JUDGED, tier=tier)

    def is_open(self, local: Verdict) -> bool:
        """Say whether a model may judge an answer after the local checker."""
        low, high = self._answering
        codes = {reason.code for reason in local.reasons}
        return codes <= {"check.not_answered"} and low <= local.score < high


def borne_out(text: str, judged: Judged, passages: dict[str, Passage]) -> bool:
    """Say whether a model has shown that passages bear a sentence out, all of it, each claim by a quote."""
    claims = " ".join(each.claim for each in judged.claims)
    # Few words are enough to turn a sentence round, and figures are no small part of one.
    whole = contained(text, claims) >= COVERED and not contradict(text, claims) and _states(claims, text)
    return whole and all(_shown(each, passages) for each in judged.claims)


def _states(source: str, claim: str) -> bool:
    """Say whether a text has all figures of another."""
    return {fact.key for fact in facts(claim)} <= {fact.key for fact in facts(source)}


def _shown(claim: Claim, passages: dict[str, Passage]) -> bool:
    passage, words = passages.get(claim.passage), clean(claim.quote)
    if claim.supported == "no" or passage is None or not words or words not in clean(passage.text):
        return False
    if contained(claim.claim, words) == 0 or contradict(claim.claim, words):
        return False
    return _states(words, claim.claim)
