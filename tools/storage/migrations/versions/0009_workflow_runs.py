"""What runs of workflows were given and came to, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "workflow_run",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("assistant", sa.String(), nullable=False),
        sa.Column("batch_id", sa.String()),
        sa.Column("position", sa.Integer()),
        sa.Column("item_id", sa.String()),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.Column("output", sa.LargeBinary()),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "run_id"),
    )
    op.create_index("workflow_run_by_batch", "workflow_run", ["workspace_id", "batch_id", "position"])
    op.create_index("workflow_run_by_subject", "workflow_run", ["workspace_id", "subject"])


def downgrade() -> None:
    """Take it back."""
    op.drop_table("workflow_run")
