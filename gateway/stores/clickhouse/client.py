"""The ledger in ClickHouse, over HTTP: a server, a cluster, or the engine that comes embedded.

Nothing of clickhouse-connect is imported before the first question. One client serves all threads: it has no
session, and takes a connection of its pool for each request. Where it cannot be reached, it is asked anew
where it is. Parameters are always ClickHouse's own, never part of the text.

Sources: clickhouse.com/docs, "HTTP interface", "Deduplicating inserts on retries"; clickhouse-connect 1.12.0.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from gateway.errors import BadQuery, BadRows, GatewayFault, StoreDown
from gateway.protocols import Found
from gateway.stores.clickhouse import clusters, columns, faults, schema
from gateway.stores.clickhouse.place import Place

if TYPE_CHECKING:
    from clickhouse_connect.driver.httpclient import HttpClient

__all__ = ["ClickHouse", "Place"]

CONNECT_S = 5
ANSWER_S = 120
QUERY_S = 60
EXPORT_S = 1800
MAX_RESULT_ROWS = 1_000_000
PIECE_BYTES = 256 * 1024

_PLACEHOLDER = re.compile(r"\{\s*([A-Za-z_]\w*)\s*:")
_FORMAT = re.compile(r"[A-Za-z]\w*")
_INSERTING = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "distributed_foreground_insert": 1,
    "max_partitions_per_insert_block": 0,
}
_ASKING = {"readonly": 2, "max_execution_time": QUERY_S}
_EXPORTING = {
    "readonly": 2,
    "max_execution_time": EXPORT_S,
    # Else Parquet is written in groups of a million rows, in several threads, all in memory.
    "output_format_parquet_row_group_size": 100_000,
    "output_format_parquet_parallel_encoding": 0,
}
_EMPTY = "JSONCompactEachRowWithNames"


class ClickHouse:
    """A UsageStore. `where` is asked for the place before each connection; it may raise StoreDown."""

    def __init__(self, where: Callable[[], Place]) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._client: HttpClient | None = None
        self._place = Place("")

    def migrate(self) -> None:
        """Create or upgrade the tables; raises ConfigError where they are of a newer Forebay."""
        with self._asking(faults.of_query) as client:
            schema.migrate(_Session(client), self._place)

    def apply_ttl(self, days: Mapping[str, int | None]) -> Sequence[str]:
        """Let tables forget rows after so many days (None: never); returns the tables that were altered."""
        with self._asking(faults.of_query) as client:
            return schema.apply_ttl(_Session(client), self._place, days)

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], token: str) -> None:
        """Insert rows durably; of several inserts with the same token only one counts.

        `time` is in Unix ms, money in whole femto-USD. Raises BadRows where rows are refused for good.
        """
        if not rows:
            return
        types = schema.columns(table)
        if not types:
            raise BadRows(f"there is no table {table!r}")
        data = columns.block(names, types, rows)
        settings = {**_INSERTING, "insert_deduplication_token": token}
        with self._asking(faults.of_insert) as client:
            compression = client.write_compression if not _is_here(self._place) else None
            packed = _lz4(data) if compression else data
            client.raw_insert(table, names, packed, settings, "Native", "lz4" if compression else None)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Found:
        """Ask. Money comes as Decimal, times as aware datetimes in UTC, Nullable as None."""
        given = _bound(sql, parameters)
        settings = {**_ASKING, "max_result_rows": MAX_RESULT_ROWS}
        with self._asking(faults.of_query) as client:
            result = client.query(sql, given, settings=settings)
            if result.column_names:
                return Found(tuple(result.column_names), result.result_rows)
            # An empty result in Native has no names at all.
            raw = client.raw_query(sql, given, settings=settings, fmt=_EMPTY)
        return Found(schema.names_in(raw), [])

    def export(self, sql: str, parameters: Mapping[str, Any], format_: str) -> Iterator[bytes]:
        """Ask, and get the answer as ClickHouse writes it in a format of its own, piece by piece."""
        if not _FORMAT.fullmatch(format_):
            raise BadQuery("a format's name is a word")
        given = _bound(sql, parameters)
        # Waiting for the end, a server keeps the answer until it is sure of it: no error in its middle.
        settings = {**_EXPORTING, "wait_end_of_query": 1}
        with self._asking(faults.of_query) as client:
            answer: Any = client.raw_stream(sql, given, settings=settings, fmt=format_)
        return self._pieces(answer)

    def remove(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        """Remove the rows that a condition holds for; they are gone when it returns."""
        with self._asking(faults.of_query) as client:
            cluster = self._place.cluster
            name = f"{clusters.local(table) if cluster else table}{clusters.on(cluster)}"
            settings = {"mutations_sync": 2}
            client.command(f"ALTER TABLE {name} DELETE WHERE {where}", dict(parameters), settings=settings)

    def close(self) -> None:
        """Release connections."""
        self._drop(self._client)

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        try:
            yield from answer.stream(PIECE_BYTES)
        except (HTTPError, OSError) as error:
            raise StoreDown("ClickHouse broke off", detail=str(error)[:200]) from None
        finally:
            answer.close()

    @contextmanager
    def _asking(self, meaning: Callable[[int | None, str], GatewayFault]) -> Iterator[HttpClient]:
        """Give the client, and raise what its errors mean."""
        client = self._connected()
        from clickhouse_connect.driver.exceptions import Error, ProgrammingError
        from urllib3.exceptions import HTTPError

        try:
            yield client
        except ProgrammingError as error:
            raise BadQuery("ClickHouse was asked in a wrong way", detail=_told(error)) from None
        except Error as error:
            code = error.code or faults.code_in(str(error))
            if code is None or code == _NOT_LET_IN:
                self._drop(client)
            raise meaning(code, _told(error)) from None
        except (HTTPError, OSError) as error:
            self._drop(client)
            raise StoreDown("ClickHouse is not reachable", detail=str(error)[:200]) from None

    def _connected(self) -> HttpClient:
        with self._lock:
            if self._client is None:
                place = self._where()
                self._client, self._place = _connect(place), place
            return self._client

    def _drop(self, client: HttpClient | None) -> None:
        with self._lock:
            if client is None or client is not self._client:
                return
            self._client = None
        with suppress(Exception):
            client.close_connections()


class _Session:
    """What `schema` asks through: statements, one by one."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def run(self, sql: str, *, outside: bool = False, **parameters: str) -> None:
        """Run a statement; `outside` of any database."""
        self._client.command(sql, parameters or None, settings={}, use_database=not outside)

    def ask(self, sql: str, **parameters: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a question that knows its database by itself."""
        return self._client.query(sql, parameters or None).result_rows


_NOT_LET_IN = 516


def _connect(place: Place) -> HttpClient:
    """Open a client. Raises StoreDown."""
    import clickhouse_connect
    from clickhouse_connect.driver import httputil
    from clickhouse_connect.driver.exceptions import Error
    from urllib3.exceptions import HTTPError

    for talkative in ("clickhouse_connect", "urllib3.connectionpool"):
        # They would log each failure with its URL, and so with the values of parameters; we raise instead.
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    url = urlsplit(place.url)
    # A pool of its own: no proxy of the environment, and no other client's connections.
    pool = httputil.get_pool_manager(maxsize=16)
    try:
        client = clickhouse_connect.get_client(
            interface=url.scheme or "http",
            host=url.hostname or "127.0.0.1",
            port=url.port or (8443 if url.scheme == "https" else 8123),
            username=place.user,
            password=place.password,
            compress=not _is_here(place),
            connect_timeout=CONNECT_S,
            send_receive_timeout=ANSWER_S,
            query_retries=0,
            tz_mode="aware",
            show_clickhouse_errors="scrub",
            autogenerate_session_id=False,
            proxy_path=url.path.strip("/"),
            pool_mgr=pool,
        )
    except Error as error:
        pool.clear()
        raise StoreDown(_why_closed(error.code), detail=_told(error)) from None
    except (HTTPError, OSError) as error:
        pool.clear()
        raise StoreDown("ClickHouse is not reachable", detail=str(error)[:200]) from None
    # Not before: its own first questions shall not need the database to be there.
    client.database = place.database
    return cast("HttpClient", client)


def _why_closed(code: int | None) -> str:
    if code is None:
        return "ClickHouse is not reachable"
    why = "wrong user or password" if code == _NOT_LET_IN else f"code {code}"
    return f"ClickHouse does not let us in: {why}"


def _told(error: Exception) -> str:
    return str(error)[:500]


def _is_here(place: Place) -> bool:
    """Whether it is on this machine, where compressing costs more than it saves."""
    return urlsplit(place.url).hostname in {"127.0.0.1", "localhost", "::1"}


def _lz4(data: bytes) -> bytes:
    import lz4.frame

    packed: bytes = lz4.frame.compress(data)
    return packed


def _bound(sql: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep the parameters that the text has a place for: without any, the library would paste them."""
    places = set(_PLACEHOLDER.findall(sql))
    if missing := places - parameters.keys():
        raise BadQuery(f"no value for {', '.join(sorted(missing))}")
    return {name: value for name, value in parameters.items() if name in places} or None
