"""What the tests of agents on language models lend them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from policies.types import Passage, Tier
from tests.tools.models.requests import ACCOUNT, tried
from tools.knowledge import sentences
from tools.models.mandate import Asked, Mandate

TIERS: tuple[Tier, ...] = ("small", "large")


def a_mandate(
    noted: list[Asked] | None = None,
    *,
    seconds: float = 10.0,
    note: Callable[[Asked], None] | None = None,
    **more: Any,
) -> Mandate:
    """Return a mandate of a customer who has agreed; what is asked under it is put into ``noted``."""
    kept = [] if noted is None else noted
    mandate = Mandate(
        account=ACCOUNT,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        note=note or kept.append,
        consent={"third_party_llm": True},
        policy_version="v1",
    )
    return replace(mandate, **more)


def told(noted: list[Asked]) -> list[tuple[str, str, str, list[tuple[str, str, int]]]]:
    """Return of each request its task, prompt, who answered, and what was tried in vain."""
    return [(each.task, each.prompt, each.completion.tier, tried(each.completion)) for each in noted]


def a_passage(
    name: str, text: str, *, title: str = "Returns", start: int = 100, similarity: float = 0.7
) -> Passage:
    """Return a passage with its sentences."""
    return Passage(
        id=f"doc:{name}",
        document=f"{title.lower()}.md",
        document_version="dv_1",
        title=title,
        heading=f"{title} > Rules",
        text=text,
        start=start,
        end=start + len(text),
        index_version="idx_1",
        audience="customer",
        similarity=similarity,
        sentences=sentences.spans(text),
    )
