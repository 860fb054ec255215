"""The suites that we ship are sound, and the sample's questions are not its training examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evals import redteam
from evals.cases import Case, ConversationCase, read_cases
from evals.cli import Asked, run_suites
from evals.suite import load_suite
from evals.targets import prepare
from graphs.settings import SAMPLE
from policies.folder import IntentsFile
from tools.assistants import load_assistant, parse_yaml
from tools.known import said_in, unsaid

SHIPPED = sorted(Path(__file__).parents[2].joinpath("evals", "suites").glob("*.yaml"))
PUBLIC = [path for path in SHIPPED if not path.stem.startswith(("redteam-", "replies"))]
SIZES = {"answerable": 80, "outofscope": 40, "person": 40, "followups": 10}
WORD = re.compile(r"[\w']+")


def questions(kind: str, half: str) -> tuple[Case[ConversationCase], ...]:
    return read_cases([SAMPLE / "evals" / f"{kind}-{half}.jsonl"], ConversationCase)


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_a_public_suite_can_be_read_and_has_gates(path: Path, tmp_path: Path) -> None:
    suite = load_suite(path, tmp_path)
    assert suite.gates
    assert all(tmp_path in dataset.parents for dataset in suite.datasets)


@pytest.mark.parametrize("half", ["dev", "held"])
def test_the_sample_suites_name_all_questions_of_their_half(half: str) -> None:
    prepared = prepare(load_suite(SAMPLE / "evals" / f"{half}.yaml"))
    assert len(prepared.cases) == sum(SIZES.values()) / 2
    assert all(half in case.data.tags for case in prepared.cases)


def test_a_version_must_answer_well_and_leave_the_rest_to_people() -> None:
    gates = load_suite(SAMPLE / "evals" / "held.yaml").gates
    assert [(gate.metric, gate.rule) for gate in gates] == [("correct", ">= 0.85"), ("not_answered", ">= 0.95")]


def test_the_half_to_develop_on_has_floors() -> None:
    gates = load_suite(SAMPLE / "evals" / "dev.yaml").gates
    assert [gate.metric for gate in gates] == ["correct", "not_answered"]


MISSED = {
    ("redteam-injection-passage", "recall"),
    ("redteam-injection-tool", "recall"),
}
"""Gates that do not hold; ``design/redteam.md`` says by how much. One that is mended is to be taken out here."""


def test_the_sample_and_the_red_team_pass_their_gates_but_for_those_known_to_be_missed(
    tmp_path: Path, encoders: Path
) -> None:
    paths = [SAMPLE / "evals" / "dev.yaml", *redteam.suites(None)]
    reports = run_suites(Asked(suites=paths, out=tmp_path / "run", cache=encoders))
    failed = {
        (report.suite.path.stem, verdict.gate.metric)
        for report in reports
        for verdict in report.verdicts
        if not verdict.held
    }
    assert failed == MISSED
    assert [report.count for report in reports] == [len(prepare(report.suite).cases) for report in reports]


@pytest.mark.parametrize(("half", "private"), [("dev", False), ("held", True)])
def test_of_the_held_half_only_figures_are_printed(half: str, private: bool) -> None:
    assert load_suite(SAMPLE / "evals" / f"{half}.yaml").file.private is private


@pytest.mark.parametrize("kind", SIZES)
def test_both_halves_are_of_one_size_and_share_no_question(kind: str) -> None:
    dev, held = questions(kind, "dev"), questions(kind, "held")
    assert (len(dev), len(held)) == (SIZES[kind] / 2, SIZES[kind] / 2)
    assert not {case.data.id for case in dev} & {case.data.id for case in held}
    assert not {case.data.input.turns for case in dev} & {case.data.input.turns for case in held}


def test_few_questions_repeat_four_words_of_an_example() -> None:
    path = SAMPLE / "intents.yaml"
    intents = parse_yaml(path, path.read_text(encoding="utf-8"), IntentsFile).intents
    taught = {run for intent in intents for example in intent.examples for run in fours(example)}
    cases = [case for kind in SIZES for half in ("dev", "held") for case in questions(kind, half)]
    alike = [case.data.id for case in cases if any(fours(turn) & taught for turn in case.data.input.turns)]
    assert len(alike) <= len(cases) / 10, alike


def test_no_question_repeats_four_words_of_a_known_one() -> None:
    known = {run for each in load_assistant(SAMPLE).questions for asked in each.asked for run in fours(asked)}
    cases = [case for kind in SIZES for half in ("dev", "held") for case in questions(kind, half)]
    assert [case.data.id for case in cases if any(fours(turn) & known for turn in case.data.input.turns)] == []


def test_the_articles_say_what_answers_the_samples_known_questions() -> None:
    assistant = load_assistant(SAMPLE)
    assert len(assistant.questions) > 1_000
    assert unsaid(assistant.questions, said_in(assistant.knowledge)) == []


def fours(text: str) -> set[tuple[str, ...]]:
    """Return every run of four words."""
    words = WORD.findall(text.lower())
    return {tuple(words[start : start + 4]) for start in range(len(words) - 3)}
