"""The command line answers at once and imports nothing heavy to say what it can."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from handrail.cli import app

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = "torch chromadb langgraph fastapi sentence_transformers sklearn onnxruntime sqlalchemy numpy"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom handrail.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r}.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_help_answers_within_half_a_second() -> None:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "handrail", "--help"], cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - began

    assert min(once() for _ in range(5)) < 0.5


def test_init_writes_an_assistant_and_refuses_to_write_over_one(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert CliRunner().invoke(app, ["init", str(folder)]).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "assistant.yaml",
        "evals",
        "intents.yaml",
        "knowledge",
        "policy.yaml",
        "questions.yaml",
    ]
    again = CliRunner().invoke(app, ["init", str(folder)])
    assert again.exit_code == 1


def test_init_prints_commands_to_copy_unwrapped(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20) / "my-assistant"
    done = CliRunner().invoke(app, ["init", str(folder)])
    data = folder.parent / "my-data"
    assert done.stdout.splitlines()[-5:] == [
        "Edit these, then:",
        f"  handrail doctor --assistant {folder} --data {data}",
        f"  handrail ingest --assistant {folder} --data {data}",
        f"  handrail chat --assistant {folder} --data {data}",
        f"  handrail eval run {folder}/evals/questions.yaml",
    ]


@pytest.mark.parametrize(
    "words", [["run"], ["run", "a.yaml", "--bogus"], ["run", "a.yaml", "--repeat", "0"], ["rnu"], ["score", "a"]]
)
def test_a_mistake_on_the_command_line_is_not_taken_for_a_gate_that_failed(words: list[str]) -> None:
    done = CliRunner().invoke(app, ["eval", *words])
    assert (done.exit_code, "Usage: " in done.stderr) == (1, True)


def test_an_untouched_assistant_passes_its_own_evals(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    CliRunner().invoke(app, ["init", str(folder)])
    done = subprocess.run(
        [sys.executable, "-m", "handrail", "eval", "run", str(folder / "evals" / "questions.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("verb", "name"), [("ask", "question"), ("search", "query")])
def test_empty_words_are_told_before_anything_is_opened(verb: str, name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [verb, " ", "--data", str(tmp_path / "data")])
    assert done.exit_code == 1
    assert done.stderr == f"The {name} is empty. Write it in quotes after the command.\n"
    assert not (tmp_path / "data").exists()


def test_help_shows_no_escapes() -> None:
    done = CliRunner().invoke(app, ["search", "--help"])
    assert "[required]" in done.stdout
    assert "\\" not in done.stdout
