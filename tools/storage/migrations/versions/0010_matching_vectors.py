"""Vectors by which questions are compared with what answers them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; what was encoded before is encoded anew, since the encoder has another id now."""
    op.add_column("chunk", sa.Column("matching_vectors", sa.LargeBinary(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("chunk", "matching_vectors")
