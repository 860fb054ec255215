"""Instructions are files with a version, and nothing in them is odd to a guard or too long for a small model."""

from __future__ import annotations

import pytest

from agents.prompts import FOLDER, PromptFile, all_prompts, load_prompt
from policies.guards import GuardRequest
from policies.leaks import PROMPT_WORDS, LeakGuard
from policies.promises import FOUND, NOT_FOUND


def test_a_prompt_is_its_file_and_is_known_by_the_hash_of_its_text() -> None:
    prompt = load_prompt("draft")
    assert prompt.text == (FOLDER / "draft.md").read_text("utf-8").strip()
    assert prompt.id == f"draft@{prompt.version}"
    assert len(prompt.version) == 8


def test_another_text_is_another_version() -> None:
    one, other = (PromptFile(name="draft", text=text) for text in ("Be brief.", "Be brief!"))
    assert one.version != other.version
    assert one.version == PromptFile(name="check", text="Be brief.").version


def test_all_prompts_are_found_by_name() -> None:
    assert {"answer", "brief", "check", "draft", "route"} <= {each.name for each in all_prompts()}
    assert all(load_prompt(each.name) == each for each in all_prompts())


@pytest.mark.parametrize("prompt", all_prompts(), ids=lambda each: each.name)
def test_a_prompt_is_short_enough_for_a_small_model(prompt: PromptFile) -> None:
    assert len(prompt.text.split()) <= 400


@pytest.mark.parametrize("prompt", all_prompts(), ids=lambda each: each.name)
def test_an_answer_that_repeats_a_prompt_is_held_back(prompt: PromptFile) -> None:
    guard = LeakGuard((), {}, protected=[each.text for each in all_prompts()])
    words = prompt.text.split()
    for start in (0, len(words) // 2):
        said = " ".join(words[start : start + 3 * PROMPT_WORDS])
        assert guard.judge(_drafted(f"Sure: {said}")).score == FOUND
    assert guard.judge(_drafted("Orders leave our warehouse within two days.")).score == NOT_FOUND


def _drafted(text: str) -> GuardRequest:
    return GuardRequest(stage="output", text=text)
