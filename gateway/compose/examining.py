"""Open what `forebay doctor` looks at: stores and backends, to be asked and not to be changed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec

from gateway.compose.ledger import open_usage
from gateway.compose.lines import speaker
from gateway.compose.reading import Config
from gateway.config.files import environment
from gateway.config.resolve import BackendSettings
from gateway.errors import GatewayError, Refused, StoreDown
from gateway.exchange import Call, Caller, Credential, Envelope, Request
from gateway.protocols import Backend
from gateway.stores.clickhouse import faults
from gateway.stores.clickhouse.schema import migrations
from gateway.stores.keys_schema import KeysFacts, look_at_keys
from gateway.stores.redis_facts import NotLetIn, RedisFacts, look_at_redis
from gateway.upstream.access import Access, open_access

__all__ = [
    "KeysFacts",
    "LedgerFacts",
    "NotLetIn",
    "RedisFacts",
    "look_at_keys",
    "look_at_ledger",
    "look_at_redis",
]

_POLL_S: Final = 0.05
_BODY_ALONE: Final = ("content-type", "content-length", "accept-encoding")


class LedgerFacts(msgspec.Struct, frozen=True):
    """What ClickHouse tells. `schema` is the newest migration that ran; None: there is no database yet."""

    version: str
    round_trip_s: float
    ahead_s: float
    """Of our clock."""
    schema: int | None
    newest: int


def look_at_ledger(config: Config, state_dir: Path) -> LedgerFacts:
    """Ask the database of the ledger. Raises StoreDown. Blocking."""
    store = open_usage(config, state_dir)
    newest = max((number for number, _, _ in migrations()), default=0)
    try:
        store.query("SELECT 1 AS one", {})  # connects
        began_s, began_unix_s = time.monotonic(), time.time()
        sql = "SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS at_ms"
        version, at_ms = store.query(sql, {}).rows[0]
        trip_s = time.monotonic() - began_s
        ahead_s = int(at_ms) / 1000 - (began_unix_s + trip_s / 2)
        ran = store.query("SELECT max(version) AS version FROM migrations", {}).rows[0][0]
        return LedgerFacts(str(version), trip_s, ahead_s, int(ran), newest)
    except GatewayError as error:
        if faults.code_in(error.detail) in {faults.UNKNOWN_DATABASE, faults.UNKNOWN_TABLE}:
            return LedgerFacts("", 0.0, 0.0, None, newest)
        raise StoreDown(error.message) from None
    finally:
        store.close()


def keys_url(config: Config, state_dir: Path) -> str:
    """Say where keys are, as an SQLAlchemy URL."""
    return config.resolved.server.database_url or f"sqlite:///{state_dir / 'forebay.db'}"


class Approach:
    """How a backend is asked: with its credentials, as its calls would be."""

    def __init__(self, spec: BackendSettings, folder: Path) -> None:
        """Raises ConfigErrors where its script cannot be read."""
        self.spec = spec
        self.backend: Backend = speaker(spec, folder)
        self._access: Access = open_access(spec, environment())

    async def credentials(self, within_s: float) -> tuple[Credential, ...]:
        """Return all that it has to show; a token is fetched. Raises Refused where there is none."""
        if self.spec.auth is None:
            return self.spec.credentials
        following = asyncio.ensure_future(self._follow())
        try:
            return (await self._fetched(within_s),)
        finally:
            following.cancel()
            await asyncio.wait([following])

    def question(self, url: str, credential: Credential) -> Request:
        """Ask for what is at a URL, showing a credential the way that calls show it. Raises Refused."""
        empty = Credential(credential.name, "")
        shown = credential if credential.secret else empty
        headers = dict(self.backend.prepare(self._call(), "model", shown).headers)
        for name in _BODY_ALONE:
            headers.pop(name, None)
        return self._access.sign(Request(url, headers, b"", "GET"))

    def _call(self) -> Call:
        """Make up a call, of which only the headers are used."""
        format_ = self.spec.formats[0] if self.spec.formats else self.backend.speaks("model")[0]
        members = {"model": msgspec.Raw(b'"model"')}
        return Call(format_, Caller("doctor", ""), Envelope("model"), members, {})

    async def _follow(self) -> None:
        if self._access.follow is not None:
            await self._access.follow()

    async def _fetched(self, within_s: float) -> Credential:
        """Wait for a token or for keys to sign with, or for the reason that there are none."""
        give_up_s, at_first = time.monotonic() + within_s, ""
        while True:
            try:
                credential = self._access.credentials.next()
                self._access.sign(Request(self.spec.base_url, {}, b"", "GET"))
            except Refused as error:
                at_first = at_first or error.detail
                if error.detail != at_first or time.monotonic() > give_up_s:
                    raise
            else:
                return credential
            await asyncio.sleep(_POLL_S)
