"""How agents ask language models: within a mandate, by the instructions of a file, and never without a note."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from agents.prompts import PromptFile
from policies.types import Passage, Tier, Turn
from tools.models.mandate import Asked, Mandate
from tools.models.ports import Completion, Data, Message, ModelRequest, Models, Piece, Tried, Usage
from tools.models.prompts import to_prompt, tokens_in

MOST_TURNS = 6
"""So many earlier messages are shown to a model."""
LEFT = "left"
"""How a reply ended that nobody waited for."""
BROKEN_OFF = "model.broken_off"
BROKEN_OFF_TEXT = "Its reply broke off when a part of it had been used already."
_SPEAKERS = {"customer": "customer", "bot": "assistant", "human": "colleague"}

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """One task for language models: which tiers do it, by which instructions."""

    task: str
    models: Models
    tiers: tuple[Tier, ...]
    prompt: PromptFile

    def request(
        self, mandate: Mandate, said: Message, *, more: str = "", passages: Sequence[Passage] = ()
    ) -> ModelRequest:
        """Return a request: the instructions, with ``more`` of ours behind them, then the message and its data."""
        instructions = f"{self.prompt.text}\n\n{more}".strip()
        return mandate.request(
            self.task,
            self.tiers,
            (Message(role="system", text=instructions), said),
            prompt=self.prompt.id,
            passages=[f"{each.id}@{each.index_version}" for each in passages],
        )

    def note(self, mandate: Mandate, completion: Completion) -> None:
        """Tell whoever gave the mandate how a request has ended."""
        mandate.note(Asked(task=self.task, prompt=self.prompt.id, completion=completion))

    async def ask(
        self,
        mandate: Mandate,
        said: Message,
        schema: type[Reply],
        *,
        more: str = "",
        passages: Sequence[Passage] = (),
    ) -> tuple[Reply | None, Tier]:
        """Return a reply in a schema and who gave it; None if no model has given one in time."""
        completion = await self.models.complete(self.request(mandate, said, more=more, passages=passages), schema)
        self.note(mandate, completion)
        value = completion.value
        if completion.tier == "local" or value is None:
            return None, "local"
        # A kept reply may be of an equal schema that was made before.
        reply = value if isinstance(value, schema) else schema.model_validate(value.model_dump())
        return reply, completion.tier

    async def stream(
        self, mandate: Mandate, said: Message, *, more: str = "", passages: Sequence[Passage] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield a reply as it is written, as ``Models.stream`` does; whoever stops early closes it."""
        request = self.request(mandate, said, more=more, passages=passages)
        written, restarted, ended = "", False, False
        try:
            async with aclosing(self.models.stream(request)) as pieces:
                async for piece in pieces:
                    written += piece.text
                    restarted = piece.restart
                    if piece.completion is not None:
                        ended = True
                        self.note(mandate, piece.completion)
                    yield piece
        finally:
            if not ended:
                self.note(mandate, self._left(request, written, restarted))

    def _left(self, request: ModelRequest, written: str, restarted: bool) -> Completion:
        """Return what can be said of a reply that nobody waited for; how much it cost, only the budgets know."""
        usage = Usage(
            input_tokens=to_prompt(request.messages).tokens,
            output_tokens=tokens_in(written),
            priced=False,
            estimated=True,
        )
        broken = Tried(tier=self.tiers[0], model="", code=BROKEN_OFF, text=BROKEN_OFF_TEXT, calls=1)
        return Completion(
            tier="local" if restarted else self.tiers[0],
            finish=LEFT,
            usage=usage,
            calls=1,
            degraded=(broken,) if restarted else (),
        )


def said_before(history: Sequence[Turn]) -> tuple[Data, ...]:
    """Return the latest of earlier messages as data, oldest first; a return to the assistant is marked."""
    return tuple(data for turn in history[-MOST_TURNS:] for data in _turn_data(turn))


def _turn_data(turn: Turn) -> Iterator[Data]:
    yield Data(kind=_SPEAKERS[turn.author], text=turn.text)
    if turn.handed_back:
        yield Data(kind="note", text="Colleagues had the conversation and gave it back to the assistant here.")


def short_ids(passages: Sequence[Passage]) -> dict[str, Passage]:
    """Return passages by ids that a model can write without a slip: ``p1``, ``p2`` ..."""
    return {f"p{number}": passage for number, passage in enumerate(passages, start=1)}


def passage_data(passages: dict[str, Passage]) -> tuple[Data, ...]:
    """Return passages as data, under the headings that they stand under."""
    return tuple(Data(kind="passage", id=name, text=_headed(each)) for name, each in passages.items())


def _headed(passage: Passage) -> str:
    above = passage.heading if passage.title in passage.heading else f"{passage.title} > {passage.heading}"
    above = above.strip(" >").replace(" > ", ", ")
    # In words: small models begin their own sentence with a heading that looks like the beginning of one.
    return f"(Under the heading {above}.)\n{passage.text}" if above else passage.text
