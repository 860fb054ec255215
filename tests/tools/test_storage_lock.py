from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from policies.errors import ConfigError
from tools.storage.lock import announced, owned, running_server


def test_a_data_folder_has_one_owner(tmp_path: Path) -> None:
    with (
        owned(tmp_path),
        pytest.raises(ConfigError, match="Another process uses the data folder"),
        owned(tmp_path),
    ):
        pass
    with owned(tmp_path):
        assert running_server(tmp_path) is None


def test_the_folder_is_made(tmp_path: Path) -> None:
    with owned(tmp_path / "new" / "data"):
        assert (tmp_path / "new" / "data").is_dir()


def test_a_server_leaves_word_of_where_it_is(tmp_path: Path) -> None:
    url = "http://127.0.0.1:8080"
    with owned(tmp_path), announced(tmp_path, url):
        assert running_server(tmp_path) == url
        with pytest.raises(ConfigError, match=f"Ask it at {url}") as caught, owned(tmp_path):
            pass
        assert caught.value.data == {"url": url}
    assert running_server(tmp_path) is None


def test_the_word_of_a_server_that_crashed_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_bytes(orjson.dumps({"pid": 1, "url": "http://127.0.0.1:1"}))
    assert running_server(tmp_path) is None
    with owned(tmp_path):
        assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("word", [b"", b"[]", b'{"pid": 1}', b'{"url": 5}', b"\xff"])
def test_a_word_that_can_not_be_read_is_no_word(tmp_path: Path, word: bytes) -> None:
    with owned(tmp_path):
        (tmp_path / "server.json").write_bytes(word)
        assert running_server(tmp_path) is None
        with pytest.raises(ConfigError, match="Another process"), owned(tmp_path):
            pass


def test_a_folder_that_is_a_file_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match=r"can't be used: .*HANDRAIL_DATA"), owned(tmp_path / "data"):
        pass
