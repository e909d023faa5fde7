"""The child process of the embedded ClickHouse: chDB behind a thin HTTP front on loopback.

The engine is ClickHouse's own; this front speaks as much of its HTTP interface as drivers need: queries
with parameters and settings in the URL, inserts in any format, compressed bodies, error codes, results
that stream. It knows nothing of the ledger, and nothing of the gateway, whose packages it does not load.

Of several processes that are started on one folder, one gets the lock; the others end as `SUPERFLUOUS`. The
one writes `endpoint.json` when it answers, for whoever may read that file.

A trap: replies are written at once, with TCP_NODELAY, else each takes 44 ms.

Sources: clickhouse.com/docs, "HTTP interface"; clickhouse-connect 1.12.0; chdb-core 26.9.0.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import fcntl
import hmac
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from gateway.embedded.clickhouse_asks import Ask, Refused, read_ask, read_form, unpack
from gateway.embedded.clickhouse_chdb import PIECE_BYTES, Database, insert, pieces
from gateway.embedded.clickhouse_tokens import forget_unfinished
from gateway.embedded.keeper import SUPERFLUOUS

HOST = "127.0.0.1"
USER = "forebay"
DATABASE = "forebay"

MAX_BODY_BYTES = 128 * 1024 * 1024
AT_ONCE = 16
"""So many requests are worked on at once; others wait."""
MAX_KEPT_BYTES = 4 * 1024 * 1024
"""A larger result is kept in a file until it is whole."""
IDLE_S = 300.0
LAST_REQUESTS_S = 3.0

_CODE = re.compile(r"Code: (\d+)\.")
_CLIENT_FAULTS = {60: 404, 81: 404, 46: 404, 164: 403, 497: 403, 62: 400, 115: 400, 457: 400}


class Front(ThreadingHTTPServer):
    """The server: one thread for each connection, so many requests at once as the engine likes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, engine: Database, password: str) -> None:
        self.engine = engine
        self.password = password
        self.places = threading.BoundedSemaphore(AT_ONCE)
        self.version = ""
        super().__init__((HOST, 0), _Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong with a connection, in a line; clients may leave whenever they like."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, (OSError, TimeoutError)):
            sys.stderr.write(f"a request failed: {error!r}\n")


class _Exchange(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = IDLE_S
    server_version = "ClickHouse-front"
    _begun = False

    @property
    def _front(self) -> Front:
        return cast("Front", self.server)

    def log_message(self, *_: Any) -> None:
        """Nothing: the log would grow with every query."""

    def do_GET(self) -> None:
        """Answer /ping, or a query in the URL, which may only read."""
        place = urlsplit(self.path)
        if place.path in {"/ping", "/"} and not place.query:
            self._reply(200, b"Ok.\n", {})
            return
        self._answer({"readonly": "2"})

    def do_HEAD(self) -> None:
        """Answer as to GET, without a body."""
        self._reply(200, b"", {})

    def do_POST(self) -> None:
        """Answer a query."""
        self._answer({})

    def _answer(self, settings: Mapping[str, str]) -> None:
        self._begun = False
        try:
            body = self._body()
            query = {**settings, **dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))}
            self._let_in(query)
            if self.headers.get_content_type() == "multipart/form-data":
                query |= read_form(self.headers["Content-Type"], body)
                body = b""
            body = unpack(body, self.headers.get("Content-Encoding", "").strip().lower())
            ask = read_ask(query, body)
            with self._front.places:
                self._work(ask, waits=query.get("wait_end_of_query") == "1")
        except Refused as refused:
            self._fail(str(refused), refused.status)
        except RuntimeError as error:
            self._fail(str(error), None)

    def _work(self, ask: Ask, *, waits: bool) -> None:
        link = self._front.engine.open(ask)
        try:
            if ask.data is not None:
                rows = insert(link, ask)
                summary = json.dumps({"written_rows": str(rows)})
                self._reply(200, b"", {"X-ClickHouse-Summary": summary})
                return
            # Closed before its connection is, also where the client has left.
            with closing(pieces(link, ask)) as result:
                send = self._reply_whole if waits else self._stream
                send(result, ask.format)
        finally:
            link.close()

    def _reply_whole(self, result: Iterator[bytes], format_: str) -> None:
        """Keep the result until it is whole, so that no error comes in its middle; a large one in a file."""
        with tempfile.SpooledTemporaryFile(MAX_KEPT_BYTES) as kept:
            length = sum(kept.write(piece) for piece in result)
            kept.seek(0)
            self._head(200, _describing(format_) | {"Content-Length": str(length)})
            while piece := kept.read(PIECE_BYTES):
                self.wfile.write(piece)
            self.wfile.flush()

    def _stream(self, result: Iterator[bytes], format_: str) -> None:
        """Reply in one piece where there is but one, else in chunks."""
        headers = _describing(format_)
        first = next(result, b"")
        second = next(result, None)
        if second is None:
            self._reply(200, first, headers)
            return
        self._head(200, headers | {"Transfer-Encoding": "chunked"})
        self._chunk(first)
        self._chunk(second)
        del first, second
        for piece in result:
            self._chunk(piece)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n" % len(piece))
            self.wfile.write(piece)
            self.wfile.write(b"\r\n")
            self.wfile.flush()

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            raise Refused(210, "the body is too large, or of no length", "NETWORK_ERROR", 413)
        return self._exactly(length)

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(1024).split(b";")[0], 16)
            except ValueError:
                size = -1
            if not 0 <= size <= MAX_BODY_BYTES - len(body):
                self.close_connection = True
                raise Refused(210, "the body is too large, or in no chunks", "NETWORK_ERROR", 413)
            body += self._exactly(size)
            end = self.rfile.readline(1024)
            if size == 0:
                while end not in {b"\r\n", b"\n", b""}:
                    end = self.rfile.readline(1024)
                return bytes(body)

    def _exactly(self, length: int) -> bytes:
        data = self.rfile.read(length) if length else b""
        if len(data) != length:
            self.close_connection = True
            raise Refused(210, "the body is cut", "NETWORK_ERROR")
        return data

    def _let_in(self, query: Mapping[str, str]) -> None:
        """Let in who knows the password, over a name of this machine: no web page by a name of its own."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0].lower()
        if host not in {HOST, "localhost", "[::1]", ""}:
            raise Refused(516, "this host is not served here", "AUTHENTICATION_FAILED", 421)
        shown = self.headers.get("X-ClickHouse-Key", query.get("password", ""))
        kind, _, basic = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                shown = base64.b64decode(basic, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                shown = ""
        if not hmac.compare_digest(shown.encode(), self._front.password.encode()):
            raise Refused(516, "Authentication failed", "AUTHENTICATION_FAILED", 401)

    def _fail(self, message: str, status: int | None) -> None:
        """Reply with an error; where the answer has begun, break it off."""
        if self._begun:
            sys.stderr.write(f"broken off: {message[:500]}\n")
            self.close_connection = True
            return
        found = _CODE.search(message)
        code = int(found[1]) if found else 1002
        text = f"{message} (version {self._front.version} (chDB))\n".encode()
        headers = {"X-ClickHouse-Exception-Code": str(code), "Content-Type": "text/plain; charset=UTF-8"}
        self._reply(status or _CLIENT_FAULTS.get(code, 500), text, headers)

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._begun = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _describing(format_: str) -> dict[str, str]:
    return {"X-ClickHouse-Format": format_, "X-ClickHouse-Timezone": "UTC"}


def _take(path: Path) -> int | None:
    """Take the lock of a folder, for as long as this process lives."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _announce(path: Path, endpoint: Mapping[str, Any]) -> None:
    half = path.with_suffix(f".{os.getpid()}")
    half.touch(0o600)
    half.write_text(json.dumps(endpoint))
    half.replace(path)


