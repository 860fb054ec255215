"""What was learned comes back from its file as it was, and a damaged file is learned anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.router import LocalRouter, RouteRequest
from policies.types import Autonomy, Intent
from tools.encoder.fake import HashingEncoder
from tools.learned import lesson_key, load

pytestmark = pytest.mark.anyio
INTENTS = tuple(
    Intent(name=name, description=name, examples=examples, queue="q", autonomy=Autonomy.AUTO)
    for name, examples in {
        "hours": ("when do you open", "opening hours today", "how late are you open", "open on sunday"),
        "parcels": ("where is my parcel", "parcel is late", "track the parcel", "parcel not here"),
        "refunds": ("give me my money", "money back please", "refund the tent", "where is the refund"),
    }.items()
)
OUTSIDE = ("what is the weather", "write a poem")


async def routed(cache: Path) -> list[object]:
    router = await LocalRouter.fit(INTENTS, OUTSIDE, HashingEncoder(), cache=cache)
    return [await router(RouteRequest(text=text)) for text in ("open on monday", "late parcel", "a poem please")]


def kept(cache: Path) -> list[Path]:
    return list(cache.glob("router-*.npz"))


async def test_a_lesson_is_learned_once_and_remembered_exactly(tmp_path: Path) -> None:
    first = await routed(tmp_path)
    assert len(kept(tmp_path)) == 1
    written = kept(tmp_path)[0].stat().st_mtime_ns
    assert await routed(tmp_path) == first
    assert kept(tmp_path)[0].stat().st_mtime_ns == written


async def test_a_damaged_file_is_learned_anew(tmp_path: Path) -> None:
    first = await routed(tmp_path)
    file = kept(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:100])
    assert load(file) is None
    assert await routed(tmp_path) == first


def test_a_file_that_holds_objects_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "bad.npz"
    np.savez(file, plain=np.array([{"a": 1}], dtype=object))
    assert load(file) is None


def test_any_change_of_the_lesson_is_another_one() -> None:
    keys = {
        lesson_key("e", ["a", "b"], [0, 1], []),
        lesson_key("f", ["a", "b"], [0, 1], []),
        lesson_key("e", ["a", "c"], [0, 1], []),
        lesson_key("e", ["a", "b"], [1, 0], []),
        lesson_key("e", ["a", "b"], [0, 1], ["x"]),
    }
    assert len(keys) == 5
