"""Cases and results go to Langfuse once, without personal data, and come back as cases of a suite."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from evals.cases import RouterCase, read_cases
from evals.experiments import Masking
from evals.fakes import StubTarget
from evals.langfuse import connected
from evals.runs import HEAD, open_run
from evals.syncing import langfuse_settings, pull_command, push_command
from handrail.cli import app
from policies.errors import ConfigError, HandrailError, InputError, Unavailable
from tests.evals.langfuse_server import PROJECT, PUBLIC, SECRET, FakeLangfuse, langfuse_server
from tests.evals.stubs import SUITE, right_but, run_stub, write_suite

MAIL, CARD, PHONE = "kim.doe@mail.test", "4111 1111 1111 1111", "+44 20 7946 0958"
WRONG = StubTarget(answer=right_but({3}))


@pytest.fixture(name="langfuse")
def langfuse_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    """Serve a project whose keys are set."""
    for name in [name for name in os.environ if name.startswith("LANGFUSE_")]:
        monkeypatch.delenv(name)
    with langfuse_server() as project:
        for name, value in (("PUBLIC_KEY", PUBLIC), ("SECRET_KEY", SECRET), ("BASE_URL", project.url)):
            monkeypatch.setenv(f"LANGFUSE_{name}", value)
        yield project


@pytest.fixture(name="made", scope="module")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run ten cases, of which the fourth goes wrong."""
    folder = tmp_path_factory.mktemp("made")
    run_stub(write_suite(folder / "suite", 10), folder / "run", WRONG)
    return folder


@pytest.fixture(name="run")
def run_fixture(made: Path, tmp_path: Path) -> Path:
    """Copy the run of ten cases beside its suite."""
    for name in ("suite", "run"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path / "run"


def push(folder: Path, dataset: str | None = None) -> str:
    """Push and return what is printed."""
    out = io.StringIO()
    screen = Console(file=out, width=200)
    assert push_command(folder, dataset, screen, retries=0) == 0
    return out.getvalue()


def pull(dataset: str, out: Path, *, force: bool = False) -> list[dict[str, Any]]:
    """Pull and return the cases."""
    assert pull_command(dataset, out, Console(file=io.StringIO()), force=force, retries=0) == 0
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def write_cases(folder: Path, cases: list[dict[str, Any]]) -> Path:
    """Write a suite over these cases."""
    path = write_suite(folder, 1)
    (folder / "cases.jsonl").write_bytes(b"".join(orjson.dumps(case) + b"\n" for case in cases))
    return path


def by_name(project: FakeLangfuse) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["id"]: each for each in project.items.values()}


def test_a_run_becomes_items_an_experiment_and_scores(langfuse: FakeLangfuse, run: Path) -> None:
    told = push(run, "tea/shop")
    head = open_run(run).head
    assert langfuse.datasets == {"tea/shop": "dataset-1"}
    item = by_name(langfuse)["3"]
    assert {name: item[name] for name in ("datasetName", "input", "expectedOutput", "metadata", "status")} == {
        "datasetName": "tea/shop",
        "input": "message 3",
        "expectedOutput": {"intent": "3"},
        "metadata": {"id": "3", "tags": ["odd"]},
        "status": "ACTIVE",
    }
    (span,) = [
        each for each in langfuse.spans.values() if each["attributes"]["langfuse.experiment.item.id"] == item["id"]
    ]
    about = span["attributes"]
    experiment = about["langfuse.experiment.id"]
    assert langfuse.ingestion == {"4"}
    assert about["langfuse.experiment.name"].startswith(f"stub {head['began_at']} ")
    assert about["langfuse.experiment.dataset.id"] == "dataset-1"
    assert about["langfuse.experiment.item.root_observation_id"] == span["spanId"]
    assert json.loads(about["langfuse.experiment.item.expected_output"]) == {"intent": "3"}
    assert about["langfuse.observation.input"] == "message 3"
    assert json.loads(about["langfuse.observation.output"])["intent"] == "wrong"
    assert json.loads(about["langfuse.experiment.metadata"])["versions"] == head["versions"]
    assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
    scores = {each["name"]: each for each in langfuse.scores.values() if each.get("traceId") == span["traceId"]}
    (row,) = [each for each in open_run(run) if each.id == "3"]
    assert {name: each["value"] for name, each in scores.items()} == row.scores
    assert {each.get("comment") for each in scores.values()} == {row.wrong}
    assert {each["observationId"] for each in scores.values()} == {span["spanId"]}
    (figure,) = [each for each in langfuse.scores.values() if each.get("datasetRunId") == experiment]
    assert (figure["name"], figure["value"]) == ("accuracy", 0.9)
    assert figure["comment"].startswith("95 % interval 0.")
    assert told.splitlines() == [
        "Dataset 'tea/shop': 10 new, 0 changed, 0 unchanged items.",
        f"Experiment '{about['langfuse.experiment.name']}': 10 results, {len(langfuse.scores)} scores.",
        f"{langfuse.url}/project/{PROJECT}/experiments/results?baseline={experiment}",
    ]


