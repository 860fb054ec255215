"""signed heads, how far each stream is signed, and an index by which decisions are read in the order of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "signed_heads",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("heads_count", sa.Integer(), nullable=False),
        sa.Column("heads_digest", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "number"),
    )
    op.add_column("chain_head", sa.Column("signed_count", sa.Integer(), nullable=True))
    op.add_column("chain_head", sa.Column("signed_hash", sa.String(), nullable=True))
    op.create_index("decision_by_time", "decision", ["workspace_id", "at", "stream", "seq"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("decision_by_time", "decision")
    with op.batch_alter_table("chain_head") as table:
        table.drop_column("signed_hash")
        table.drop_column("signed_count")
    op.drop_table("signed_heads")
