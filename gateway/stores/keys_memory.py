"""Keys in this process's memory: for tests, and for running without a database.

They are lost when the process ends, and no other worker sees them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from gateway.protocols import KeyRecord
from gateway.stores import StoredKey


class MemoryKeyStore:
    """A `KeyStore` and `KeyLedger` over one dictionary; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revision = 0
        self._keys: dict[str, tuple[int, StoredKey]] = {}

    def add(self, record: KeyRecord) -> None:
        """Store a new key; raises ValueError when its id or its digest is taken."""
        key = StoredKey.of(record, time.time())
        with self._lock:
            taken = (old.id == key.id or old.digest == key.digest for _, old in self._keys.values())
            if any(taken):
                raise ValueError(f"a key with the id {key.id!r} or its digest is already there")
            self._put(key)

    def expire(self, key_id: str, at_unix_s: int) -> bool:
        """Let a key end at `at_unix_s`, or earlier where it already would; False: no such id."""

        def ended(key: StoredKey) -> StoredKey:
            known = at_unix_s if key.expires_unix_s is None else key.expires_unix_s
            return msgspec.structs.replace(key, expires_unix_s=min(at_unix_s, known))

        return self._change(key_id, ended)

    def revoke(self, key_id: str) -> bool:
        """Revoke a key at once and for good; False: no such id."""
        return self._change(key_id, lambda key: msgspec.structs.replace(key, revoked=True))

    def list(self, tenant: str | None = None) -> Sequence[StoredKey]:
        """All keys, of one tenant or of all, oldest first; revoked ones included."""
        with self._lock:
            keys = [key for _, key in self._keys.values() if tenant in {None, key.tenant}]
        return sorted(keys, key=lambda key: (key.created_unix_s, key.id))

    def changed_since(self, revision: int) -> tuple[int, Sequence[StoredKey]]:
        """The newest revision, and the keys changed after `revision` (0: all of them)."""
        with self._lock:
            return self._revision, [key for changed, key in self._keys.values() if changed > revision]

    def close(self) -> None:
        """Nothing to release: what is stored stays readable."""

    def _change(self, key_id: str, change: Callable[[StoredKey], StoredKey]) -> bool:
        with self._lock:
            if key_id not in self._keys:
                return False
            self._put(change(self._keys[key_id][1]))
            return True

    def _put(self, key: StoredKey) -> None:
        self._revision += 1
        self._keys[key.id] = (self._revision, key)
