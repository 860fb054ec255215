"""A language model as a judge of what came out, beside the people who have judged the same cases.

Without a model nothing is judged. How far the judge can be trusted is its agreement with people, over the cases
whose ``expected`` says what a person found (``judged``: true or false).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import orjson
from pydantic import BaseModel, Field

from evals.rows import Row
from evals.suite import JudgeSettings, Suite
from policies.types import JSON
from tools.assistants import load_assistant
from tools.models.ports import Account, Data, Message, ModelRequest, Models

PROMPT = Path(__file__).resolve().parent / "prompts" / "judge.md"
SECONDS = 90
WORKSPACE = "evals"


class Judgement(BaseModel):
    """What the judge replies."""

    reason: str = Field(description="One sentence that quotes the words which decide it.")
    passed: bool = Field(description="Whether the answer to the question is yes.")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Asks a model one question about each row."""

    models: Models
    settings: JudgeSettings

    @property
    def version(self) -> str:
        """Name and hash of the prompt with the question."""
        text = f"{_instructions()}\n{self.settings.question}"
        return f"judge@{blake2b(text.encode(), digest_size=4).hexdigest()}"

    async def judge(self, row: Row) -> Row:
        """Return the row with the judge's answer; as it is where no model answered."""
        completion = await self.models.complete(self._request(row), Judgement)
        found = completion.value
        if not isinstance(found, Judgement):
            return row
        told: JSON = {
            "passed": found.passed,
            "reason": found.reason,
            "model": completion.model,
            "prompt": self.version,
        }
        paid = completion.usage.money if completion.usage.priced else None
        return replace(
            row,
            output={**row.output, "judge": told},
            scores={**row.scores, "judged": float(found.passed)},
            cost=row.cost if paid is None else (row.cost or 0.0) + paid,
        )

    def _request(self, row: Row) -> ModelRequest:
        expected = {name: value for name, value in row.expected.items() if name != "judged"}
        data = (
            Data(kind="input", text=_text(row.input)),
            Data(kind="expected", text=_text(expected)),
            Data(kind="output", text=_text(row.output)),
        )
        messages = (
            Message(role="system", text=_instructions()),
            Message(role="user", text=f"The question: {self.settings.question}", data=data),
        )
        return ModelRequest(
            task="judge",
            tiers=self.settings.tiers,
            messages=messages,
            account=Account(workspace_id=WORKSPACE, conversation_id=row.id, run_id=f"{row.id}#{row.repeat}"),
            deadline=datetime.now(UTC) + timedelta(seconds=SECONDS),
            consent={"third_party_llm": self.settings.third_party},
            private_only=not self.settings.third_party,
            prompt_version=self.version,
        )


def _instructions() -> str:
    return PROMPT.read_text(encoding="utf-8").strip()


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


@asynccontextmanager
async def open_judge_of(suite: Suite) -> AsyncIterator[Judge | None]:
    """Open the judge that a suite asks for, on the models of its assistant; None where there is none."""
    folder = getattr(suite.file, "assistant", None)
    if suite.file.judge is None or folder is None:
        yield None
        return
    from graphs.models import opened
    from graphs.settings import secret
    from tools.clock import SystemClock
    from tools.models.spending import InMemorySpending

    file = load_assistant(suite.locate(folder, "assistant")).file
    async with opened(file, secret, InMemorySpending(), SystemClock(), lambda _: None) as models:
        yield None if models is None else Judge(models=models, settings=suite.file.judge)
