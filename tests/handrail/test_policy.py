"""``handrail policy`` says whether a policy works and what it makes of a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handrail.cli import app
from tests.journeys.flows import write_errands
from tests.journeys.shop import FILES

POLICY = """\
rules:
- {id: big, when: 'amounts.exists(a, a > 100.0)', effect: escalate, queue: money, reason: Much money.}
- {id: vip, when: 'attributes.member', effect: review, reason: A member asks.}
- {id: suit, 'on': answer, when: 'reply.contains("sue")', effect: block, reason: Law.}
answers:
  complaint: We are sorry.
  delivery: Three days.
"""


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    for name, text in {**FILES, "policy.yaml": POLICY}.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shop"


def called(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["policy", *words])
    return done.exit_code, done.output


def explained(folder: Path, *words: str) -> dict[str, Any]:
    code, output = called("explain", "--assistant", str(folder), "--json", *words)
    assert code == 0, output
    found: dict[str, Any] = json.loads(output)
    return found


def test_a_policy_that_works_is_checked_as_a_folder_and_as_a_file(folder: Path) -> None:
    assert called("check", str(folder)) == (0, f"{folder}: nothing is wrong.\n")
    alone = folder.parent / "other.yaml"
    alone.write_text(POLICY)
    assert called("check", str(alone)) == (0, f"{alone}: nothing is wrong.\n")


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text("rules:\n- {id: a, when: weather, effect: review, reason: r}\nsla: {breach: shout}\n")
    code, output = called("check", str(policy))
    assert code == 1
    assert f"{policy}:2: rules.0.when: 'weather' is no fact" in output
    assert f"{policy}:3: sla.breach: Input should be 'escalate' or 'raise'" in output


def test_what_another_file_must_know_is_checked_with_it(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text("answers: {weather: Rain.}\n")
    assert called("check", str(policy))[0] == 1
    (folder / "intents.yaml").unlink()
    assert called("check", str(policy))[0] == 0


def test_what_policy_says_itself_is_checked_with_file_line_and_field(folder: Path) -> None:
    policy, about = folder / "policy.yaml", folder / "assistant.yaml"
    policy.write_text(
        "messages:\n  handoff: You idiot.\n"
        "templates: {hello: 'The password is hunter2!x9'}\n"
        "answers:\n  complaint: We will refund you.\n  delivery: Damn it.\n"
        "rules:\n- {id: a, when: 'true', effect: say, say: 'Shut up!!!', reason: R}\n"
    )
    about.write_text(about.read_text().replace("greeting: ", "greeting: Damn it. "))
    code, output = called("check", str(folder))
    told = [line.split(": ")[:2] for line in output.splitlines() if str(folder) in line]
    assert code == 1
    assert told == [
        [f"{about}:{line_with(about, 'greeting')}", "greeting"],
        [f"{policy}:2", "messages.handoff"],
        [f"{policy}:6", "answers.delivery"],
        [f"{policy}:3", "templates.hello"],
        [f"{policy}:8", "rules.0.say"],
    ]


def line_with(path: Path, word: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if word in line)


def test_a_guard_that_is_off_finds_nothing_in_what_policy_says(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text("guards: [{guard: tone, effect: off}]\nanswers: {delivery: Damn it.}\n")
    assert called("check", str(policy))[0] == 0
    alone = folder.parent / "other.yaml"
    alone.write_text("answers: {delivery: Damn it.}\n")
    assert called("check", str(alone))[0] == 1


@pytest.mark.parametrize(
    ("piece", "instead", "told"),
    [
        ("@graph(input=Errand, output=Done)\n", "", "errands.py has no function 'errand' marked with @graph"),
        ("    return steps", "    return steps.compile()", "errand returns a CompiledStateGraph"),
        ("def errand(", "def errands(", "errands.py has no function 'errand' marked with @graph"),
    ],
    ids=["no mark", "compiled", "renamed"],
)
def test_workflows_that_can_not_run_are_wrong(tmp_path: Path, piece: str, instead: str, told: str) -> None:
    folder = write_errands(tmp_path / "errands")
    assert called("check", str(folder)) == (0, f"{folder}: nothing is wrong.\n")
    code = folder / "errands.py"
    code.write_text(code.read_text().replace(piece, instead))
    for path in (folder, folder / "assistant.yaml"):
        exit_code, output = called("check", str(path))
        assert (exit_code, told in output) == (1, True)


def test_each_rule_is_explained_by_the_facts_it_used(folder: Path) -> None:
    words = ["--input", "I paid $250", "--intent", "refund", "--attributes", '{"member": false}', "--locale", "de"]
    story = explained(folder, *words)
    assert [(rule["id"], rule["fired"], rule.get("facts")) for rule in story["rules"]] == [
        ("big", True, {"amounts": [250.0]}),
        ("vip", False, {"attributes": {"member": False}}),
        ("suit", None, None),
    ]
    assert (story["outcome"], story["queue"], story["stream"]) == ("escalate", "money", "whole")


def test_a_fact_that_is_missing_counts_as_fired_and_is_said(folder: Path) -> None:
    story = explained(folder, "--input", "When does my box come?", "--intent", "delivery")
    vip = story["rules"][1]
    assert (vip["fired"], vip["problem"]) == (True, "the rule could not be computed: it lacks 'member'")
    assert (story["outcome"], story["said"], story["autonomy"]) == ("review", "Three days.", "review")


def test_a_reply_is_tried_on_the_rules_on_the_answer(folder: Path) -> None:
    words = ["--input", "When does my box come?", "--intent", "delivery", "--attributes", '{"member": false}']
    story = explained(folder, *words, "--reply", "You can sue us.")
    assert (story["rules"][2]["fired"], story["outcome"]) == (True, "block")
    assert explained(folder, *words, "--reply", "Soon.")["outcome"] == "pass"


def test_it_is_told_in_plain_words(folder: Path) -> None:
    words = ["--input", "I am cross with you, sir", "--intent", "complaint", "--attributes", '{"member": true}']
    code, output = called("explain", "--assistant", str(folder), *words)
    assert code == 0
    assert "a person is needed: Policy leaves complaint to people." in output
    assert "what follows: a person of the queue care gets the conversation, due " in output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--intent", "weather"], "There is no intent 'weather'. Known are: delivery"),
        (["--intent", "refund", "--attributes", "{"], "--attributes is not JSON"),
        (["--intent", "refund", "--attributes", "[]"], "--attributes is no JSON object"),
        (["--intent", "refund", "--attributes", '{"age": 3}'], "'age' is not known"),
    ],
)
def test_what_can_not_be_asked_is_refused(folder: Path, words: list[str], complaint: str) -> None:
    code, output = called("explain", "--assistant", str(folder), "--input", "Hello", *words)
    assert (code, complaint in output) == (1, True), output


def test_the_router_is_asked_where_no_intent_is_named(folder: Path, tmp_path: Path) -> None:
    words = ["--input", "how long does delivery take", "--data", str(tmp_path / "data")]
    assert explained(folder, *words)["route"]["intent"] == "delivery"
