"""A key's team; those that were there before are of none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # With a default: a worker that still runs the version before adds keys without it.
    op.add_column("keys", sa.Column("team", sa.String(128), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("keys", "team")
