"""The ledger's key: given or made once, of one text, and never guessed at."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.storage.audit.keys import LedgerKey, holds, is_public_key, ledger_key

SEED = bytes(range(200, 232))


def test_the_key_file_is_made_once_and_can_be_given_instead(tmp_path: Path) -> None:
    made = ledger_key(None, tmp_path)
    assert ledger_key(None, tmp_path) == made
    assert (tmp_path / "ledger.key").stat().st_mode & 0o077 == 0
    assert ledger_key((tmp_path / "ledger.key").read_text(), tmp_path / "elsewhere") == made


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_is_given_in_either_base64(encode: object, tmp_path: Path) -> None:
    assert callable(encode)
    assert ledger_key(f" {encode(SEED).decode()}\n", tmp_path) == LedgerKey(SEED)


@pytest.mark.parametrize("text", ["", "short", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_a_text_that_is_no_key_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HANDRAIL_LEDGER_KEY is no key") as error:
        ledger_key(text, tmp_path)
    assert str(error.value.remedy)


def test_a_signature_holds_for_its_key_and_content_alone() -> None:
    key = LedgerKey(SEED)
    signature = key.sign(b"heads")
    assert holds(key.public, signature, b"heads")
    assert not holds(key.public, signature, b"other heads")
    assert not holds(LedgerKey(bytes(32)).public, signature, b"heads")
    assert not holds("no key", signature, b"heads")
    assert not holds(key.public, "no signature", b"heads")
    assert (is_public_key(key.public), is_public_key("no key")) == (True, False)


def test_a_key_does_not_show_itself() -> None:
    assert repr(LedgerKey(SEED)) == "LedgerKey()"
