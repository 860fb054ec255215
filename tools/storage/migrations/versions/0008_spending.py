"""what language models cost, and what is set aside for calls under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NAMES_ONE = sa.text("conversation_id is not null")
_COUNTS = (
    "calls",
    "unpriced_calls",
    "input_tokens",
    "output_tokens",
    "money",
    "held_tokens",
    "held_money",
    "saved_calls",
    "saved_tokens",
    "saved_money",
)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "spending",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String()),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "name", "day"),
    )
    op.create_index(
        "spending_by_conversation",
        "spending",
        ["workspace_id", "conversation_id"],
        sqlite_where=_NAMES_ONE,
        postgresql_where=_NAMES_ONE,
    )
    op.create_table(
        "spending_hold",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("intent", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.BigInteger(), nullable=False),
        sa.Column("priced", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("spending_hold_by_age", "spending_hold", ["created_at"])
    op.create_index("spending_hold_by_conversation", "spending_hold", ["workspace_id", "conversation_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("spending_hold_by_conversation", "spending_hold")
    op.drop_index("spending_hold_by_age", "spending_hold")
    op.drop_table("spending_hold")
    op.drop_index("spending_by_conversation", "spending")
    op.drop_table("spending")
