"""Escalation on language models: the local brief's facts, with what was asked and what to do put in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from agents.asking import Asker, said_before
from agents.escalation import EscalationRequest
from agents.prompts import PromptFile, load_prompt
from policies.personal_data import PLACEHOLDER, broken_placeholders, find
from policies.types import Brief, Reason, Tier
from tools.models.ports import Data, Message, Models

TASK = "escalate"
LONGEST_ASKED = 600
LONGEST_STEP = 300

Escalating = Callable[[EscalationRequest], Awaitable[Brief]]


class Summary(BaseModel):
    """What a model adds to a brief."""

    model_config = ConfigDict(extra="forbid")

    asked: str = Field(min_length=1, max_length=LONGEST_ASKED)
    next_step: str = Field(min_length=1, max_length=LONGEST_STEP)


class ModelEscalation:
    """Lets a language model say what was asked and what to do next; all else in the brief is the local one's.

    The customer reads none of it. Where the model writes personal data, or a placeholder that nobody wrote before
    it, its words are not used.
    """

    def __init__(
        self, local: Escalating, models: Models, tiers: Sequence[Tier], *, prompt: PromptFile | None = None
    ) -> None:
        self._local = local
        self._asker = Asker(task=TASK, models=models, tiers=tuple(tiers), prompt=prompt or load_prompt("brief"))

    async def __call__(self, request: EscalationRequest) -> Brief:
        """Write one brief."""
        brief = await self._local(request)
        if request.mandate is None:
            return brief
        summary, tier = await self._asker.ask(request.mandate, _said(request), Summary, passages=request.passages)
        if summary is None or not _is_clean(summary, request):
            return brief
        told = Reason(
            code="brief.model", text=f"What was asked and the next step were put in words by a model ({tier})."
        )
        return replace(brief, asked=summary.asked, next_step=summary.next_step, why=(*brief.why, told))


def _said(request: EscalationRequest) -> Message:
    reasons = "\n".join(reason.text for reason in request.reasons) or "No reason was given."
    data = [*said_before(request.history), Data(kind="message", text=request.question)]
    data.append(Data(kind="reasons", text=reasons))
    if request.done:
        data.append(Data(kind="done", text=", ".join(request.done)))
    if request.sentences:
        data.append(Data(kind="draft", text=" ".join(sentence.text for sentence in request.sentences)))
    text = "What was said before, the customer's last message, and why it is handed over:"
    return Message(role="user", text=text, data=tuple(data))


def _is_clean(summary: Summary, request: EscalationRequest) -> bool:
    """Say whether a summary holds no personal data but by the placeholders that stood in what it was made from."""
    known = {mark for each in _said(request).data for mark in PLACEHOLDER.findall(each.text)}
    written = (summary.asked, summary.next_step)
    return not any(broken_placeholders(text, known) or find(PLACEHOLDER.sub("", text)) for text in written)
