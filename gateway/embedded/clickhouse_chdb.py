"""chDB, as the front of the embedded ClickHouse uses it: queries that stream, and inserts.

Each request has a connection of its own to the engine (80 us), so settings never reach another one. The
compiled module is used as it is: its wrapper in Python adds nothing. Traps: one process for a folder, one
folder for a process, and never fork after opening.

Source: chdb-core 26.9.0, chdb/state/sqlitelike.py.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from gateway.embedded.clickhouse_asks import FORMAT, HEADED, PLAIN, SELECT, Ask

LOCK_PATIENCE_S = 10.0
PIECE_BYTES = 256 * 1024


class Database:
    """chDB on a folder: the one connection that keeps it open, and those of requests."""

    def __init__(self, folder: Path) -> None:
        """Open it; a process that is just dying may still hold it for a moment."""
        chdb: Any = importlib.import_module("chdb._chdb")  # compiled, no types
        self._connect: Callable[[str], Any] = chdb.connect
        self._path = str(folder)
        deadline_s = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                self._keeper = self._connect(self._path)
                break
            except RuntimeError as error:
                if "Cannot lock" not in str(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def open(self, ask: Ask) -> Any:
        """Make a connection that stands where the request wants it."""
        link = self._connect(self._path)
        try:
            if ask.database:
                link.query(f"USE {_quoted(ask.database, '`')}", "Null", params={})
            if ask.settings:
                # `readonly` last: what comes after it would be refused.
                names = sorted(ask.settings, key=lambda name: name == "readonly")
                given = ", ".join(f"{name} = {_quoted(ask.settings[name])}" for name in names)
                link.query(f"SET {given}", "Null", params={})
        except BaseException:
            link.close()
            raise
        return link

    def close(self) -> None:
        """End it in order."""
        self._keeper.close()


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def pieces(link: Any, ask: Ask) -> Generator[bytes]:
    """Run a query and give its result as it comes; in formats with a frame, whole, and by way of a file."""
    format_ = ask.format.lower()
    if ask.is_framed:
        yield from _by_file(link, ask)
        return
    lines = format_ in HEADED
    if not SELECT.match(ask.sql) or not (lines or format_ in PLAIN):
        yield bytes(link.query(ask.sql, ask.format, params=ask.parameters).bytes())
        return
    stream, is_first, is_over = link.send_query(ask.sql, ask.format, params=ask.parameters), True, False
    try:
        while (piece := link.streaming_fetch_result(stream)) is not None and piece.rows_read():
            raw = bytes(piece.bytes())
            yield raw if is_first or not lines else raw[_end_of_line(raw, quotes=format_ == "csvwithnames") :]
            is_first = False
        is_over = True
    except RuntimeError:
        is_over = True
        raise
    finally:
        if not is_over:
            link.streaming_cancel_query(stream)
    if is_first and lines:  # an empty stream has not even the names
        yield bytes(link.query(ask.sql, ask.format, params=ask.parameters).bytes())


def _by_file(link: Any, ask: Ask) -> Iterator[bytes]:
    """Let the engine write the result into a file: so it needs not be in memory."""
    named = FORMAT.search(ask.sql)
    sql = ask.sql[: named.start()] if named else ask.sql.rstrip().rstrip(";")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result")
        whole = f"{sql}\n INTO OUTFILE {_quoted(str(path))} FORMAT {ask.format}"
        link.query(whole, "Null", params=ask.parameters)
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def _end_of_line(raw: bytes, *, quotes: bool) -> int:
    """Find where the first line ends: in CSV, a name may have line breaks between quotes."""
    quoted = False
    for at, byte in enumerate(raw):
        if byte == 0x22 and quotes:
            quoted = not quoted
        elif byte == 0x0A and not quoted:
            return at + 1
    return len(raw)


def insert(link: Any, ask: Ask) -> int:
    """Insert what came; returns how many rows were written, those of views included."""
    inserting = link.send_insert(ask.sql, ask.format)
    done = False
    try:
        link.insert_append(inserting, ask.data or b"")
        result = link.insert_done(inserting)
        done = True
        return int(result.rows_written())
    finally:
        if not done:
            try:
                link.insert_cancel(inserting)
            except RuntimeError as error:
                sys.stderr.write(f"an insert could not be cancelled: {str(error)[:200]}\n")
