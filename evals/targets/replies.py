"""Sentences as a language model would write them, good and bad, at the gate before the customer.

The checker is the sample's, as the graph puts drafted sentences to it: the passages are those that retrieval finds
for the question, and each sentence cites what a drafter cites that names passages by id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from agents.checker import LocalChecker, SentenceRequest
from agents.model_drafter import support_in
from evals.cases import Case, CaseRow, ExpectedFlag
from evals.replies.bad import articles, bad_replies, sample
from evals.replies.good import Quoted, Reply, good_sentences, read_good
from evals.replies.kinds import GOOD
from evals.suite import RepliesSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from graphs.drafting import judged
from graphs.nodes import PASSAGES
from policies.errors import ConfigError, InputError
from policies.followups import standalone
from policies.personal_data import KINDS
from policies.types import JSON, Passage, Sentence, Turn
from tools.assistants import Assistant, load_assistant
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Encoder
from tools.guards.language import warm_up
from tools.guards.opening import open_finder, open_guards
from tools.guards.rails import Rails
from tools.guards.registry import KNOWN as GUARDS
from tools.knowledge.base import Knowledge, open_knowledge
from tools.knowledge.index import Index
from tools.storage.database import open_database

WORKSPACE = "evals"
PASSED = "passed:"
KNOWN = frozenset(f"[{kind}_1]" for kind in KINDS)
"""The placeholders of the conversation; those of the replies stand for something in another one."""


class ReplyCase(CaseRow):
    """A sentence with its question, and whether it is to be held back."""

    input: Reply
    expected: ExpectedFlag


@dataclass(frozen=True, kw_only=True)
class RepliesTarget:
    """The gate of the sample's assistant, and what it searches."""

    checker: LocalChecker
    knowledge: Knowledge
    index: Index
    assistant: Assistant

    async def run(self, case: Case[ReplyCase]) -> Observation:
        """Put one sentence to the gate."""
        reply = case.data.input
        held = [self._holding(each) for each in reply.citations]
        passages = await self._passages(reply, held)
        cited = tuple(support_in(each, reply.text) for each in dict.fromkeys(held))
        request = SentenceRequest(
            sentence=Sentence(text=reply.text, citations=cited),
            passages=passages,
            question=reply.question,
            language="en",
            placeholders=KNOWN,
        )
        verdict = await judged(self.checker, request)
        return _observed(reply, verdict.passed, [reason.code for reason in verdict.reasons])

    async def _passages(self, reply: Reply, held: Sequence[Passage]) -> tuple[Passage, ...]:
        """Return what retrieval finds, and what the sentence rests on if that was missed."""
        history = tuple(Turn(author="customer", text=each) for each in reply.history)
        query = self.assistant.glossary.expand(standalone(reply.question, history))
        found = (await self.knowledge.search(query, audience="customer", limit=PASSAGES)).passages
        known = {each.id for each in found}
        return (*found, *(each for each in dict.fromkeys(held) if each.id not in known))

    def _holding(self, quoted: Quoted) -> Passage:
        """Return the passage that a quote stands in."""
        passages = (each for each in self.index.passages if each.document == quoted.document)
        found = next((each for each in passages if quoted.quote in each.text), None)
        if found is None:
            problem = f"No passage of {quoted.document} holds “{quoted.quote}”."
            raise InputError(problem, remedy="Quote from one section only.")
        return found


def _observed(reply: Reply, passed: bool, reasons: list[str]) -> Observation:
    scores = {f"{PASSED}{reply.kind}": float(passed)}
    if reply.kind != GOOD:
        scores[f"{PASSED}bad"] = float(passed)
    right = passed == (reply.kind == GOOD)
    wrong = None if right else f"{'passed' if passed else 'held back: ' + ', '.join(reasons)}"
    output: JSON = {"passed": passed, "reasons": reasons}
    return Observation(output=output, scores=scores, wrong=wrong)


def prepare(suite: Suite) -> Prepared:
    """Read the good replies and make the bad ones of them."""
    file = suite.file
    assert isinstance(file, RepliesSuite)
    (dataset,) = suite.datasets
    good = good_sentences(read_good(dataset))
    for each in good:
        _require_quotes(dataset, each)
    replies = [each for each in (*good, *bad_replies(good)) if file.split in (None, each.split)]
    cases = []
    for reply in replies:
        data = ReplyCase(
            id=reply.id, tags=_tags(reply), input=reply, expected=ExpectedFlag(flag=reply.kind != GOOD)
        )
        raw: JSON = {"input": reply.model_dump(exclude={"line"}), "expected": {"flag": reply.kind != GOOD}}
        cases.append(Case(data=data, file=dataset, line=reply.line, raw=raw))
    return Prepared(suite=suite, cases=tuple(cases), open=partial(_open, file))


def _tags(reply: Reply) -> tuple[str, ...]:
    """Return the half, and of a good sentence also how it is worded."""
    return (reply.split, f"{reply.split}, {reply.wording}") if reply.kind == GOOD else (reply.split,)


def _require_quotes(dataset: Path, reply: Reply) -> None:
    """Raise ``ConfigError`` for a quote that does not stand in its article."""
    for each in reply.citations:
        if each.quote not in articles().get(each.document, ""):
            problem = f"{dataset}:{reply.line}: sentences: {each.document} does not hold “{each.quote}”."
            raise ConfigError(problem, remedy="Quote the article word for word.")


@asynccontextmanager
async def _open(file: RepliesSuite, room: Workroom) -> AsyncIterator[RepliesTarget]:
    place = room.cache / "knowledge" / "replies"
    assistant = load_assistant(sample(), GUARDS)
    async with (
        open_encoder(file.encoder, room.cache, room.announce) as encoder,
        open_database(place / "knowledge.db") as database,
        open_knowledge(database, encoder, place / "chroma") as base,
    ):
        knowledge = base.of(WORKSPACE, "replies")
        room.announce("ingesting the assistant's knowledge")
        await knowledge.ingest(assistant.knowledge)
        room.announce("opening the guards")
        yield RepliesTarget(
            checker=await _checker(assistant, knowledge, encoder),
            knowledge=knowledge,
            index=await knowledge.index(),
            assistant=assistant,
        )


async def _checker(assistant: Assistant, knowledge: Knowledge, encoder: Encoder) -> LocalChecker:
    """Build the checker as the product does."""
    await anyio.to_thread.run_sync(warm_up)
    finder = await open_finder(assistant, knowledge, encoder)
    return LocalChecker(Rails(await open_guards(assistant, encoder, knowledge, finder), assistant.bindings))
