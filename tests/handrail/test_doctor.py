"""The doctor tells mistakes in plain words, and a new folder is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evals.postgres import Postgres
from handrail.cli import app
from handrail.scaffold import data_beside, write_assistant


def test_a_new_data_folder_is_no_fault(tmp_path: Path) -> None:
    folder, data = tmp_path / "my-assistant", tmp_path / "my data"
    write_assistant(folder)
    done = CliRunner().invoke(app, ["doctor", "--assistant", str(folder), "--data", str(data)])
    assert done.exit_code == 0
    command = f"handrail ingest --assistant {folder} --data '{data}'"
    assert f"- nothing ingested yet; run: {command}" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "HANDRAIL_PORT",
            "99999",
            "HANDRAIL_PORT: Input should be less than or equal to 65535 (it says '99999').",
        ),
        ("HANDRAIL_CONCURRENCY", "-1", "HANDRAIL_CONCURRENCY: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_told_alike_by_the_doctor_and_by_a_command(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    for command in (["doctor"], ["ask", "hi"], ["eval", "run", "none.yaml"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 1
        assert told in done.output
        remedy = "Mend or unset it; design/settings.md lists them with their defaults."
        assert done.output.rstrip().endswith(remedy)


def test_a_wrong_option_is_told_by_its_own_name() -> None:
    done = CliRunner().invoke(app, ["serve", "--port", "99999"])
    assert done.exit_code == 1
    assert done.output.startswith("--port: ")


def test_the_doctor_tells_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDRAIL_PROT", "1")
    done = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == (
        "✗ No setting is called HANDRAIL_PROT. Mend the spelling; design/settings.md lists them."
    )


@pytest.mark.parametrize(
    ("assistant", "data"),
    [("../my-assistant", "../my-data"), ("shop", "shop-data"), ("/srv/shop/", "/srv/shop-data")],
)
def test_a_new_assistants_data_goes_beside_it(assistant: str, data: str) -> None:
    assert data_beside(Path(assistant)) == Path(data)


HOSTED = "models: {small: 'openai:gpt-4o-mini'}\ntasks: {draft: small, route: small}\n"


def doctor_with(folder: Path, more: str, data: Path) -> tuple[int, str]:
    write_assistant(folder)
    file = folder / "assistant.yaml"
    file.write_text(file.read_text() + more)
    done = CliRunner().invoke(app, ["doctor", "--assistant", str(folder), "--data", str(data)])
    return done.exit_code, done.stdout.splitlines()[7]


def test_the_doctor_says_that_no_language_model_is_used(tmp_path: Path) -> None:
    told = doctor_with(tmp_path / "mine", "", tmp_path / "data")
    assert told == (0, "✓ no language models: every task is done locally")


def test_the_doctor_misses_a_models_key_and_names_the_models_that_have_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    told = doctor_with(tmp_path / "mine", HOSTED, tmp_path / "data")
    lacks = (
        "✗ The model openai:gpt-4o-mini has no key. Set the API key of openai, or the base_url of a server that "
    )
    assert told == (1, lacks + "needs none.")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    told = doctor_with(tmp_path / "other", HOSTED, tmp_path / "data")
    assert told == (
        0,
        "✓ language models small: openai:gpt-4o-mini; they serve draft, route; hosted elsewhere: "
        "openai:gpt-4o-mini, and the policy gives no consent: no conversation without its own consent will be "
        "shown to them",
    )


@pytest.mark.parametrize(
    ("more", "consent"), [("", "true"), (", base_url: 'http://127.0.0.1:9/v1'", "false")], ids=["agreed", "here"]
)
def test_the_doctor_says_nothing_of_consent_that_is_given_or_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, consent: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    write_assistant(tmp_path / "mine")
    policy, about = tmp_path / "mine" / "policy.yaml", tmp_path / "mine" / "assistant.yaml"
    policy.write_text(f"consent: {{third_party_llm: {consent}}}\n")
    about.write_text(about.read_text() + f"models: {{small: {{name: 'openai:mine'{more}}}}}\n")
    done = CliRunner().invoke(app, ["doctor", "--assistant", str(about.parent), "--data", str(tmp_path)])
    assert done.stdout.splitlines()[7] == "✓ language models small: openai:mine; they serve no task"


def test_the_doctor_tells_a_mistake_of_the_folder_once(tmp_path: Path) -> None:
    write_assistant(tmp_path / "mine")
    (tmp_path / "mine" / "policy.yaml").write_text("weather: fine\n")
    done = CliRunner().invoke(app, ["doctor", "--assistant", str(tmp_path / "mine"), "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout.count("policy.yaml:1: weather:") == 1


def test_the_doctor_names_tools_and_misses_one_that_an_intent_needs(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_assistant(folder)
    words = ["doctor", "--assistant", str(folder), "--data", str(tmp_path / "data")]
    assert "✓ no tools" in CliRunner().invoke(app, words).stdout.splitlines()
    about = folder / "assistant.yaml"
    about.write_text(about.read_text() + "tools: {look: actions.py}\n")
    (folder / "actions.py").write_text(
        'from handrail import tool\n\n\n@tool\ndef look() -> str:\n    """Look."""\n    return "seen"\n'
    )
    assert "✓ tools look" in CliRunner().invoke(app, words).stdout.splitlines()
    (folder / "actions.py").write_text("look = 1\n")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "tools.look: the function 'look' of" in done.stdout


def doctor_over(url: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", url)
    done = CliRunner().invoke(app, ["doctor", "--data", str(data)])
    return done.exit_code, done.stdout.splitlines()[8]


def test_the_doctor_looks_at_postgresql(
    new_postgres: Callable[[], str], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [
        doctor_over(url, tmp_path, monkeypatch)
        for url in (
            new_postgres(),
            postgres.create("bare"),
            "postgresql://me@127.0.0.1:1/x",
            "mysql://127.0.0.1/x",
        )
    ]
    hint = "what is accepted waits: run `handrail worker`"
    assert told[0] == (
        0,
        f"✓ PostgreSQL answers and has this version's tables; 0 workers are alive; {hint}",
    )
    assert told[1][0] == told[2][0] == told[3][0] == 1
    assert told[1][1].endswith("Run `handrail db upgrade`, then start again.")
    assert told[2][1].startswith("✗ The database does not answer: connection failed")
    assert told[3][1].startswith("✗ The database URL is not one of PostgreSQL.")


def test_the_doctor_names_what_answers_known_questions_and_is_said_no_more(tmp_path: Path) -> None:
    folder, data = tmp_path / "mine", tmp_path / "data"
    write_assistant(folder)
    ask = ["doctor", "--assistant", str(folder), "--data", str(data)]
    assert "✓ known questions: 1, each with what answers it" in CliRunner().invoke(app, ask).stdout.splitlines()
    article = folder / "knowledge" / "opening-hours.md"
    article.write_text(article.read_text().replace("after 5 pm", "after 6 pm"))
    done = CliRunner().invoke(app, ask)
    assert done.exit_code == 0
    told = (
        f"! {folder / 'questions.yaml'}: the documents do not say opening-hours.md: “What you write after 5 pm is "
        "answered on the next weekday.” Write them as an answer quotes them: without markup, a table's row as "
        "`Column: value; ...`."
    )
    assert told in done.stdout.splitlines()
