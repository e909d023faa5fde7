"""What the gateway remembers: the shapes that stores of keys share.

It must not know any database: each implementation is a module beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.protocols import KeyRecord


class StoredKey(msgspec.Struct, frozen=True, gc=False):
    """A key at rest: a `KeyRecord` with its name and its birthday. Times are Unix seconds.

    `digest` is the SHA-256 of the plain key (32 bytes), which is kept nowhere.
    """

    id: str
    tenant: str
    digest: bytes
    routes: tuple[str, ...]
    name: str
    created_unix_s: int
    expires_unix_s: int | None = None
    revoked: bool = False
    team: str = ""
    admin: bool = False

    @classmethod
    def of(cls, record: KeyRecord, now_unix_s: float) -> StoredKey:
        """Copy a record; one that has neither name nor birthday is nameless and born now."""
        if isinstance(record, cls):
            return record
        return cls(
            record.id,
            record.tenant,
            record.digest,
            record.routes,
            name="",
            created_unix_s=int(now_unix_s),
            expires_unix_s=record.expires_unix_s,
            revoked=record.revoked,
            team=record.team,
            admin=record.admin,
        )


class KeyLedger(Protocol):
    """A `KeyStore` as the one who hands out keys needs it: with names, and with an end to set.

    Every method raises StoreDown when the store does not answer.
    """

    def add(self, record: KeyRecord) -> None:
        """Store a new key; raises ValueError when its id or its digest is taken."""

    def expire(self, key_id: str, at_unix_s: int) -> bool:
        """Let a key end at `at_unix_s`, or earlier where it already would; False: no such id."""

    def revoke(self, key_id: str) -> bool:
        """Revoke a key at once and for good; False: no such id."""

    def list(self, tenant: str | None = None) -> Sequence[StoredKey]:
        """All keys, of one tenant or of all, oldest first; revoked ones included."""
