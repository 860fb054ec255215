"""``handrail privacy``: give out, erase and take consent back, at a running server or on the rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from handrail.cli import app
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, vault
from tools.storage.database import open_database
from tools.storage.lock import owned
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx

KEY = Fernet.generate_key()


def some(tx: Tx) -> None:
    """Begin two conversations of a customer and one of another, each with a message."""
    for subject in ("jo", "jo", "kim"):
        made = conversations.create(tx, assistant="a", customer={"id": subject}, consent={"train_eval": True})
        masked = vault.masked(tx, made.id, f"Write to {subject}@example.com")
        conversations.add_message(tx, made.id, author="customer", text=masked, run_id=None)


@asynccontextmanager
async def opened(where: Path | str) -> AsyncIterator[Store]:
    async with open_database(where) as database:
        yield Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(KEY),
            publish=lambda _: None,
        )


async def fill(where: Path | str) -> None:
    async with opened(where) as store:
        await store.in_workspace("default").write(some)


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path) -> Path:
    """Return a data folder with conversations in it."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "vault.key").write_bytes(KEY)
    anyio.run(fill, data / "handrail.db")
    return data


def handrail(data: Path, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["privacy", *words, "--data", str(data)], input=typed)


def test_all_that_is_kept_of_a_person_goes_to_a_file_that_only_its_owner_reads(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "jo.json"
    done = handrail(data, "export", "--subject", "jo", "--out", str(file))
    assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    assert (told["format"], told["workspace_id"], told["subject"]) == (1, "default", "jo")
    texts = [each["text"] for conversation in told["conversations"] for each in conversation["messages"]]
    assert texts == ["Write to jo@example.com"] * 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "jo.json"]
    piped = handrail(data, "export", "--subject", "jo")
    assert len(json.loads(piped.stdout)["conversations"]) == 2
    nobody = handrail(data, "export", "--subject", "sam")
    assert (nobody.exit_code, json.loads(nobody.stdout)["conversations"]) == (0, [])
    assert "Nothing is kept of this subject." in nobody.stderr


def test_a_person_is_erased_after_a_question_and_the_ledger_holds(data: Path) -> None:
    assert handrail(data, "erase", "--subject", "jo", typed="n\n").exit_code == 1
    assert handrail(data, "erase", "--subject", "jo").exit_code == 1
    assert len(json.loads(handrail(data, "export", "--subject", "jo").stdout)["conversations"]) == 2
    done = handrail(data, "erase", "--subject", "jo", "--reason", "A letter from jo.", typed="y\n")
    assert done.exit_code == 0, done.output
    assert "Erased: 2 conversations with 0 runs." in done.stdout
    assert "Files may hold traces" not in done.stdout
    again = handrail(data, "erase", "--subject", "jo", "--yes")
    assert (again.exit_code, again.stdout) == (0, "Nothing is kept of this subject.\n")
    verified = CliRunner().invoke(app, ["ledger", "verify", "--data", str(data)])
    assert verified.exit_code == 0, verified.output
    shown = CliRunner().invoke(app, ["ledger", "show", "workspace", "--json", "--data", str(data)])
    kinds = [each["kind"] for each in json.loads(shown.stdout)["decisions"]]
    assert kinds == ["subject.exported", "subject.erased"]
    assert len(json.loads(handrail(data, "export", "--subject", "kim").stdout)["conversations"]) == 1


def test_consent_is_taken_back_in_all_conversations(data: Path) -> None:
    done = handrail(data, "withdraw", "--subject", "jo", "--scope", "train_eval")
    assert (done.exit_code, done.stdout) == (0, "Noted in 2 conversations.\n")
    told = json.loads(handrail(data, "export", "--subject", "jo").stdout)["conversations"]
    assert [each["consent"]["train_eval"] for each in told] == [False, False]
    assert [len(each["consent_history"]) for each in told] == [2, 2]
    assert handrail(data, "withdraw", "--subject", "sam").stdout == "Nothing is kept of this subject.\n"
    assert handrail(data, "withdraw", "--subject", "jo", "--scope", "all").exit_code == 1


def test_another_workspace_is_another_place(data: Path) -> None:
    there = handrail(data, "export", "--subject", "jo", "--workspace", "elsewhere")
    assert json.loads(there.stdout)["conversations"] == []


def test_what_can_not_work_is_refused(data: Path, tmp_path: Path) -> None:
    refused = handrail(tmp_path / "none", "export", "--subject", "jo")
    assert (refused.exit_code, "There is no database in" in refused.stderr) == (1, True)
    assert not (tmp_path / "none").exists()
    assert handrail(data, "export", "--subject", " ").exit_code == 1
    with owned(data):
        assert handrail(data, "export", "--subject", "jo").exit_code == 1
    (data / "vault.key").write_bytes(Fernet.generate_key())
    assert handrail(data, "erase", "--subject", "jo", "--yes").exit_code == 1


def test_over_postgres_the_rows_are_erased_and_the_rest_is_said(
    data: Path, new_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_postgres()
    anyio.run(fill, url)
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", url)
    done = handrail(data, "erase", "--subject", "jo", "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Erased: 2 conversations with 0 runs.")
    assert "Files may hold traces for some time" in done.stdout
    assert json.loads(handrail(data, "export", "--subject", "jo").stdout)["conversations"] == []
    monkeypatch.delenv("HANDRAIL_DATABASE_URL")
    assert len(json.loads(handrail(data, "export", "--subject", "jo").stdout)["conversations"]) == 2
