"""What concerns a whole installation: which key its vault was sealed with."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from policies.errors import ConfigError
from tools.storage import tables
from tools.storage.sealing import Sealer

_i = tables.installation.c
_NAME = "vault_key"


def require_key(connection: Connection, sealer: Sealer) -> None:
    """Note the key of a new database; raises ``ConfigError`` when a database was sealed with another one."""
    found = connection.execute(select(_i.value).where(_i.name == _NAME)).scalar_one_or_none()
    digest = sealer.digest("which key is this")
    if found is None:
        connection.execute(insert(tables.installation), [{"name": _NAME, "value": digest}])
    elif found != digest:
        raise ConfigError(
            "The vault key is not the one that this database was sealed with.",
            remedy="Give this process the key of the others: HANDRAIL_VAULT_KEY, or the file vault.key in the "
            "data folder.",
            code="vault.key",
        )
