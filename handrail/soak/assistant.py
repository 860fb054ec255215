"""An assistant whose agents follow a script, the same in every process: what is asked decides how it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from agents.drafter import DraftRequest
from agents.escalation import LocalEscalation
from agents.router import RouteRequest
from graphs.assembly import Hire
from graphs.fakes import ScriptedAction, ScriptedChecker, ScriptedDrafter, ScriptedGuards, ScriptedRouter, route_to
from graphs.team import Team
from policies.types import JSON, Abstention, Autonomy, Outcome, Route, Sentence, Verdict
from tools.actions import Action, ActionRequest
from tools.assistants import Assistant
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.knowledge.fake import InMemoryRetriever

THINK_SECONDS = 0.2
ARTICLES = {"delivery.md": "# Delivery\n\nDelivery takes three days. Delivery costs four euros.\n"}
ANSWER = ("Delivery takes three days.", "Delivery costs four euros.", "Boxes go out on weekdays.")
_INTENTS = (
    ("delivery", "auto", "how long does delivery take", ""),
    ("refund", "review", "I want my money back", ""),
    ("complaint", "human", "I want to complain", ""),
    ("brewing", "suggest", "how do I brew oolong", ""),
    ("hours", "auto", "are you open on a holiday", ""),
    ("person", "auto", "take me to a person", "call_person"),
    ("gift", "auto", "send a gift to my aunt", "send_gift"),
    ("payment", "auto", "send the money to my account", "send_money"),
)
_ASSISTANT = "name: soak\ntitle: The Soak\ngreeting: Hello!\nencoder: hashing\n"
_POLICY = """\
limits: {message_characters: 2000}
messages:
  handoff: A colleague will answer you here.
  pending: A colleague is looking at this.
  degraded: Something broke, so a colleague will answer you.
rules:
- {id: holiday, when: 'intent == "hours"', effect: say, say: We are closed on holidays., reason: A fixed text.}
"""
_ROUTES: dict[str, Route | Exception] = {
    "money back": route_to("refund", Autonomy.REVIEW),
    "complain": route_to("complaint", Autonomy.HUMAN, priority="high"),
    "brew": route_to("brewing", Autonomy.SUGGEST),
    "holiday": route_to("hours"),
    "to a person": route_to("person"),
    "send a gift": route_to("gift"),
    "send the money": route_to("payment"),
}
EFFECTS = ("send_gift", "send_money")
"""The first may be called again with the same key, the second may not."""


def write_assistant(folder: Path, *, effects: bool) -> Path:
    """Write the assistant's folder; without ``effects`` no intent may do anything outside."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["intents:"]
    for name, autonomy, example, tool in _INTENTS:
        lines += [f"- name: {name}", f"  description: About {name}.", "  queue: general"]
        lines += [f"  autonomy: {autonomy}", f"  examples: [{example}, {name} please, more on {name}]"]
        if tool and (effects or tool not in EFFECTS):
            lines.append(f"  tools: [{tool}]")
    lines.append("out_of_scope: [what is the weather, write me a poem]\n")
    (folder / "assistant.yaml").write_text(_ASSISTANT)
    (folder / "intents.yaml").write_text("\n".join(lines))
    (folder / "policy.yaml").write_text(_POLICY)
    (folder / "knowledge").mkdir(exist_ok=True)
    for name, text in ARTICLES.items():
        (folder / "knowledge" / name).write_text(text)
    return folder


@dataclass(kw_only=True)
class PacedDrafter:
    """Drafts three sentences with a pause before each, longer before the first where the message asks to think."""

    pace: float

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Draft one answer."""
        await anyio.sleep(THINK_SECONDS if "think" in request.question else 0)
        pace = max(self.pace, THINK_SECONDS) if "slowly" in request.question else self.pace
        async for sentence in ScriptedDrafter(otherwise=ANSWER)(request):
            yield sentence
            await anyio.sleep(pace)


@dataclass(kw_only=True)
class CallPerson:
    """An action that lets a person take the conversation over in the middle of a turn."""

    take_over: Callable[[str], Awaitable[None]]
    name: str = "call_person"
    effect: bool = False
    idempotent: bool = False
    timeout: float = 5.0

    async def __call__(self, request: ActionRequest) -> JSON:
        """Take over."""
        await self.take_over(request.conversation_id)
        return {}


@dataclass(kw_only=True)
class Cast:
    """Hires the scripted team; ``take_over`` is set once there is a store."""

    calls: Path
    effects: bool
    pace: float
    take_over: list[Callable[[str], Awaitable[None]]] = field(default_factory=list)

    def hire(self) -> Hire:
        """Return what ``open_product`` calls for a team."""

        async def hire(assistant: Assistant, _knowledge: Knowledge, _encoder: Encoder) -> Team:
            return Team(
                assistant=assistant,
                router=_route,
                searcher=InMemoryRetriever(ARTICLES),
                drafter=PacedDrafter(pace=self.pace),
                checker=_checker(),
                escalation=LocalEscalation(),
                guards=ScriptedGuards(),
                language=lambda _text: "en",
                actions={each.name: each for each in self._actions()},
            )

        return hire

    def _actions(self) -> list[Action]:
        async def take_over(conversation_id: str) -> None:
            await self.take_over[-1](conversation_id)

        found: list[Action] = [CallPerson(take_over=take_over)]
        if self.effects:
            found += [
                ScriptedAction(name=name, calls=self.calls, idempotent=name == EFFECTS[0]) for name in EFFECTS
            ]
        return found


async def _route(request: RouteRequest) -> Route:
    # A new one each time: it keeps what it was asked, and memory is measured here.
    return await ScriptedRouter(script=_ROUTES, otherwise=route_to("delivery"))(request)


def _checker() -> ScriptedChecker:
    return ScriptedChecker(
        answers={"wrong": Verdict(outcome=Outcome.ESCALATE), "doubt": Verdict(outcome=Outcome.REVIEW)}
    )
