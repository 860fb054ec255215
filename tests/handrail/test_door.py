"""The way in: whoever asks for an assistant is not answered by another one that happens to be served."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphs.settings import Settings
from handrail.cli import app
from handrail.door import require_served
from handrail.scaffold import write_assistant
from tools.storage.lock import Serving, announced, owned

URL = "http://127.0.0.1:9"
REMEDY = "Give --data, or leave --assistant out."


@pytest.fixture(name="mine")
def mine_fixture(tmp_path: Path) -> Path:
    write_assistant(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path) -> Iterator[Path]:
    """Yield a data folder over which a server of another assistant says that it runs."""
    data = tmp_path / "data"
    with owned(data), announced(data, URL, assistant="larkspur", folder=tmp_path / "larkspur"):
        yield data


def called(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


@pytest.mark.parametrize("words", [("ask", "Where is my box?"), ("ingest",), ("search", "box"), ("chat",)])
def test_a_server_of_another_assistant_does_not_answer(words: tuple[str, ...], mine: Path, data: Path) -> None:
    code, output = called(*words, "--assistant", str(mine), "--data", str(data))
    assert code == 1
    assert output.endswith(f"The server on {data} serves 'larkspur', not 'helper'. {REMEDY}\n")


def test_the_environment_asks_for_an_assistant_as_the_option_does(
    mine: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDRAIL_ASSISTANT", str(mine))
    code, output = called("ask", "Where is my box?", "--data", str(data))
    assert (code, "serves 'larkspur', not 'helper'" in output) == (1, True)


def test_a_folder_that_is_not_there_is_told_also_while_a_server_runs(tmp_path: Path, data: Path) -> None:
    code, output = called("ask", "Where is my box?", "--assistant", str(tmp_path / "none"), "--data", str(data))
    assert code == 1
    assert str(tmp_path / "none") in output


def test_the_doctor_warns_of_a_server_of_another_assistant(mine: Path, data: Path) -> None:
    code, output = called("doctor", "--assistant", str(mine), "--data", str(data))
    assert code == 0
    assert f"! The server on {data} serves 'larkspur', not 'helper'. {REMEDY}" in output.splitlines()


def test_the_same_assistant_is_served_to_those_who_name_it_and_to_those_who_name_none(
    mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(mine)
    server = Serving(url=URL, assistant="helper", folder=mine.resolve())
    for settings in (Settings(assistant=mine), Settings(assistant=tmp_path / "link"), Settings()):
        require_served(settings, server)
    require_served(Settings(assistant=mine), Serving(url=URL))


def test_two_folders_of_one_name_are_told_apart(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(Exception, match=f"serves 'helper' from {other}, not that from {mine}"):
        require_served(Settings(assistant=mine), Serving(url=URL, assistant="helper", folder=other))


def test_an_index_of_another_encoder_is_no_fault_for_who_ingests(mine: Path, tmp_path: Path) -> None:
    place = ("--assistant", str(mine), "--data", str(tmp_path / "own"))
    assistant = mine / "assistant.yaml"
    assistant.write_text(assistant.read_text().replace("encoder: all-MiniLM-L6-v2", "encoder: hashing"))
    assert called("ingest", *place)[0] == 0
    with closing(sqlite3.connect(tmp_path / "own" / "handrail.db")) as database, database:
        database.execute("UPDATE index_version SET encoder = 'hashing@0/256'")
        database.execute("UPDATE index_document SET document_version = 'old_' || document_version")
        database.execute("UPDATE document_version SET id = 'old_' || id")
        database.execute("UPDATE chunk SET document_version = 'old_' || document_version")

    refused = called("ask", "When are you open?", *place)
    again = called("ingest", *place)
    asked = called("search", "open", *place)

    assert (refused[0], "was made with the encoder hashing@0/256" in refused[1]) == (1, True)
    assert (again[0], " changed, " in again[1]) == (0, True)
    assert (asked[0], "opening-hours.md" in asked[1]) == (0, True)
