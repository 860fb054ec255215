"""Reviewed drafts of people who agreed, as cases with their lineage.

What people judged is kept as examples beside the conversations, where a withdrawal finds it; the file of cases is
written from them anew each time. Everything holds placeholders, as the conversations do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from policies.errors import Conflict, NotFound
from policies.types import JSON
from tools.storage import conversations, datasets, ledger, runs
from tools.storage.datasets import DatasetItem, Judged
from tools.storage.store import Tx, Workspace

KIND = "draft"
OUTCOMES = {"accepted": "drafted", "edited": "drafted", "rejected": "person"}
"""What a judged draft says of how the next version should end such a conversation."""
_LINEAGE = ("index_version", "model", "prompt")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a collection has found."""

    new: int
    items: list[DatasetItem]
    """All examples that there are now."""


async def collect(workspace: Workspace) -> Collected:
    """Keep an example of each draft that a person has judged and that is not kept yet."""
    new = 0
    for what in ("review", "suggestion"):
        after, first = "", True
        while first or after:
            begin = after

            def page(tx: Tx, what: str = what, begin: str = begin) -> tuple[list[Judged], str]:
                return datasets.judged(tx, what, after=begin)

            found, after = await workspace.read(page)
            first = False
            for each in found:
                new += await workspace.write(partial(_keep, judged=each))
    return Collected(new=new, items=await _all(workspace))


def _keep(tx: Tx, judged: Judged) -> int:
    """Keep one, unless it is there already or the customer has withdrawn meanwhile; return how many were kept."""
    if any(item.source == judged.source for item in datasets.of_conversation(tx, judged.conversation_id)):
        return 0
    try:
        run = runs.get(tx, judged.run_id)
        datasets.add(
            tx,
            judged.conversation_id,
            run_id=judged.run_id,
            kind=KIND,
            source=judged.source,
            version=run.assistant_version,
            content=_content(tx, judged, run),
        )
    except (Conflict, NotFound):
        return 0
    return 1


def _content(tx: Tx, judged: Judged, run: runs.Run) -> JSON:
    asked = [each for each in conversations.messages(tx, judged.conversation_id) if each.author == "customer"]
    last = max((each.position for each in asked if each.run_id == run.id), default=0)
    cited = [each["document"] for sentence in judged.draft for each in sentence["citations"]]
    return {
        "verdict": judged.verdict,
        "turns": [each.text for each in asked if each.position <= last],
        "draft": " ".join(sentence["text"] for sentence in judged.draft),
        "text": judged.text,
        "documents": list(dict.fromkeys(cited)),
        "intent": run.intent,
        "lineage": _lineage(ledger.of_run(tx, run.id)),
    }


def _lineage(decisions: Sequence[JSON]) -> JSON:
    """Return which index, models, prompts and policies were at work, as the ledger names them."""
    found = {name: [each[name] for each in decisions if each.get(name)] for name in _LINEAGE}
    return {name: list(dict.fromkeys(map(str, values))) for name, values in found.items() if values}


async def _all(workspace: Workspace) -> list[DatasetItem]:
    items: list[DatasetItem] = []
    while True:
        after = items[-1].id if items else ""

        def page(tx: Tx, after: str = after) -> list[DatasetItem]:
            return datasets.listed(tx, kind=KIND, after=after)

        found = await workspace.read(page)
        items += found
        if not found:
            return items


def case_of(item: DatasetItem) -> JSON | None:
    """Return an example as a case of a conversation, or None if nothing was asked in it."""
    content = item.content
    if not content["turns"]:
        return None
    expected: JSON = {"outcome": OUTCOMES[content["verdict"]]}
    if content["verdict"] == "accepted" and content["documents"]:
        expected["documents"] = content["documents"]
    tags = [content["verdict"], *([f"intent:{content['intent']}"] if content["intent"] else [])]
    return {
        "id": item.id,
        "input": {"turns": content["turns"]},
        "expected": expected,
        "tags": tags,
        "judged": {"verdict": content["verdict"], "draft": content["draft"], "text": content["text"]},
        "lineage": {
            "conversation": item.conversation_id,
            "run": item.run_id,
            "source": item.source,
            "assistant_version": item.version,
            "kept_at": item.created_at,
            **content["lineage"],
        },
    }


def write_cases(path: Path, items: Sequence[DatasetItem]) -> int:
    """Write a file of cases, readable by its owner alone; return how many there are."""
    cases = [case for item in items if (case := case_of(item))]
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.touch(mode=0o600)
        scratch.write_bytes(b"".join(orjson.dumps(case) + b"\n" for case in cases))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return len(cases)
