"""Which keys see the usage of all tenants; none of those that were there before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # With a default: a worker that still runs the version before adds keys without it.
    op.add_column("keys", sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("keys", "admin")
