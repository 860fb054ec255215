"""A whole assistant, asked through the service as a customer would ask it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evals.cases import Case, ConversationCase, ExpectedAnswer, ExpectedTurn, cases_of
from evals.rows import Label
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
DRAFTED = frozenset({"answered", "review", "reviewed"})


@dataclass(frozen=True, kw_only=True)
class Held:
    """One turn as it was held."""

    view: RunView
    tools: tuple[str, ...] = ()
    """What was called, whether it succeeded or not."""
    cost: float | None = None
    """What models charged; None where none was asked."""


@dataclass(frozen=True, kw_only=True)
class ConversationTarget:
    """A running service."""

    service: Service
    principal: Principal

    async def run(self, case: Case[ConversationCase]) -> Observation:
        """Hold one conversation and judge it."""
        conversation = await self.service.create_conversation(self.principal)
        turns = [await self._turn(conversation.id, text) for text in case.data.input.turns]
        held = await self.service.get_conversation(self.principal, conversation.id)
        return judge(case.data.expected, turns, str(held.conversation.owner))

    async def _turn(self, conversation_id: str, text: str) -> Held:
        accepted = await self.service.post_message(self.principal, conversation_id, text)
        async for _ in self.service.run_events(self.principal, accepted.run_id):
            pass
        view = await self._drafted(await self.service.get_run(self.principal, accepted.run_id))
        decisions = await self.service.explain(self.principal, accepted.run_id)
        called = [each for each in decisions if each["kind"] == "action" and each["outcome"] != "refused"]
        costs = [float(each.get("cost") or 0) for each in decisions if each["kind"] == "model"]
        tools = tuple(dict.fromkeys(str(each["action"]) for each in called))
        return Held(view=view, tools=tools, cost=sum(costs) if costs else None)

    async def _drafted(self, view: RunView) -> RunView:
        """Show the draft that a person is asked to approve as what was said."""
        if view.review_id is None:
            return view
        draft = (await self.service.get_review(self.principal, view.review_id)).draft
        citations = [each for sentence in draft for each in sentence["citations"]]
        return replace(view, text=" ".join(sentence["text"] for sentence in draft), citations=citations)


def judge(expected: ExpectedAnswer, turns: Sequence[Held], owner: str) -> Observation:
    """Score a conversation by its turns, oldest first, and by who has it in the end."""
    last = turns[-1].view
    problems = [
        f"turn {number}: {problem}"
        for number, (wanted, turn) in enumerate(zip(expected.turns, turns, strict=False), start=1)
        if wanted is not None
        for problem in _problems(wanted, turn)
    ]
    problems += _problems(expected, turns[-1])
    if expected.owner is not None and owner != expected.owner:
        problems.append(f"{owner} has the conversation, not {expected.owner}")
    good = float(not problems)
    costs = [turn.cost for turn in turns if turn.cost is not None]
    output: JSON = {
        "outcome": last.outcome,
        "text": last.text,
        "documents": _documents(last),
        "route": last.route,
        "owner": owner,
        "outcomes": [turn.view.outcome for turn in turns],
        "texts": [turn.view.text for turn in turns],
        "tools": [list(turn.tools) for turn in turns],
    }
    return Observation(
        output=output,
        scores={"correct" if expected.outcome in AUTOMATIC else "not_answered": good, "as_expected": good},
        wrong="; ".join(problems) if problems else None,
        label=Label(_simply(expected.outcome), _simply(last.outcome)),
        cost=sum(costs) if costs else None,
        trace_id=last.trace_id,
    )


def _simply(outcome: str | None) -> str:
    return "answered" if outcome in AUTOMATIC or outcome == "drafted" else "person"


def _documents(run: RunView) -> list[str]:
    return list(dict.fromkeys(str(citation["document"]) for citation in run.citations))


def _problems(expected: ExpectedTurn, turn: Held) -> list[str]:
    if problem := _wrong_outcome(expected.outcome, turn.view.outcome):
        return [problem]
    problems, documents, said = [], _documents(turn.view), _plain(turn.view.text)
    if expected.documents and not set(expected.documents).intersection(documents):
        problems.append(f"cites {', '.join(documents) or 'nothing'}, not {' or '.join(expected.documents)}")
    for fact in expected.facts:
        ways = [fact] if isinstance(fact, str) else fact
        if not any(_plain(way) in said for way in ways):
            problems.append(f"lacks “{ways[0]}”")
    problems += [f"says “{each}”" for each in expected.forbidden if _plain(each) in said]
    if expected.tools is not None and set(expected.tools) != set(turn.tools):
        problems.append(
            f"calls {', '.join(turn.tools) or 'nothing'}, not {', '.join(expected.tools) or 'nothing'}"
        )
    return problems


def _wrong_outcome(expected: str | None, outcome: str | None) -> str | None:
    if outcome == "degraded":
        # It went to a person, but only because something broke: that must not pass for caution.
        return "degraded: something in the product broke"
    if expected == "person":
        return f"{outcome} automatically" if outcome in AUTOMATIC else None
    if expected == "drafted":
        return None if outcome in DRAFTED else f"{outcome}, not drafted"
    return None if expected in (None, outcome) else f"{outcome}, not {expected}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def prepare(suite: Suite) -> Prepared:
    """Read assistant and cases; a case may only name documents and tools of the assistant."""
    file = suite.file
    assert isinstance(file, ConversationSuite)
    folder = suite.locate(file.assistant, "assistant")
    assistant = load_assistant(folder)
    documents = {source.path for source in sources(assistant.knowledge)}
    tools = {name for intent in assistant.intents for name in intent.tools}
    cases = cases_of(suite, ConversationCase)
    for case in cases:
        expected = case.data.expected
        _known(case, "expected", expected, documents, tools)
        for number, turn in enumerate(expected.turns):
            if turn is not None:
                _known(case, f"expected.turns.{number}", turn, documents, tools)
        if len(expected.turns) >= len(case.data.input.turns):
            remedy = "What the last turn leads to stands in `expected` itself."
            raise case.wrong("expected.turns", "there are as many as turns, or more", remedy)
    kinds = {case.data.expected.outcome in AUTOMATIC for case in cases}
    suite.needs(("correct",), True in kinds, "cases whose outcome is answered")
    suite.needs(("not_answered",), False in kinds, "cases whose outcome is person")
    return Prepared(suite=suite, cases=cases, open=partial(_open, folder))


def _known(
    case: Case[ConversationCase],
    field: str,
    expected: ExpectedTurn,
    documents: Collection[str],
    tools: Collection[str],
) -> None:
    for name in expected.documents:
        if name not in documents:
            raise case.wrong(f"{field}.documents", f"there is no document {name!r}", "Mend its name.")
    for name in expected.tools or ():
        if name not in tools:
            raise case.wrong(f"{field}.tools", f"no intent has a tool {name!r}", "Mend its name.")


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
