"""One attempt at a segment of a workflow's run: what its steps note and decide, and how that is committed."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from graphs.turn import FLUSH_SECONDS, STEPS_PER_ATTEMPT, usage_of
from graphs.workflows.plain import jsonable, masked, texts
from graphs.writing import Findings, findings
from policies.errors import Fenced, InputError, Unavailable
from policies.personal_data import PersonalDataFinder, mask, reveal
from policies.types import JSON, Reason, Tier, to_json
from tools.metrics import STEP_SECONDS
from tools.models.mandate import Asked, Mandate
from tools.models.ports import Data, Message, Models
from tools.storable import storable
from tools.storage import events, ledger, runs, vault
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.receipts import key_of
from tools.storage.runs import Run
from tools.storage.store import Tx, Workspace
from tools.storage.workflows import Kept
from tools.telemetry import names
from tools.telemetry.spans import NOTHING, Span, here

MOST_DECISIONS = STEPS_PER_ATTEMPT - 100
LONGEST_OUTCOME = 200
_KIND = re.compile("[A-Za-z][A-Za-z0-9_-]{0,39}")
_FREE: Mapping[str, tuple[str, ...]] = {
    "note": ("text", "data"),
    "review.requested": ("draft", "reasons"),
    "run.paused": ("text",),
    "error": ("message",),
}
"""What of events comes from a developer's graph, and is masked."""


@dataclass(kw_only=True)
class Notes:
    """Events and decisions that are not written yet, personal data as a developer's graph gave it."""

    events: list[NewEvent] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def free(self) -> list[Any]:
        """What may hold personal data: of events by their type, of decisions their reasons."""
        told = [{name: each.data[name] for name in _FREE.get(each.type, ())} for each in self.events]
        said = [[why["text"] for why in each.body["reasons"]] for each in self.decisions]
        return [told, said]

    def write(self, tx: Tx, run: Run, found: Findings) -> None:
        """Append them to the run's stream, personal data masked; raises ``Fenced``."""
        held = runs.lock(tx, run.id)
        if held.epoch != run.epoch or held.status != "running":
            raise Fenced(f"Another attempt owns the run {run.id}.")
        told, said = masked(tx, run.id, self.free, found)
        new = [
            replace(each, data={**each.data, **safe}, audience="staff")
            for each, safe in zip(self.events, told, strict=True)
        ]
        events.append(tx, run.id, new, run_id=run.id, epoch=run.epoch)
        chained = [_saying(tx, run, each, safe) for each, safe in zip(self.decisions, said, strict=True)]
        ledger.append(tx, run.id, run.id, chained)


def _saying(tx: Tx, run: Run, decision: Decision, why: Sequence[str]) -> Decision:
    # A word of the developer's, in which no names are looked for.
    outcome = vault.masked(tx, run.id, decision.body["outcome"])
    reasons = [{**each, "text": text} for each, text in zip(decision.body["reasons"], why, strict=True)]
    return replace(decision, body={**decision.body, "outcome": outcome, "reasons": reasons})


