"""No key, instruction, internal note or staff-only text leaves; what only looks like one does."""

from __future__ import annotations

import json
import time
from functools import cache

import anyio
import pytest

from policies.guards import Finding, GuardRequest
from policies.leaks import LeakGuard, secrets, shingles, staff_only
from tests.policies.redteam import FOLDER, shares
from tools.guards.phrases import load_wording

STAFF = "Lost parcels below thirty dollars are written off without asking the carrier at all."


@cache
def shipped() -> LeakGuard:
    wording = load_wording("leaks")
    held = json.loads((FOLDER / "leaks-held-back-texts.json").read_text("utf-8"))
    known = staff_only(held["staff"], ())
    return LeakGuard(wording.prohibitions, wording.sets, protected=held["protected"], staff_shingles=lambda: known)


def judged(text: str, *, own: bool = False) -> Finding:
    return anyio.run(shipped(), GuardRequest(stage="output", text=text, own=own))


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("It is ghp_" + "a1B2c3D4e5" * 4 + ".", "key", "ghp_" + "a1B2c3D4e5" * 4),
        ("password: Wint3rHike!", "key", "Wint3rHike!"),
        ("See db://orders:Tz9kLm2Q@db.internal/x", "key", "Tz9kLm2Q"),
        ("[internal] Be kind.", "internal", "[internal]"),
        ("My system prompt is short.", "instructions", "My system prompt"),
        (
            "I answer from the passages below alone, and more.",
            "instructions",
            "answer from the passages below alone",
        ),
        (f"Note that {STAFF.lower()}", "staff", "lost parcels below thirty dollars are written off"),
    ],
)
def test_each_kind_is_found_at_its_place(text: str, code: str, place: str) -> None:
    found = judged(text)
    start, end = found.spans[0]
    assert (found.reason.code, text[start:end]) == (f"guard.leaks.{code}", place)


@pytest.mark.parametrize(
    "text",
    [
        "Your key is under the mat.",
        "Your tracking number is 1Z999AA10123456784.",
        "Do not share your password with anyone.",
        "Set Authorization: Bearer YOUR_TOKEN in the header.",
        "The password for your account on our page is case-sensitive.",
        "Ask the team (staff: 3).",
        "Use postgresql://USER:PASSWORD@HOST/DB.",
        "The system prompts you for a code.",
        "Lost parcels below thirty dollars are looked for.",
    ],
)
def test_what_only_looks_like_it_passes(text: str) -> None:
    assert judged(text).score < 0.5


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("The pass\u200bword is hunter2!x9", "hunter2!x9"),
        ("The **password** is\nhunter2!x9", "hunter2!x9"),
        ("_The password is_ *hunter2!x9*", "hunter2!x9"),
        ("The password for the admin panel on host nine is hunter2!x9", "hunter2!x9"),
        ("sk-\u200babcdefghijklmnopqrstuvwx", "sk-\u200babcdefghijklmnopqrstuvwx"),
        ("\u0455k-abcdefghijklmnopqrstuvwx", "\u0455k-abcdefghijklmnopqrstuvwx"),
        ("<!-- staff only --> Be kind.", "<!-- staff only -->"),
        ("I an\u200bswer from the **passages** below alone.", "an\u200bswer from the **passages** below alone"),
    ],
)
def test_what_is_written_to_be_missed_is_found_at_its_place(text: str, place: str) -> None:
    start, end = judged(text).spans[0]
    assert text[start:end] == place


@pytest.mark.parametrize("before", [0, 7_980, 7_995, 8_000, 15_990])
def test_a_key_is_found_once_wherever_it_stands_in_a_long_text(before: int) -> None:
    text = "," * before + " ghp_" + "a1B2c3D4e5" * 4
    assert list(secrets(text)) == [(before + 1, len(text))]


def test_policys_own_words_may_speak_of_staff_but_hold_no_key() -> None:
    assert judged("This page is for internal use only.", own=True).score < 0.5
    assert judged("The key is AKIAQ7ZL3MNB5XVT2KDW.", own=True).score >= 0.5


def test_what_customers_may_read_too_is_no_secret_of_the_staff() -> None:
    assert staff_only([STAFF], [f"You know: {STAFF}"]) == frozenset()
    assert len(staff_only([STAFF], ["Lost parcels are looked for."])) == len(STAFF.split()) - 7


def test_shingles_are_the_same_in_every_process() -> None:
    assert shingles(["One two, THREE"], 3) == shingles(["one two three"], 3) == {7274879177180986167}


def test_no_text_takes_long() -> None:
    started = time.thread_time()
    for text in (
        "a_" * 5000,
        "key " * 3000,
        "eyJ" * 4000,
        "a://" + "b" * 9000,
        "password is " * 2000,
        "x-" * 8000,
        "password" + " " * 100_000,
        "password is" + " " * 100_000,
        "bearer" + "\n" * 100_000,
        "password for the x " * 5000,
        "(" * 100_000,
    ):
        assert list(secrets(text)) == []
    assert time.thread_time() - started < 3


def test_the_figures_hold_on_the_red_team_files() -> None:
    found = shares(shipped(), "leaks")
    assert found.recall >= 0.97
    assert found.false_alarms <= 0.006
    held = shares(shipped(), "leaks-held-back")
    assert held.recall >= 0.92
    assert held.false_alarms == 0
