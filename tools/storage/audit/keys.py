"""The key that signs the ledger's heads (Ed25519)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import ConfigError
from tools.storage.sealing import load_or_make_key

FILE = "ledger.key"


@dataclass(frozen=True)
class LedgerKey:
    """Signs; whoever has its public half can verify."""

    seed: bytes = field(repr=False)

    @property
    def public(self) -> str:
        """The public key, in base64."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature, in base64."""
        return base64.b64encode(self._private.sign(content)).decode()

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def ledger_key(given: str | None, data: Path) -> LedgerKey:
    """Return the key: the one that the settings give, or that of the data folder, which is made on first use.

    Raises ``ConfigError`` for a text that is no key.
    """
    if given is None:
        return LedgerKey(base64.urlsafe_b64decode(load_or_make_key(data / FILE)))
    seed = _decoded(given.strip())
    if seed is None or len(seed) != 32:
        raise ConfigError(
            "HANDRAIL_LEDGER_KEY is no key.",
            remedy=f"Take the text of the file {FILE} of the first process, 32 bytes in base64.",
            code="settings.invalid",
        )
    return LedgerKey(seed)


def holds(public_key: str, signature: str, content: bytes) -> bool:
    """Whether a signature of a content was made with a key; texts that are no key or signature hold nothing."""
    key, signed = _decoded(public_key), _decoded(signature)
    if key is None or signed is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signed, content)
    except (ValueError, InvalidSignature):
        return False
    return True


def is_public_key(text: str) -> bool:
    """Whether a text can be a public key: 32 bytes in base64."""
    return len(_decoded(text) or b"") == 32


def _decoded(text: str) -> bytes | None:
    """Read base64 of either alphabet; a text that would be written otherwise is none."""
    plain = text.translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == plain else None