def test_the_experiment_has_the_id_that_the_sdk_gives_it(langfuse: FakeLangfuse, run: Path) -> None:
    from langfuse import Langfuse as Client

    push(run, "té")
    about = next(iter(langfuse.spans.values()))["attributes"]
    # A method that does not look at its object when all parts are known.
    theirs = Client._create_experiment_id(
        None,  # type: ignore[arg-type]
        project_id=PROJECT,
        dataset_id="dataset-1",
        run_name=about["langfuse.experiment.name"],
    )
    assert about["langfuse.experiment.id"] == theirs


def test_pushing_again_changes_nothing(langfuse: FakeLangfuse, run: Path) -> None:
    push(run)
    before = json.dumps([langfuse.items, [*langfuse.spans.values()], langfuse.scores], sort_keys=True)
    items = langfuse.writes("dataset-items")
    assert push(run).startswith("Dataset 'stub': 0 new, 0 changed, 10 unchanged items.")
    assert json.dumps([langfuse.items, [*langfuse.spans.values()], langfuse.scores], sort_keys=True) == before
    assert (items, langfuse.writes("dataset-items")) == (10, 10)


def test_another_run_of_the_cases_is_another_experiment_over_the_same_items(
    langfuse: FakeLangfuse, run: Path, tmp_path: Path
) -> None:
    push(run)
    cases = tmp_path / "suite" / "cases.jsonl"
    cases.write_text(cases.read_text().replace("message 7", "message seven"))
    run_stub(tmp_path / "suite" / "suite.yaml", tmp_path / "again", WRONG, repeat=2)
    assert push(tmp_path / "again").startswith("Dataset 'stub': 0 new, 1 changed, 9 unchanged items.")
    assert (len(langfuse.items), len(langfuse.spans)) == (10, 10 + 20)
    names = {each["attributes"]["langfuse.experiment.name"] for each in langfuse.spans.values()}
    assert len(names) == 2


def test_what_was_interrupted_is_finished_by_pushing_again(langfuse: FakeLangfuse, run: Path) -> None:
    langfuse.breaks_after = 4
    with pytest.raises(Unavailable, match="answered 500"):
        push(run)
    assert (len(langfuse.items), langfuse.spans, langfuse.scores) == (4, {}, {})
    langfuse.breaks_after = None
    # What the first push had under way may arrive now, so only the sum of new and unchanged ones is certain.
    assert " 0 changed, " in push(run)
    assert (len(langfuse.items), len(langfuse.spans)) == (10, 10)


