"""who has a conversation and since when, since when its customer waits, and when it was last written in.

What is known of conversations in the queue comes from their latest handoff.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ADDED = ("owner_id", "owner_since", "waiting_since", "priority", "due_at", "active_at")
_LATEST = (
    "(SELECT h.{0} FROM handoff h WHERE h.workspace_id = conversation.workspace_id "
    "AND h.conversation_id = conversation.id ORDER BY h.created_at DESC LIMIT 1)"
)
_LAST_MESSAGE = (
    "(SELECT max(m.created_at) FROM message m WHERE m.workspace_id = conversation.workspace_id "
    "AND m.conversation_id = conversation.id)"
)
_HANDED_OVER = _LATEST.format("created_at")


def upgrade() -> None:
    """Apply the change."""
    for name in _ADDED:
        op.add_column("conversation", sa.Column(name, sa.String(), nullable=True))
    op.add_column("conversation", sa.Column("returned_after", sa.Integer(), nullable=True))
    op.execute(
        f"UPDATE conversation SET owner_since = created_at, active_at = coalesce({_LAST_MESSAGE}, created_at)"
    )
    op.execute(
        f"UPDATE conversation SET owner_since = coalesce({_HANDED_OVER}, owner_since), "
        f"waiting_since = coalesce({_HANDED_OVER}, active_at), "
        f"priority = {_LATEST.format('priority')}, due_at = {_LATEST.format('due_at')} WHERE owner = 'queue'"
    )
    with op.batch_alter_table("conversation") as table:
        table.alter_column("owner_since", existing_type=sa.String(), nullable=False)
        table.alter_column("active_at", existing_type=sa.String(), nullable=False)
    op.create_index("conversation_by_owner", "conversation", ["workspace_id", "owner", "active_at", "id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("conversation_by_owner", "conversation")
    with op.batch_alter_table("conversation") as table:
        for name in (*_ADDED, "returned_after"):
            table.drop_column(name)
