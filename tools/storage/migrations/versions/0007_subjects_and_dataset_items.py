"""whose a conversation is, by digest, and examples for training and evals that consent can take back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UNSEALED = sa.text("subject is null")


def upgrade() -> None:
    """Apply the change.

    What stands in ``customer`` is left as it is: sealing it takes the vault's key, which a migration has not. It
    stays readable, and house-keeping seals it.
    """
    op.add_column("conversation", sa.Column("subject", sa.String()))
    op.create_index("conversation_by_subject", "conversation", ["workspace_id", "subject"])
    op.create_index(
        "conversation_unsealed",
        "conversation",
        ["workspace_id", "id"],
        sqlite_where=_UNSEALED,
        postgresql_where=_UNSEALED,
    )
    op.create_table(
        "dataset_item",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("dataset_item_by_conversation", "dataset_item", ["workspace_id", "conversation_id"])
    op.create_index("review_by_run", "review", ["workspace_id", "run_id"])
    op.create_index("handoff_by_conversation", "handoff", ["workspace_id", "conversation_id"])


def downgrade() -> None:
    """Take it back; what is sealed by then can't be read by an earlier version."""
    op.drop_index("handoff_by_conversation", "handoff")
    op.drop_index("review_by_run", "review")
    op.drop_index("dataset_item_by_conversation", "dataset_item")
    op.drop_table("dataset_item")
    op.drop_index("conversation_unsealed", "conversation")
    op.drop_index("conversation_by_subject", "conversation")
    with op.batch_alter_table("conversation") as table:
        table.drop_column("subject")