def test_no_personal_data_leaves(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    case = {
        "id": f"from {MAIL}",
        "input": f"I am [EMAIL_1], not {MAIL} or {PHONE}; pay with {CARD}.",
        "expected": {"intent": "pay", "hint": [MAIL, 4111111111111111]},
        "tags": [PHONE],
        "lineage": {"run": "run_1", "from": MAIL},
    }
    suite = write_cases(tmp_path / "suite", [case])
    run_stub(suite, tmp_path / "run", StubTarget(answer=lambda _case: f"ask {MAIL} or {CARD} or kai@mail.test"))
    assert "personal data was replaced by placeholders in 1." in push(tmp_path / "run")
    sent = b"".join(langfuse.bodies)
    for private in (MAIL, PHONE, CARD, CARD.replace(" ", ""), "kai@mail.test"):
        assert private.encode() not in sent
    (item,) = langfuse.items.values()
    assert item["input"] == "I am [EMAIL_1], not [EMAIL_2] or [PHONE_1]; pay with [CARD_1]."
    assert item["expectedOutput"] == {"intent": "pay", "hint": ["[EMAIL_2]", "[CARD_2]"]}
    assert item["metadata"] == {
        "id": "from [EMAIL_2]",
        "tags": ["[PHONE_1]"],
        "lineage": {"run": "run_1", "from": "[EMAIL_2]"},
    }
    (span,) = langfuse.spans.values()
    output = json.loads(span["attributes"]["langfuse.observation.output"])
    assert output["intent"] == "ask [EMAIL_2] or [CARD_1] or [EMAIL_3]"
    assert "0 changed, 1 unchanged" in push(tmp_path / "run")


def test_placeholders_stay_as_they_are() -> None:
    case = {"turns": ["I am [NAME_1], [EMAIL_2]", 7, None, True, 0.5], "[EMAIL_2]": "x"}
    masking = Masking()
    assert (masking(case), masking.known) == (case, {})


def test_cases_of_several_files_are_told_apart(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    suite = write_suite(folder, 2, SUITE.replace("dataset: cases.jsonl", "dataset: [cases.jsonl, more.jsonl]"))
    (folder / "more.jsonl").write_bytes((folder / "cases.jsonl").read_bytes().replace(b'"id":"1"', b'"id":"one"'))
    run_stub(suite, tmp_path / "run", StubTarget(answer=lambda _case: "0"))
    push(tmp_path / "run")
    assert sorted(by_name(langfuse)) == ["1", "cases.jsonl/0", "more.jsonl/0", "one"]
    assert [case["id"] for case in pull("stub", tmp_path / "out.jsonl")] == sorted(by_name(langfuse))


def test_pulled_cases_are_those_that_were_pushed(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    lineage = {"conversation": "conv_1", "assistant_version": "1f"}
    suite = write_suite(tmp_path / "suite", 8)
    cases = tmp_path / "suite" / "cases.jsonl"
    rows = [orjson.loads(line) for line in cases.read_bytes().splitlines()]
    rows[2] |= {"lineage": lineage}
    del rows[4]["tags"]
    write_cases(tmp_path / "suite", rows)
    run_stub(suite, tmp_path / "run", WRONG)
    push(tmp_path / "run")
    langfuse.page = 3
    assert pull("stub", tmp_path / "pulled" / "cases.jsonl") == rows
    assert langfuse.requests.count(("GET", "/api/public/dataset-items")) == 1 + 3
    assert [case.data.id for case in read_cases([tmp_path / "pulled" / "cases.jsonl"], RouterCase)] == [
        *map(str, range(8))
    ]
    (tmp_path / "pulled" / "suite.yaml").write_text(SUITE)
    run_stub(tmp_path / "pulled" / "suite.yaml", tmp_path / "again", WRONG)
    assert push(tmp_path / "again").startswith("Dataset 'stub': 0 new, 0 changed, 8 unchanged items.")


def test_items_made_in_langfuse_are_cases_and_keep_their_ids(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    langfuse.add("made there", "cm-2", input="Where is it?", expectedOutput={"intent": "a"}, metadata={"by": "Bo"})
    langfuse.add("made there", "cm-1", input={"turns": ["Hi"]}, expectedOutput={"intent": None}, metadata="none")
    langfuse.add("made there", "cm-0", input="Old", expectedOutput={"intent": "a"}, status="ARCHIVED")
    langfuse.add("made there", "cm-3", input="So?", expectedOutput={"intent": "b"}, metadata={"id": "so"})
    found = pull("made there", tmp_path / "suite" / "cases.jsonl")
    assert found == [
        {"id": "cm-1", "input": {"turns": ["Hi"]}, "expected": {"intent": None}},
        {"id": "cm-2", "input": "Where is it?", "expected": {"intent": "a"}},
        {"id": "so", "input": "So?", "expected": {"intent": "b"}},
    ]
    suite = write_cases(tmp_path / "suite", [{**found[1], "tags": ["late"]}, found[2]])
    run_stub(suite, tmp_path / "run", StubTarget(answer=lambda _case: "a"))
    told = push(tmp_path / "run", "made there")
    assert told.startswith("Dataset 'made there': 0 new, 1 changed, 1 unchanged items.")
    assert langfuse.items["cm-2"]["metadata"] == {"by": "Bo", "tags": ["late"]}
    assert len(langfuse.items) == 4


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"input": None, "expectedOutput": {"intent": "a"}}, "item bad: input:"),
        ({"input": ["a"], "expectedOutput": {"intent": "a"}}, "item bad: input:"),
        ({"input": "a", "expectedOutput": "Paris"}, "item bad: expected:"),
        ({"input": "a"}, "item bad: expected:"),
    ],
)
def test_an_item_that_is_no_case_is_named(
    langfuse: FakeLangfuse, tmp_path: Path, content: dict[str, Any], problem: str
) -> None:
    langfuse.add("d", "good", input="a", expectedOutput={"intent": "a"})
    langfuse.add("d", "bad", **content)
    with pytest.raises(InputError, match=problem):
        pull("d", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_is_replaced_only_by_force(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    langfuse.add("d", "a", input="a", expectedOutput={"intent": "a"})
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        pull("d", out)
    assert (out.read_text(), langfuse.requests) == ("mine", [])
    assert len(pull("d", out, force=True)) == 1


def test_a_dataset_that_is_missing_or_empty_is_named(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset 'tea time'"):
        pull("tea time", tmp_path / "out.jsonl")
    langfuse.datasets["tea time"] = "dataset-1"
    with pytest.raises(InputError, match="has no items"):
        pull("tea time", tmp_path / "out.jsonl")


def test_private_suites_stay_here(langfuse: FakeLangfuse, tmp_path: Path) -> None:
    run_stub(write_suite(tmp_path / "suite", 2, f"{SUITE}private: true\n"), tmp_path / "run", WRONG)
    with pytest.raises(InputError, match="'stub' is private: its cases are held back"):
        push(tmp_path / "run")
    assert langfuse.requests == []


@pytest.mark.parametrize(
    ("member", "value", "problem"),
    [("target", "pii", "where personal data stands"), ("status", "running", "not finished")],
)
def test_runs_that_are_not_to_be_sent_are_named(
    langfuse: FakeLangfuse, run: Path, member: str, value: str, problem: str
) -> None:
    head = orjson.loads((run / HEAD).read_bytes())
    (run / HEAD).write_bytes(orjson.dumps(head | {member: value}))
    with pytest.raises(InputError, match=problem):
        push(run)
    assert langfuse.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "problem"),
    [
        (401, ConfigError, r"refuses the keys \(401\)\. Check LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"),
        (403, ConfigError, r"refuses the keys \(403\)"),
        (400, InputError, "answered 400: So it is"),
        (429, Unavailable, "answered 429. Try again later"),
        (500, Unavailable, "answered 500. Try again later"),
        (404, InputError, "Check LANGFUSE_BASE_URL"),
    ],
)
def test_what_langfuse_refuses_is_told(
    langfuse: FakeLangfuse, run: Path, status: int, kind: type[HandrailError], problem: str
) -> None:
    langfuse.status = status
    with pytest.raises(kind, match=problem):
        push(run)


def test_scores_that_are_refused_are_an_error(langfuse: FakeLangfuse, run: Path) -> None:
    langfuse.rejected = 1
    with pytest.raises(InputError, match="refused 1: Too high"):
        push(run)


@pytest.mark.anyio
async def test_a_server_that_hangs_is_given_up(langfuse: FakeLangfuse) -> None:
    langfuse.gate.clear()
    async with connected(langfuse_settings(), retries=0, seconds=0.2) as connection:
        with pytest.raises(Unavailable, match="does not answer in time"):
            await connection.project_id()


@pytest.mark.usefixtures("langfuse")
def test_commands_end_with_1_and_say_what_to_do(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = CliRunner()
    out = tmp_path / "cases.jsonl"
    pushed = runner.invoke(app, ["eval", "push", str(run), "--dataset", "tea"])
    assert (pushed.exit_code, "10 new" in pushed.output) == (0, True)
    pulled = runner.invoke(app, ["eval", "pull", "tea", "--out", str(out)])
    assert (pulled.exit_code, f"10 cases in {out}." in pulled.output) == (0, True)
    again = runner.invoke(app, ["eval", "pull", "tea", "--out", str(out)])
    assert (again.exit_code, "--force" in again.output) == (1, True)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "another")
    refused = runner.invoke(app, ["eval", "push", str(run)])
    assert (refused.exit_code, "refuses the keys (401)" in refused.output) == (1, True)
    monkeypatch.setenv("LANGFUSE_BASE_URL", "http://127.0.0.1:9")
    down = runner.invoke(app, ["eval", "pull", "tea", "--out", str(out), "--force"])
    assert (down.exit_code, "can't be reached" in down.output) == (1, True)
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    half = runner.invoke(app, ["eval", "push", str(run)])
    assert (half.exit_code, "LANGFUSE_SECRET_KEY is not set" in half.output) == (1, True)
    monkeypatch.delenv("LANGFUSE_PUBLIC_KEY")
    unset = runner.invoke(app, ["eval", "push", str(run)])
    assert (unset.exit_code, "Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY" in unset.output) == (1, True)


def test_nothing_else_imports_langfuse() -> None:
    code = "import sys, handrail.cli, handrail.evaluation; print('langfuse' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
