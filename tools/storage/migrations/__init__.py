"""The history of our tables, run by Alembic without an ini file."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from policies.errors import ConfigError

_HERE = Path(__file__).parent
# Any number that nobody else uses: two processes that upgrade at once take turns.
_LOCK = text("select pg_advisory_xact_lock(4772245)")


def upgrade(engine: Engine) -> str:
    """Bring the tables behind ``engine`` to the newest revision; returns it."""
    config = _config()
    with engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(_LOCK)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(MigrationContext.configure(connection).get_current_revision())


def require_current(connection: Connection) -> None:
    """Make sure that the tables are at this version's revision; raises ``ConfigError`` when they are not."""
    found = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if found == newest:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError(
            f"The database is at revision {found}, which this version does not know.",
            remedy="Run the version of Handrail that made it, or a newer one.",
            code="database.newer",
        )
    raise ConfigError(
        f"The database is at revision {found or 'none'}; this version needs {newest}.",
        remedy="Run `handrail db upgrade`, then start again.",
        code="database.old",
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    return config
