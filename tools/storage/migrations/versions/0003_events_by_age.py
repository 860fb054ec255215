"""an index by which old events are found, and messages that say which sentence cites what.

Until now only the event of a finished message said so, and events are not kept for good.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_event = sa.table("event", sa.column("workspace_id"), sa.column("type"), sa.column("data", sa.JSON()))
_message = sa.table(
    "message", sa.column("workspace_id"), sa.column("id"), sa.column("citations", sa.JSON(none_as_null=True))
)


def upgrade() -> None:
    """Apply the change."""
    op.create_index("event_by_age", "event", ["at"])
    connection = op.get_bind()
    told = sa.select(_event.c.workspace_id, _event.c.data).where(_event.c.type == "message.completed")
    cited = [
        {"ws": workspace_id, "message": data["message_id"], "cited": data["citations"]}
        for workspace_id, data in connection.execute(told)
        if data["citations"]
    ]
    if cited:
        here = (_message.c.workspace_id == sa.bindparam("ws"), _message.c.id == sa.bindparam("message"))
        numbered = sa.bindparam("cited", type_=sa.JSON())
        connection.execute(_message.update().where(*here).values(citations=numbered), cited)


def downgrade() -> None:
    """Take it back; citations keep their numbers, which nothing minds."""
    op.drop_index("event_by_age", "event")
