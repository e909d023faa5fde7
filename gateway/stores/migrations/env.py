"""Alembic's entry: run the migrations on the connection that `migrate` put into the configuration.

It must not open a connection, and must not commit: the caller's transaction holds the lock.
"""

from __future__ import annotations

from alembic import context

from gateway.stores.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
