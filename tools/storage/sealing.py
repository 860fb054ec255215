"""Sealing: the encryption of vault values and the digests that betray nothing."""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from policies.errors import ConfigError


@dataclass(frozen=True)
class Sealer:
    """Encrypts with one key (Fernet: AES-128-CBC and HMAC-SHA256)."""

    key: bytes

    def seal(self, value: str) -> bytes:
        """Encrypt a text."""
        return Fernet(self.key).encrypt(value.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt what ``seal`` made; raises ``ConfigError`` when the key is another one."""
        try:
            return Fernet(self.key).decrypt(sealed).decode()
        except InvalidToken as error:
            raise ConfigError(
                "A stored value can't be opened with this key.",
                remedy="Put back the key file of this data folder.",
            ) from error

    def digest(self, value: str) -> str:
        """Return a keyed digest, to find equal values without opening them."""
        return hmac.new(self.key, value.encode(), hashlib.sha256).hexdigest()


def salted_digest(salt: bytes, value: str) -> str:
    """Return the HMAC-SHA256 that the ledger keeps of a content; without the salt it can't be guessed."""
    return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()


def load_or_make_key(path: Path) -> bytes:
    """Read the key file, making it on first use, readable by its owner alone.

    Raises ``ConfigError`` if the file holds no key.
    """
    if not path.exists():
        _make_key(path)
    key = path.read_bytes().strip()
    if not is_key(key):
        raise ConfigError(
            f"{path}: the file holds no key.",
            remedy="Put back the key file of this data folder; delete the file only if the folder is new.",
        )
    return key


def is_key(text: bytes) -> bool:
    """Whether a text is a key: 32 bytes in URL-safe base64."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True


def _make_key(path: Path) -> None:
    """Write a key whole or not at all, and never over another one."""
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        os.unlink(scratch)
