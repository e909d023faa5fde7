"""All keys that this process knows, from their digest to the Caller they stand for.

It must not know SQL, HTTP or configuration files. `find` is on the way of every call: one dictionary
look-up by the first 8 bytes of the digest, then one comparison of all 32 in constant time. The store is
asked in the background only, so a store that is down stops no key that was known before.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec.structs import replace

from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.identity.keys import digest_of, is_well_formed
from gateway.protocols import KeyRecord, KeyStore

_log = logging.getLogger(__name__)
_HEAD_BYTES: Final = 8
_NEWS_S: Final = 0.2
"""Between two refreshes because of a key that is not known: anyone can make one up."""
_STALE_S: Final = 10.0
"""Without an answer for so long, a poll hangs or nobody polls: revocations do not arrive."""


class _Entry(NamedTuple):
    """One key in the index; `caller` is None for one that is revoked or of no known tenant."""

    key_id: str
    digest: bytes
    caller: Caller | None
    ends_unix_s: float


class _Reading(NamedTuple):
    """What is known of the store. It never changes: each reading makes the next one, which takes its place.

    So whoever takes one has keys and the revision that they were read at, even while another is under way.
    """

    revision: int
    records: Mapping[str, KeyRecord]
    answered_s: float


_UNREAD: Final = _Reading(0, MappingProxyType({}), float("-inf"))


class KeyDirectory:
    """The static keys of the configuration and those of the store (None: there is no store).

    `tenants` has for each tenant's name the Caller that its keys stand for, as yet without a key; a key of
    any other tenant is refused. All methods but `follow` are synchronous; `refresh` may run in a thread
    while others read.
    """

    def __init__(
        self, static: Iterable[KeyRecord], tenants: Mapping[str, Caller], store: KeyStore | None
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._index: dict[bytes, tuple[_Entry, ...]] = {}
        self._reading = _UNREAD
        self._down_since_unix_s: float | None = None
        self._one_refresh = threading.Lock()
        self._one_search = asyncio.Lock()
        self._refreshed_s = float("-inf")
        self._static = tuple(static)
        for record in self._static:
            self._put(record)

    def identify(self, secret: str, now_unix_s: float) -> Caller | None:
        """Say who shows this secret; None for one that is unknown, expired or revoked.

        Raises StoreDown where the secret may be a key that only the silent store knows.
        """
        digest = digest_of(secret)
        caller = self.find(digest, now_unix_s)
        if caller is None and not self._up_to_date() and self._may_be_news(secret, digest):
            raise StoreDown("the key store does not answer, and this key is not known without it")
        return caller

    async def search(self, secret: str, now_unix_s: float) -> Caller | None:
        """Identify, and look into the store at once for a key that may have been made just now.

        Waits for at most 0.2 s plus the store's answer; all who search share one refresh.
        Raises StoreDown as `identify` does.
        """
        if self._may_be_news(secret, digest_of(secret)):
            await self._hear_news()
        return self.identify(secret, now_unix_s)

    async def digests_of(self, key_id: str) -> list[bytes]:
        """Return the digests of the keys with this id, which was vouched for: the store is asked for it.

        Raises StoreDown where only the silent store may know one.
        """
        if not self._digests(key_id):
            await self._hear_news()
        digests = self._digests(key_id)
        if not digests and not self._up_to_date():
            raise StoreDown("the key store does not answer, and this key is not known without it")
        return digests

    def find(self, digest: bytes, now_unix_s: float) -> Caller | None:
        """Look the SHA-256 digest of a secret up; None when no live key has it."""
        found = None
        for _, known, caller, ends_unix_s in self._index.get(digest[:_HEAD_BYTES], ()):
            if hmac.compare_digest(known, digest):
                # The same secret may be there twice: a revocation of either counts.
                if caller is None or now_unix_s >= ends_unix_s:
                    return None
                found = caller
        return found

    def refresh(self) -> None:
        """Fetch what changed in the store. Blocks; raises StoreDown and keeps the known keys."""
        if self._store is None:
            return
        with self._one_refresh:
            self._refreshed_s = time.monotonic()
            revision, known, _ = self._reading
            newest, changed = self._store.changed_since(revision)
            if newest < revision:
                # The store went back in time: restored from a backup, or replaced.
                newest, changed = self._store.changed_since(0)
                known = self._forget_all_but({record.id for record in changed}, known)
            for record in changed:
                self._put(record)
            if changed:
                known = {**known, **{record.id: record for record in changed}}
            self._reading = _Reading(newest, known, time.monotonic())

    async def follow(self, interval_s: float = 1.0) -> None:
        """Refresh every `interval_s` until cancelled; a store that is down is logged and outlived."""
        while True:
            await self.refresh_in_thread()
            await asyncio.sleep(interval_s)

    async def refresh_in_thread(self) -> None:
        """Refresh once, off the event loop; StoreDown changes `state` and is not raised."""
        try:
            await asyncio.to_thread(self.refresh)
        except StoreDown as error:
            if self._down_since_unix_s is None:
                self._down_since_unix_s = time.time()
                _log.warning("%s; the %d keys known so far stay in use", error, len(self._reading.records))
        else:
            if self._down_since_unix_s is not None:
                _log.warning("the key store answers again")
                self._down_since_unix_s = None

    def revised(self, static: Iterable[KeyRecord], tenants: Mapping[str, Caller]) -> KeyDirectory:
        """Make the directory of a new configuration that starts with what is known of the store."""
        revised = KeyDirectory(static, tenants, self._store)
        revised._reading = self._reading
        for record in revised._reading.records.values():
            revised._put(record)
        revised._down_since_unix_s = self._down_since_unix_s
        return revised

    def state(self) -> tuple[bool, str]:
        """Say whether the keys are up to date, and the same in words for people."""
        count = f"{len(self._static)} keys in policies/tenants.yaml"
        if self._store is None:
            return True, f"{count}, no key store"
        reading = self._reading
        count = f"{count}, {len(reading.records)} in the store"
        if self._down_since_unix_s is not None:
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._down_since_unix_s))
            return False, f"{count} as last known; the store has not answered since {since}"
        if reading is _UNREAD:
            return False, f"{count}, which was not read yet"
        age_s = time.monotonic() - reading.answered_s
        return (True, count) if age_s < _STALE_S else (False, f"{count}, read {age_s:.0f} s ago")

    async def _hear_news(self) -> None:
        """Refresh now, unless the store is known to be down; all who want news at once share them."""
        if self._store is None or self._down_since_unix_s is not None:
            return
        asked_s = time.monotonic()
        async with self._one_search:
            if self._refreshed_s < asked_s:
                await asyncio.sleep(max(0.0, self._refreshed_s + _NEWS_S - asked_s))
                await self.refresh_in_thread()

    def _digests(self, key_id: str) -> list[bytes]:
        digests = [record.digest for record in self._static if record.id == key_id]
        if (stored := self._reading.records.get(key_id)) is not None:
            digests.append(stored.digest)
        return digests

    def _up_to_date(self) -> bool:
        is_read = self._store is None or self._reading is not _UNREAD
        return is_read and self._down_since_unix_s is None

    def _may_be_news(self, secret: str, digest: bytes) -> bool:
        """Say whether the store may hold a key with this secret that is not in the index."""
        known = self._index.get(digest[:_HEAD_BYTES], ())
        return is_well_formed(secret) and all(entry.digest != digest for entry in known)

    def _put(self, record: KeyRecord) -> None:
        """Put a key's newest state into the index; readers see the old one or the new one."""
        tenant = self._tenants.get(record.tenant)
        caller = None
        if tenant is not None and not record.revoked:
            layers = (*tenant.routes, record.routes)
            caller = replace(tenant, key=record.id, routes=layers, team=record.team, admin=record.admin)
        ends_unix_s = float("inf") if record.expires_unix_s is None else record.expires_unix_s
        entry = _Entry(record.id, record.digest, caller, ends_unix_s)
        head = record.digest[:_HEAD_BYTES]
        others = (old for old in self._index.get(head, ()) if old.key_id != record.id)
        self._index[head] = (*others, entry)

    def _forget_all_but(self, key_ids: set[str], known: Mapping[str, KeyRecord]) -> Mapping[str, KeyRecord]:
        for key_id in known.keys() - key_ids:
            head = known[key_id].digest[:_HEAD_BYTES]
            self._index[head] = tuple(old for old in self._index[head] if old.key_id != key_id)
        return {key_id: record for key_id, record in known.items() if key_id in key_ids}
