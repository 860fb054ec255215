"""A whole assistant, asked through the service as a customer would ask it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evals.cases import Case, ConversationCase, ExpectedAnswer, read_cases
from evals.suite import ConversationSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from graphs.service import Service
from graphs.views import RunView
from policies.errors import InputError
from policies.types import JSON, Principal
from tools.assistants import load_assistant
from tools.knowledge.folder import sources

AUTOMATIC = frozenset({"answered", "said"})
"""Outcomes in which no person had a part."""


@dataclass(frozen=True, kw_only=True)
class ConversationTarget:
    """A running service."""

    service: Service
    principal: Principal

    async def run(self, case: Case[ConversationCase]) -> Observation:
        """Hold one conversation and judge its last turn."""
        conversation = await self.service.create_conversation(self.principal)
        views = [await self._turn(conversation.id, text) for text in case.data.input.turns]
        held = await self.service.get_conversation(self.principal, conversation.id)
        owner = str(held.conversation.owner)
        return judge(case.data.expected, views, owner)

    async def _turn(self, conversation_id: str, text: str) -> RunView:
        accepted = await self.service.post_message(self.principal, conversation_id, text)
        async for _ in self.service.run_events(self.principal, accepted.run_id):
            pass
        return await self.service.get_run(self.principal, accepted.run_id)


def judge(expected: ExpectedAnswer, views: Sequence[RunView], owner: str) -> Observation:
    """Score the last of the turns that ``views`` tell of, oldest first."""
    last = views[-1]
    documents = list(dict.fromkeys(str(citation["document"]) for citation in last.citations))
    problems = _problems(expected, last, documents)
    if expected.owner is not None and owner != expected.owner:
        problems.append(f"{owner} has the conversation, not {expected.owner}")
    metric = "correct" if expected.outcome == "answered" else "not_answered"
    output: JSON = {
        "outcome": last.outcome,
        "text": last.text,
        "documents": documents,
        "route": last.route,
        "owner": owner,
        "outcomes": [view.outcome for view in views],
    }
    return Observation(
        output=output, scores={metric: float(not problems)}, wrong="; ".join(problems) if problems else None
    )


def _problems(expected: ExpectedAnswer, run: RunView, documents: Sequence[str]) -> list[str]:
    if run.outcome == "degraded":
        # It went to a person, but only because something broke: that must not pass for caution.
        return ["degraded: something in the product broke"]
    if expected.outcome == "person":
        return [f"{run.outcome} automatically"] if run.outcome in AUTOMATIC else []
    if run.outcome != "answered":
        return [f"{run.outcome}, not answered"]
    problems = []
    if expected.documents and not set(expected.documents).intersection(documents):
        problems.append(f"cites {', '.join(documents) or 'nothing'}, not {' or '.join(expected.documents)}")
    said = _plain(run.text)
    for fact in expected.facts:
        ways = [fact] if isinstance(fact, str) else fact
        if not any(_plain(way) in said for way in ways):
            problems.append(f"lacks “{ways[0]}”")
    problems += [f"says “{each}”" for each in expected.forbidden if _plain(each) in said]
    return problems


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def prepare(suite: Suite) -> Prepared:
    """Read assistant and cases; a case may only name documents of the assistant, and no message too long."""
    file = suite.file
    assert isinstance(file, ConversationSuite)
    folder = suite.locate(file.assistant, "assistant")
    assistant = load_assistant(folder)
    names = {source.path for source in sources(assistant.knowledge)}
    cases = read_cases(suite.datasets, ConversationCase)
    for case in cases:
        unknown = [each for each in case.data.expected.documents if each not in names]
        if unknown:
            raise case.wrong("expected.documents", f"there is no document {unknown[0]!r}", "Mend its name.")
    outcomes = {case.data.expected.outcome for case in cases}
    suite.needs(("correct",), "answered" in outcomes, "cases whose outcome is answered")
    suite.needs(("not_answered",), "person" in outcomes, "cases whose outcome is person")
    return Prepared(suite=suite, cases=cases, open=partial(_open, folder))


@asynccontextmanager
async def _open(folder: Path, room: Workroom) -> AsyncIterator[ConversationTarget]:
    from graphs.assembly import open_product
    from graphs.settings import Settings

    with tempfile.TemporaryDirectory(prefix="handrail-eval-") as data:
        lend_cache(room.cache, Path(data))
        settings = Settings(assistant=folder, data=Path(data))
        async with open_product(settings, announce=room.announce) as product:
            room.announce("ingesting the assistant's knowledge")
            report = await product.knowledge.ingest(product.assistant.knowledge)
            if report.failed:
                path, problem = report.failed[0]
                raise InputError(f"{path} can't be ingested: {problem}.", remedy="Mend the document.")
            yield ConversationTarget(service=product.service, principal=product.principal)


def lend_cache(cache: Path, data: Path) -> None:
    """Let a run that begins with empty databases use the encoder that was exported before."""
    cache.mkdir(parents=True, exist_ok=True)
    (data / "cache").symlink_to(cache.resolve(), target_is_directory=True)