def main() -> None:
    """Be the child: `python -m gateway.embedded.clickhouse_front FOLDER`."""
    parser = argparse.ArgumentParser(prog="gateway.embedded.clickhouse_front", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if _take(folder / "lock") is None:
        sys.exit(SUPERFLUOUS)
    place = folder / "endpoint.json"
    place.unlink(missing_ok=True)
    stopping = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stopping.set())
    # Beside the data, not on a /tmp that may be memory; what a killed one left goes.
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    (folder / "tmp").mkdir(mode=0o700)
    tempfile.tempdir = str(folder / "tmp")
    if forgotten := forget_unfinished(folder / "data"):
        sys.stderr.write(f"{forgotten} inserts had not ended when the last engine did; they may come again\n")
    engine, password = Database(folder / "data"), secrets.token_urlsafe(24)
    front = Front(engine, password)
    link = engine.open(Ask("", None, "", {}, {}, ""))
    front.version = link.query("SELECT version()", "TabSeparated", params={}).bytes().decode().strip()
    link.close()
    threading.Thread(target=front.serve_forever, name="front", daemon=True).start()
    url = f"http://{HOST}:{front.server_address[1]}"
    known = {"url": url, "user": USER, "password": password, "database": DATABASE, "pid": os.getpid()}
    _announce(place, known)
    stopping.wait()
    place.unlink(missing_ok=True)
    front.shutdown()
    deadline_s = time.monotonic() + LAST_REQUESTS_S
    for _ in range(AT_ONCE):  # what is under way may end
        front.places.acquire(timeout=max(0.0, deadline_s - time.monotonic()))
    sys.stderr.flush()
    engine.close()
    os._exit(0)  # threads of clients that are still connected have nothing to say any more


if __name__ == "__main__":
    main()
