"""A turn: one attempt at a run, with everything that its steps note down and send.

Steps buffer their events and decisions here; they are written with the next send, or after ``FLUSH_SECONDS``
when a step is slow, so that a quick turn costs few commits and a slow one still shows where it is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import anyio

from graphs.faults import Faults, NoFaults
from graphs.team import Team
from graphs.withdrawal import withdraw_shown
from policies.budgets import ENOUGH, BudgetOutcome, strictness
from policies.errors import Overtaken, Unavailable
from policies.personal_data import mask
from policies.types import JSON, Reason, Sentence, Tier, to_json
from tools.metrics import STEP_SECONDS
from tools.models.mandate import Asked, Mandate
from tools.models.ports import Account
from tools.storage import conversations, events, ledger, runs
from tools.storage.checkpoints import LateSaver, Saver
from tools.storage.conversations import Conversation
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.runs import Run
from tools.storage.store import Tx, Workspace
from tools.telemetry import names
from tools.telemetry.spans import span

FLUSH_SECONDS = 0.05
STEPS_PER_ATTEMPT = 1000


@dataclass(kw_only=True)
class Notes:
    """Events and decisions that are not written yet."""

    events: list[NewEvent] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def write(self, tx: Tx, conversation_id: str, run: Run) -> None:
        """Append them to their streams; raises ``Fenced`` when another attempt owns the run."""
        events.append(tx, conversation_id, self.events, run_id=run.id, epoch=run.epoch)
        ledger.append(tx, conversation_id, run.id, self.decisions)


@dataclass(kw_only=True)
class Turn:
    """One attempt at a run."""

    workspace: Workspace
    conversation: Conversation
    run: Run
    team: Team
    known_placeholders: frozenset[str]
    message_id: str
    saver: Saver
    """Where the graph's checkpoints go."""
    deadline: datetime
    """When the attempt is given up; models are asked a little less long."""
    faults: Faults = field(default_factory=NoFaults)
    streams: bool = False
    """Whether sentences may leave before the whole is checked; the route step settles it."""
    intent: str | None = None
    """What the message is about; the route step finds out."""
    released: list[Sentence] = field(default_factory=list)
    passed: list[Sentence] = field(default_factory=list)
    """Sentences of the present draft that may leave, sent or not."""
    budget: BudgetOutcome = ENOUGH
    """The strictest of what the budgets have asked for in this attempt."""
    paid: bool = False
    """Whether language models were called since another attempt could go on from here."""
    tiers: dict[str, Tier] = field(default_factory=dict)
    """Which tier did a task last, by its name."""
    _notes: Notes = field(default_factory=Notes)
    _writing: anyio.Lock = field(default_factory=anyio.Lock)
    """One at a time takes notes and writes them, so that they are stored in the order in which they were made."""
    _decided: int = 0
    _began: float = field(default_factory=time.perf_counter)

    @cached_property
    def customer(self) -> JSON:
        """What rules and actions may see of the customer: locale and attributes, nothing that says who it is.

        It is no part of the state: what apps say of people is kept sealed, and checkpoints are not.
        """
        known = self.conversation.customer
        attributes = known.get("attributes") or {}
        masked = {name: mask(it, {}).text if isinstance(it, str) else it for name, it in attributes.items()}
        return {"locale": known.get("locale"), "attributes": masked}

    @property
    def mandate(self) -> Mandate | None:
        """What agents need to ask language models on behalf of this turn; None where there are none."""
        if self.team.models is None:
            return None
        account = Account(
            workspace_id=self.workspace.id,
            conversation_id=self.conversation.id,
            run_id=self.run.id,
            intent=self.intent or "",
        )
        return Mandate(
            account=account,
            deadline=self.deadline,
            note=self._asked,
            consent=self.conversation.consent,
            policy_version=self.run.assistant_version,
            budgets=self.team.assistant.policy.budgets,
        )

    def heed(self, budget: BudgetOutcome) -> None:
        """Remember what budgets ask for, if it is stricter than before; a person's look comes first then."""
        self.budget = max(self.budget, budget, key=strictness)
        if self.budget.action in ("review", "escalate"):
            self.streams = False

    def _asked(self, asked: Asked) -> None:
        """Tell staff and ledger of a request to language models."""
        done = asked.completion
        self.heed(done.budget)
        self.tiers[asked.task] = done.tier
        self.paid = self.paid or done.calls > 0
        used = usage_of(asked)
        reasons = tuple(
            Reason(code=each.code, text=f"{each.model or each.tier}: {each.text}") for each in done.degraded
        )
        budget = (done.budget.reason,) if done.budget.reason else ()
        self.decide(
            asked.task, "model", done.tier, tuple(dict.fromkeys((*reasons, *budget))), **used, cost=used["money"]
        )
        self.note("usage", {"task": asked.task, **used}, staff=True)
        if done.degraded:
            data = {"dependency": f"model.{asked.task}", "fallback": done.tier}
            self.note("degraded", {**data, "reasons": [to_json(each) for each in reasons]}, staff=True)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[JSON]:
        """Bracket a step with its events; what is put into the yielded mapping is reported at the end."""
        self.note("step.started", {"name": name}, staff=True)
        with span("step", name, {names.STEP: name}) as it:
            await self.faults.at(name)
            report: JSON = {}
            began = time.perf_counter()
            yield report
            elapsed = time.perf_counter() - began
            it.set({f"handrail.{key}": each for key, each in report.items() if isinstance(each, int | float)})
        STEP_SECONDS.labels(name).observe(elapsed)
        self.note("step.finished", {"name": name, "ms": round(elapsed * 1000, 2), **report}, staff=True)
        if self.lasts and self.team.resumes:
            # The next attempt goes on after this step, so what it noted must not be lost.
            await self.flush()

    @property
    def lasts(self) -> bool:
        """Whether checkpoints outlast the process, so that another attempt can go on from them."""
        return not isinstance(self.saver, LateSaver) or self.saver.lasts

    async def last(self) -> None:
        """Let another attempt go on from here and from every later step: an effect is at hand."""
        if isinstance(self.saver, LateSaver) and not self.saver.lasts:
            await self.flush()
            await self.saver.last()

    async def keep(self) -> None:
        """Let another attempt go on from here, if models were called since one could: nothing is paid twice."""
        if self.paid and isinstance(self.saver, LateSaver) and not self.saver.lasts:
            self.paid = False
            await self.flush()
            await self.saver.keep()

    @property
    def leaves_checkpoints(self) -> bool:
        """Whether the attempt has written any that must be pruned."""
        return not isinstance(self.saver, LateSaver) or self.saver.kept

    def note(self, kind: str, data: JSON, *, staff: bool = False) -> None:
        """Buffer an event."""
        self._notes.events.append(NewEvent(type=kind, data=data, audience="staff" if staff else "customer"))

    def decide(
        self, node: str, kind: str, outcome: str, reasons: tuple[Reason, ...] = (), **grounds: object
    ) -> None:
        """Buffer a decision; it counts once it is committed with what it led to."""
        self._notes.decisions.append(self._decision(node, kind, outcome, reasons, **grounds))

    def close(self, tx: Tx, node: str, outcome: str, reasons: tuple[Reason, ...] = (), *, said: str = "") -> None:
        """Write the decision that ends the turn, with digests of what was asked and what was said."""
        digests = ledger.digests(tx, self.conversation.id, input=self.run.input["question"], output=said)
        decision = self._decision(node, "close", outcome, reasons, digests=digests)
        ledger.append(tx, self.conversation.id, self.run.id, [decision])

    def _decision(
        self, node: str, kind: str, outcome: str, reasons: tuple[Reason, ...], **grounds: object
    ) -> Decision:
        assistant = {
            "type": "assistant",
            "id": self.team.assistant.name,
            "version": self.run.assistant_version,
        }
        body = {
            "actor": assistant,
            "outcome": outcome,
            "reasons": [to_json(reason) for reason in reasons],
            "rules": [reason.rule_id for reason in reasons if reason.rule_id],
            "trace_id": self.run.trace_id,
            "tier": "local",
            "cost": 0,
            "latency_ms": round((time.perf_counter() - self._began) * 1000, 1),
            **grounds,
        }
        step = self.run.epoch * STEPS_PER_ATTEMPT + self._decided
        self._decided += 1
        return Decision(node=node, kind=kind, body=body, step=step)

    async def flush(self) -> None:
        """Write what is buffered, if anything, in a transaction of its own."""
        async with self._writing:
            notes, self._notes = self._notes, Notes()
            if not notes.events and not notes.decisions:
                return
            try:
                await self.workspace.write(
                    lambda tx: notes.write(tx, self.conversation.id, self.run), durable=False
                )
            except Unavailable:
                self._put_back(notes)
                raise

    def _put_back(self, notes: Notes) -> None:
        self._notes = Notes(
            events=notes.events + self._notes.events, decisions=notes.decisions + self._notes.decisions
        )

    async def flush_slowly(self) -> None:
        """Write the buffer from time to time until cancelled, for those who watch a slow turn."""
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            with anyio.CancelScope(shield=True):
                await self.flush()

    async def release(self, sentence: Sentence) -> None:
        """Send one checked sentence before the rest is ready.

        Raises ``Overtaken`` when a person or a newer message came first, ``Fenced`` when another attempt owns
        the run; nothing is sent then.
        """
        new = [NewEvent(type="message.delta", data=delta(self.message_id, len(self.released), sentence))]
        if not self.released:
            new.insert(0, created(self.message_id))

        def mark(tx: Tx) -> None:
            if not self.released:
                runs.update_claimed(tx, self.run.id, self.run.epoch, released=True)

        await self.send("release", new, mark, durable=False)
        self.released.append(sentence)

    async def send(
        self,
        name: str,
        new: list[NewEvent],
        also: Callable[[Tx], object],
        *,
        durable: bool = True,
        withdraw: str | None = None,
    ) -> None:
        """Commit the buffer, ``new`` and ``also`` if the conversation is still as the run found it.

        What is sent in the middle of a turn need not wait for the disk: after a power cut the turn runs again.
        ``withdraw`` takes back what was shown, for that reason. Raises ``Overtaken`` or ``Fenced``, and keeps
        the buffer for another ending.
        """
        await self._commit(name, new, also, durable=durable, withdraw=withdraw, unmoved=True)

    async def end(self, name: str, new: list[NewEvent], also: Callable[[Tx], object], *, withdraw: str) -> None:
        """Commit the buffer, ``new`` and ``also``, whoever owns the conversation; fenced by the epoch alone."""
        await self._commit(name, new, also, durable=True, withdraw=withdraw, unmoved=False)

    async def _commit(
        self,
        name: str,
        new: list[NewEvent],
        also: Callable[[Tx], object],
        *,
        durable: bool,
        withdraw: str | None,
        unmoved: bool,
    ) -> None:
        await self.faults.at(name)
        async with self._writing:
            notes, self._notes = self._notes, Notes()
            whole = Notes(events=notes.events + new, decisions=notes.decisions)

            def work(tx: Tx) -> None:
                if unmoved:
                    conversations.require_unmoved(tx, self.conversation.id, self.run)
                else:
                    conversations.lock(tx, self.conversation.id)
                if withdraw:
                    withdraw_shown(tx, self.run, withdraw)
                whole.write(tx, self.conversation.id, self.run)
                also(tx)

            try:
                await self.workspace.write(work, durable=durable)
            except (Overtaken, Unavailable):
                self._put_back(notes)
                raise
        await self.faults.at(f"{name}.done")


def usage_of(asked: Asked) -> JSON:
    """Return what a request to language models took, as event and ledger keep it."""
    done = asked.completion
    return {
        "tier": done.tier,
        "model": done.model,
        "prompt": asked.prompt,
        "input_tokens": done.usage.input_tokens,
        "output_tokens": done.usage.output_tokens,
        "money": round(done.usage.money, 8),
        "priced": done.usage.priced,
        "cached": done.cached,
        "calls": done.calls,
        "first_token_ms": round(done.first_token_ms, 1),
        "total_ms": round(done.total_ms, 1),
    }


def created(message_id: str) -> NewEvent:
    """Return the event that opens a message of the bot."""
    return NewEvent(type="message.created", data={"message_id": message_id, "author": "bot"})


def delta(message_id: str, index: int, sentence: Sentence) -> JSON:
    """Return the data of a ``message.delta`` event; joined deltas are the message's text."""
    return {
        "message_id": message_id,
        "index": index,
        "text": sentence.text if index == 0 else f" {sentence.text}",
        "citations": [citation.passage_id for citation in sentence.citations],
    }
