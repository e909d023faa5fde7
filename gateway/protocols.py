"""The seams of the gateway: Protocols only, no code.

A protocol exists where a second implementation exists; each has a contract test that runs over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gateway.errors import UpstreamError
from gateway.exchange import (
    Call,
    Caller,
    Credential,
    Format,
    Headers,
    KeptAnswer,
    Priority,
    Request,
    Timeouts,
)
from gateway.quotas.counting import Ask, Verdict


class Found(NamedTuple):
    """What a query found: the names of its columns, and rows of Python values."""

    names: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


class Backend(Protocol):
    """How a provider is spoken to. Pure: no method waits, reads a clock or does I/O."""

    name: str

    def speaks(self, model: str, /) -> tuple[Format, ...]:
        """Return the wire formats it takes calls of `model` in, the preferred first."""

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Build the upstream request for `call`, which is in a format it speaks, asking for its `model`."""

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an answer with an error status means for the client and for the next try."""


class Answer(Protocol):
    """An open upstream answer. Its body comes decompressed. Always `close` it."""

    status: int
    headers: Headers
    connect_s: float
    """How long its connection took; 0: one was there, or nobody knows."""

    async def read(self, limit_bytes: int, first: bytes = b"") -> bytes:
        """Read the whole body, of which `first` was read already.

        Raises Failed when it is larger than `limit_bytes`, Broken when it is cut, TimedOut.
        """

    async def next_piece(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises Broken when cut, TimedOut."""

    def begun(self, enough_s: Callable[[], float]) -> None:
        """The first token has come. `enough_s` is asked when the upstream pauses: how long is long enough.

        Then the next piece is b"", as if the upstream had ended its body. Infinite: it has more to say.
        """

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else drop it. Idempotent."""


class Sending(Protocol):
    """Hears how far a request has come: what an upstream has got, it may work on, and charge."""

    def sent(self) -> None:
        """It was handed over, whole."""

    def unsent(self) -> None:
        """It was handed over in vain: the upstream had closed that connection before."""


class Transport(Protocol):
    """Sends a prepared request. Raises ConnectFailed or TimedOut; error statuses are answers."""

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> Answer:
        """Send, and return once the answer's headers are there."""

    async def close(self) -> None:
        """Close all connections."""


class Credentials(Protocol):
    """What a backend shows its provider. Never waits."""

    def next(self) -> Credential:
        """Return the one to use now; raises UpstreamError while there is none."""

    def eject(self, credential: Credential) -> bool:
        """Leave one out for a while: the provider refused it. True: there is another one to try."""


class Gate(Protocol):
    """Bounds how many calls a backend gets at once; the others wait, the urgent ones first."""

    async def enter(self, caller: Caller, priority: Priority, patience_s: float) -> Callable[[], None]:
        """Wait for a place, return what gives it back (idempotent). Raises Busy."""

    @property
    def places(self) -> int:
        """How many there are."""

    @property
    def inside(self) -> int:
        """How many calls hold one."""

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""


class CacheStore(Protocol):
    """Answers that were given, to be given again."""

    def get(self, key: bytes, max_age_s: float, now_s: float) -> KeptAnswer | None:
        """Return the answer to a request, unless it is too old."""

    def put(self, key: bytes, answer: KeptAnswer) -> None:
        """Keep the answer to a request."""


class QuotaStore(Protocol):
    """Counters of what is taken of limits. Every method raises StoreDown when the store does not answer."""

    def now_ms(self) -> int:
        """Return the Unix time that all workers agree on, the store's own: never waits."""

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        """Give back, then take all that is needed or nothing; at one moment for all counters."""

    async def claim(self, name: str, ttl_ms: int) -> bool:
        """Return True to the first who asks in that time: for what is to be done once by all workers."""

    async def revise(self, key: str, limit: int | None, ttl_ms: int) -> None:
        """Set a counter's limit in place of its meter's, for so long; None: no longer."""

    async def reset(self, key: str) -> None:
        """Forget what was taken."""

    async def close(self) -> None:
        """Let go of connections."""


class UsageStore(Protocol):
    """The ledger as a database. Synchronous: callers on an event loop use a thread.

    Every method raises StoreDown when the store does not answer.
    """

    def migrate(self) -> None:
        """Create or upgrade the tables; raises ConfigError where they are of a newer Forebay."""

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], token: str) -> None:
        """Insert rows durably; of several inserts with the same token only one counts.

        Raises BadRows where the store refuses these very rows: they will never be taken.
        """

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Found:
        """Ask; `{name:Type}` in the text stands for a parameter. Raises BadQuery where it cannot be asked."""

    def export(self, sql: str, parameters: Mapping[str, Any], format_: str) -> Iterator[bytes]:
        """Ask, and get the answer as ClickHouse writes it in a format of its own, piece by piece."""

    def close(self) -> None:
        """Release connections."""


class KeyRecord(Protocol):
    """A stored key, as far as authentication needs it; never its plain text."""

    @property
    def id(self) -> str:
        """Public name of the key."""

    @property
    def tenant(self) -> str:
        """Who pays for its calls."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the plain key."""

    @property
    def routes(self) -> tuple[str, ...]:
        """Globs over the models it may use."""

    @property
    def team(self) -> str:
        """Whose calls of its tenant it is for; empty: no team's."""

    @property
    def admin(self) -> bool:
        """Shows the usage of all tenants, not of its own alone."""

    @property
    def expires_unix_s(self) -> int | None:
        """When it ends; None: never."""

    @property
    def revoked(self) -> bool:
        """Ended for good."""


class KeyStore(Protocol):
    """Keys made at run time. Synchronous: callers on an event loop use a thread.

    Every method raises StoreDown when the store does not answer.
    """

    def add(self, record: KeyRecord) -> None:
        """Store a new key; raises ValueError when its id is taken."""

    def revoke(self, key_id: str) -> bool:
        """Revoke a key at once and for good; False when there is none of that id."""

    def list(self, tenant: str | None = None) -> Sequence[KeyRecord]:
        """All keys, of one tenant or of all, oldest first; revoked ones included."""

    def changed_since(self, revision: int) -> tuple[int, Sequence[KeyRecord]]:
        """The newest revision, and the keys changed after `revision` (0: all of them)."""

    def close(self) -> None:
        """Release connections."""
