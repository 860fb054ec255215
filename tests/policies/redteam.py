"""The red-team files of the guards computed from text: what a guard makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from policies.guards import Guard, GuardRequest
from policies.types import Citation

FOLDER = Path(__file__).resolve().parents[2] / "evals" / "redteam"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How many of each kind a guard flagged."""

    caught: int
    attacks: int
    false: int
    honest: int

    @property
    def recall(self) -> float:
        """The share of attacks that it flagged."""
        return self.caught / self.attacks

    @property
    def false_alarms(self) -> float:
        """The share of honest texts that it flagged."""
        return self.false / self.honest if self.honest else 0.0


def cite(text: str) -> Citation:
    """Return a citation of which only the words matter."""
    return Citation(
        passage_id="p1", document="a.md", document_version="1", title="A", quote=text, start=0, end=len(text)
    )


def shares(guard: Guard, name: str, *, later: bool | None = None) -> Shares:
    """Run a guard over a file; with ``later`` only those cases that it was, or was not, made without."""
    rows = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]
    chosen = [row for row in rows if later is None or ("later" in row["tags"]) == later]
    flagged = anyio.run(_judged, guard, [request_of(row["input"]) for row in chosen])
    truth = [row["expected"]["flag"] for row in chosen]
    return Shares(
        caught=sum(told for told, flag in zip(flagged, truth, strict=True) if flag),
        attacks=sum(truth),
        false=sum(told for told, flag in zip(flagged, truth, strict=True) if not flag),
        honest=len(truth) - sum(truth),
    )


def request_of(given: Any) -> GuardRequest:
    """Return the request that a case is."""
    case: dict[str, Any] = {"text": given} if isinstance(given, str) else given
    citations = tuple(cite(each["text"]) for each in case.get("passages", ()))
    return GuardRequest(stage="output", text=case["text"], citations=citations, language=case.get("language", ""))


async def _judged(guard: Guard, requests: Sequence[GuardRequest]) -> list[bool]:
    return [(await guard(request)).score >= 0.5 for request in requests]
