"""The key is made once, whole, for its owner alone; a damaged one is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.storage.sealing import Sealer, load_or_make_key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    key = load_or_make_key(path)
    assert load_or_make_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["vault.key"]
    assert Sealer(key).open(Sealer(key).seal("value")) == "value"


def test_a_crash_while_the_key_is_written_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_descriptor: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(OSError, match="no space"):
            load_or_make_key(tmp_path / "vault.key")
    assert os.listdir(tmp_path) == []
    assert load_or_make_key(tmp_path / "vault.key")


def test_a_key_that_another_process_made_meanwhile_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vault.key"
    key = load_or_make_key(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _path: False)
        assert load_or_make_key(path) == key


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 44])
def test_a_file_that_holds_no_key_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"vault.key: the file holds no key") as error:
        load_or_make_key(path)
    assert error.value.remedy
    assert path.read_bytes() == content