@dataclass(kw_only=True)
class Attempt:
    """One attempt at a segment."""

    workspace: Workspace
    run: Run
    kept: Kept
    assistant: str
    version: str
    """Of the assistant whose files run now; the run's own is that which it began with."""
    finder: PersonalDataFinder | None = None
    _notes: Notes = field(default_factory=Notes)
    _writing: anyio.Lock = field(default_factory=anyio.Lock)
    """One at a time takes notes and writes them, so that they are stored in the order in which they were made."""
    _decided: int = 0
    _began: float = field(default_factory=time.perf_counter)
    _at_work: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Steps that have begun and not ended: name and when, by task."""
    _spans: dict[str, Span] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """The names of the steps that are at work."""
        return ", ".join(sorted({name for name, _ in self._at_work.values()})) or "its end"

    def stepped(self, told: Mapping[str, Any]) -> None:
        """Take note of what LangGraph tells of a step: that it begins, or how it ended."""
        if "triggers" in told:
            self._at_work[told["id"]] = (told["name"], time.perf_counter())
            self._spans[told["id"]] = here().begin("step", told["name"], {names.STEP: told["name"]})
            self.note("step.started", {"name": told["name"]})
            return
        name, began = self._at_work.get(told["id"], (told["name"], time.perf_counter()))
        span = self._spans.pop(told["id"], NOTHING)
        if told.get("error"):
            span.fail("step.failed")
        span.end()
        if told.get("error"):
            # What it raised comes after this, and ends the attempt.
            return
        self._at_work.pop(told["id"], None)
        elapsed = time.perf_counter() - began
        STEP_SECONDS.labels("workflow").observe(elapsed)
        asks = bool(told.get("interrupts"))
        report = {"name": name, "ms": round(elapsed * 1000, 2), **({"asks": True} if asks else {})}
        self.note("step.finished", report)
        self.decide(name, "step", "asks a person" if asks else "done", latency_ms=round(elapsed * 1000, 1))

    def note(self, kind: str, data: JSON) -> None:
        """Buffer an event; those of workflows are for staff."""
        self._notes.events.append(NewEvent(type=kind, data=storable(data), audience="staff"))

    def decide(self, node: str, kind: str, outcome: str, reasons: Sequence[Reason] = (), **grounds: Any) -> None:
        """Buffer a decision; it counts once it is committed."""
        self._notes.decisions.append(self.decision(node, kind, outcome, reasons, **grounds))

    def decision(
        self, node: str, kind: str, outcome: str, reasons: Sequence[Reason] = (), **grounds: Any
    ) -> Decision:
        """Return a decision of this attempt, numbered after those before it."""
        if self._decided >= STEPS_PER_ATTEMPT:
            raise InputError(f"A workflow puts at most {MOST_DECISIONS} decisions on record in one go.")
        body: JSON = {
            "actor": {"type": "assistant", "id": self.assistant, "version": self.version},
            "outcome": outcome,
            "reasons": [to_json(each) for each in reasons],
            "rules": [],
            "trace_id": self.run.trace_id,
            "tier": "local",
            "cost": 0,
            "workflow": self.run.graph,
            "latency_ms": round((time.perf_counter() - self._began) * 1000, 1),
            **grounds,
        }
        step = self.run.epoch * STEPS_PER_ATTEMPT + self._decided
        self._decided += 1
        return Decision(node=node, kind=kind, body=storable(body), step=step)

    def asked(self, asked: Asked) -> None:
        """Tell staff and ledger of a request to language models."""
        used, done = usage_of(asked), asked.completion
        reasons = [
            Reason(code=each.code, text=f"{each.model or each.tier}: {each.text}") for each in done.degraded
        ]
        self.decide(self.at, "model", done.tier, reasons, **{**used, "cost": used["money"]})
        self.note("usage", {"task": asked.task, **used})

    async def flush(self) -> None:
        """Write what is buffered, if anything; raises ``Fenced`` when another attempt owns the run."""
        if self._notes.events or self._notes.decisions:
            await self.commit([], lambda _tx, _found: None, durable=False)

    async def flush_slowly(self) -> None:
        """Write the buffer from time to time until cancelled, for those who watch a slow step."""
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            with anyio.CancelScope(shield=True):
                await self.flush()

    async def commit(
        self,
        new: Sequence[NewEvent],
        also: Callable[[Tx, Findings], object],
        *,
        durable: bool = True,
    ) -> None:
        """Commit the buffer, ``new`` and ``also`` if this attempt still owns the run; raises ``Fenced``.

        ``also`` is given what was found in their texts ahead of the transaction.
        """
        async with self._writing:
            notes, self._notes = self._notes, Notes()
            last = Notes(events=[replace(each, data=storable(each.data)) for each in new])
            found = await findings(self.finder, *texts([*notes.free, *last.free]))

            def work(tx: Tx) -> None:
                notes.write(tx, self.run, found)
                last.write(tx, self.run, found)
                also(tx, found)

            try:
                await self.workspace.write(work, durable=durable)
            except Unavailable:
                self._notes = Notes(
                    events=notes.events + self._notes.events, decisions=notes.decisions + self._notes.decisions
                )
                raise


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the steps of a developer's graph get of their run; ``handrail.WorkflowContext`` describes it."""

    run_id: str
    workspace_id: str
    attempt: Attempt = field(repr=False)
    models: Models | None = None
    """The assistant's language models; None where it names none."""
    mandate: Mandate | None = None
    """What they are asked with."""

    def note(self, text: str, **data: Any) -> None:
        """Tell those who follow the run something."""
        self.attempt.note("note", {"text": str(text), "data": jsonable(data)})

    def decide(
        self, kind: str, outcome: str, reasons: Sequence[str] = (), *, confidence: float | None = None
    ) -> None:
        """Put a decision on record."""
        if self.attempt._decided >= MOST_DECISIONS:
            raise InputError(f"A workflow puts at most {MOST_DECISIONS} decisions on record in one go.")
        _require_words(kind, outcome)
        why = [Reason(code=f"workflow.{kind}", text=str(each)) for each in reasons]
        grounds = {} if confidence is None else {"confidence": float(confidence)}
        self.attempt.decide(self.attempt.at, f"workflow.{kind}", str(outcome), why, **grounds)

    async def complete(self, prompt: str, text: str, *, tiers: Sequence[Tier] = ("large",)) -> str | None:
        """Ask a language model; personal data goes to it as placeholders."""
        if self.models is None or self.mandate is None:
            return None
        hidden = mask(text, {}, (await findings(self.attempt.finder, text)).get(text))
        version = hashlib.sha256(prompt.encode()).hexdigest()[:8]
        named = f"{self.attempt.run.graph}@{version}"
        given = Message(role="user", data=(Data(kind="input", text=hidden.text),))
        messages = [Message(role="system", text=prompt), given]
        done = await self.models.complete(self.mandate.request("workflow", tiers, messages, prompt=named))
        self.mandate.note(Asked(task="workflow", prompt=named, completion=done))
        return None if done.text is None else reveal(done.text, hidden.values)

    def key(self, name: str) -> str:
        """Return a key for one effect outside."""
        return key_of(self.run_id, name)


def _require_words(kind: Any, outcome: Any) -> None:
    """Make sure that what a decision is called is a word of the developer's, since the ledger keeps it for good.

    Neither is told in the errors: they may be a person's data.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InputError(
            "The kind of a decision is no word: a letter, then up to 39 letters, digits, - and _.",
            remedy="Name what is decided, always by the same word; what is particular belongs into the reasons.",
        )
    if len(str(outcome)) > LONGEST_OUTCOME:
        raise InputError(
            f"The outcome of a decision has more than {LONGEST_OUTCOME} characters.",
            remedy="Say why in the reasons.",
        )
