"""what an assistant's files said when they changed, and how urgent a review is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "assistant_version",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", "number"),
    )
    op.create_index("assistant_version_by_hash", "assistant_version", ["workspace_id", "version"])
    with op.batch_alter_table("review") as table:
        table.add_column(sa.Column("priority", sa.String(), nullable=False, server_default="normal"))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("review") as table:
        table.drop_column("priority")
    op.drop_index("assistant_version_by_hash", "assistant_version")
    op.drop_table("assistant_version")
