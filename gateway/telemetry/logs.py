"""Log lines of whatever happens rarely: JSON for machines, a short coloured form on a terminal.

Secrets and personal data are taken out of all that is written: events, fields, tracebacks, and what
libraries and Python itself have to say. What calls leave behind has a way of its own to the same stream:
`gateway.telemetry.access_log`.

Lines are written by threads: a pipe that nobody reads must not hold up who has something to tell.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from select import PIPE_BUF
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any, Generic, TextIO, TypeVar

import msgspec

from gateway.telemetry.batches import Batches
from gateway.texts.redactor import Redactor

_turn = RLock()
"""Whoever writes to the stream: threads that write at the same time cut each other's lines."""
_MOST_LINES = 1024
"""So many wait for a reader that stalls."""
_LAST_S = 1.0
"""So long the end of the process waits for a reader."""
_TELLS_EVERY_S = 10.0
"""How often it is told that lines were lost, where they are lost for long."""
_NO_LINE = "a line of the log cannot be made"

_PLAIN = (int, float, bool, type(None))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CHATTY = ("uvicorn.error", "alembic", "httpx", "httpcore")
"""What they say at info is not news to an operator."""


class _Cleaning(msgspec.Struct):
    """What takes secrets out of lines: of the whole process, as logging is."""

    clean: Callable[[str], str]


_cleaning = _Cleaning(Redactor().clean)

T = TypeVar("T")


class Outlet(Generic[T]):
    """Writes what is put to a stream, in a thread of its own: whoever has a line never waits for its reader.

    Of more than `most` the oldest are lost; how many that were is told once they are read again.
    `every_s` None: lines are written when it is asked to hurry.
    """

    def __init__(
        self, name: str, stream: TextIO, render: Callable[[T], bytes], most: int, every_s: float | None
    ) -> None:
        self._name, self._render = name, render
        self._out = _way_to(stream)
        self._form = _form_for(stream)
        self._unwritten = self._told = 0
        self._told_s = -_TELLS_EVERY_S
        self._batches: Batches[T] = Batches(name, self._write, most, every_s)
        self.put, self.hurry = self._batches.put, self._batches.hurry

    def close(self, within_s: float = _LAST_S) -> None:
        """Write what is queued, for so long, and stop. What is put later waits for `hurry`."""
        self._batches.close(within_s)
        with suppress(OSError, ValueError):
            self._tell_lost()

    def _write(self, entries: Sequence[T]) -> None:
        lines = [self._render(entry) for entry in entries]
        left = len(lines)
        # A full disk or a reader that has gone costs these lines, not those to come.
        with suppress(OSError, ValueError):
            for piece in pieces(lines):
                self._put_out(b"".join(piece))
                left -= len(piece)
            self._tell_lost()
        self._unwritten += left

    def _put_out(self, text: bytes) -> None:
        # At the end somebody may stand in there for ever.
        if not _turn.acquire(timeout=_LAST_S if self._batches.closed else -1):
            raise TimeoutError
        try:
            self._out(text)
        finally:
            _turn.release()

    def _tell_lost(self) -> None:
        lost, now_s = self._batches.lost + self._unwritten, monotonic()
        is_due = self._batches.closed or now_s - self._told_s >= _TELLS_EVERY_S
        if lost == self._told or not is_due:
            return
        line = {"lines": lost - self._told, "writer": self._name}
        # By hand, not by `logging`: who closes that may hold its lock, and wait for this thread.
        if logging.getLogger("forebay").isEnabledFor(logging.WARNING):
            self._put_out(_line_of(self._form, _record(logging.WARNING, "lines of the log were lost", line)))
        self._told, self._told_s = lost, now_s


class _Sink(logging.Handler):
    """Queues lines, and has them written at once; at the end of the process it waits a moment for that."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._form = _form_for(stream)
        self._outlet: Outlet[bytes] = Outlet("log", stream, bytes, _MOST_LINES, None)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line; of one that cannot be made, which is not clean, only where that was."""
        with suppress(Exception):
            self._put(record)
            return
        with suppress(Exception):
            self._put(_record(record.levelno, _NO_LINE, {"at": f"{record.module}:{record.lineno}"}))

    def close(self) -> None:
        """Write what is queued: at the end of the process somebody calls this."""
        self._outlet.close()
        super().close()

    def _put(self, record: logging.LogRecord) -> None:
        self._outlet.put(_line_of(self._form, record))
        self._outlet.hurry()


def set_up(level: str, stream: TextIO) -> None:
    """Send the process's logging to `stream`: JSON lines, or the pretty form on a terminal."""
    logging.basicConfig(handlers=[_Sink(stream)], force=True)
    revise(level)


def revise(level: str, clean: Callable[[str], str] | None = None) -> None:
    """Go by another level from now on, and take out of lines what `clean` does; None: what is taken now."""
    number = logging.getLevelName(level.upper())
    logging.getLogger().setLevel(number)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, number))
    if clean is not None:
        _cleaning.clean = clean


def cleaned(text: str) -> str:
    """Take out of a text what is taken out of lines."""
    return _cleaning.clean(text)


def take_over() -> None:
    """Have what Python itself writes to stderr written as lines, too: warnings, and what ends a thread.

    For a process that is ours alone: it stays so until its end.
    """
    logging.captureWarnings(capture=True)
    sys.excepthook = _report
    threading.excepthook = lambda said: _report(said.exc_type, said.exc_value, said.exc_traceback)
    sys.unraisablehook = lambda said: _report(said.exc_type, said.exc_value, said.exc_traceback)


def pieces(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Join lines to what a pipe takes in one piece: workers that share it cut no line of each other."""
    piece: list[bytes] = []
    size_bytes = 0
    for line in lines:
        if piece and size_bytes + len(line) > PIPE_BUF:
            yield piece
            piece, size_bytes = [], 0
        piece.append(line)
        size_bytes += len(line)
    if piece:
        yield piece


def encoded(line: object) -> bytes:
    """Return a line as JSON; halves of characters, as in a file's name that is no text, as question marks."""
    try:
        return msgspec.json.encode(line)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(line), ensure_ascii=False).encode("utf-8", "replace")


def _way_to(stream: TextIO) -> Callable[[bytes], None]:
    """Return what writes there: to a file, past Python's buffers.

    A thread that hangs would hold their locks, which Python takes before it ends.
    """

    def write_text(text: bytes) -> None:
        stream.write(text.decode())
        stream.flush()

    def write_bytes(text: bytes) -> None:
        while text:  # asked each time: once the stream is closed its number is another file's
            text = text[os.write(stream.fileno(), text) :]

    try:
        stream.fileno()
    except OSError:
        return write_text
    stream.flush()
    return write_bytes


def _form_for(stream: TextIO) -> logging.Formatter:
    return _Pretty() if stream.isatty() else _Lines()


def _line_of(form: logging.Formatter, record: logging.LogRecord) -> bytes:
    return form.format(record).encode("utf-8", "replace") + b"\n"


def _report(kind: type[BaseException], error: BaseException | None, _traceback: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit | KeyboardInterrupt):
        logging.getLogger("forebay").critical("%s was not expected", kind.__name__, exc_info=error)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    clean = _cleaning.clean
    extra = {
        # Of an object its repr, which may hide what its fields would tell.
        name: value if isinstance(value, _PLAIN) else clean(str(value))
        for name, value in vars(record).items()
        if name not in _STANDARD
    }
    return {"event": clean(record.getMessage()), **extra}


def _record(level: int, event: str, fields: Mapping[str, object]) -> logging.LogRecord:
    record = logging.LogRecord("forebay", level, __file__, 0, event, None, None)
    vars(record).update(fields)
    return record


def _trace(error: BaseException) -> str:
    return _cleaning.clean("".join(traceback.format_exception(error)))


class _Lines(logging.Formatter):
    """One JSON object a line; a traceback is one member of it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["traceback"] = _trace(record.exc_info[1])
        return encoded(line).decode()


class _Pretty(logging.Formatter):
    """Time, level, event and fields, for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        event = fields.pop("event")
        rest = " ".join(f"{name}={value}" for name, value in fields.items())
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        colour = (
            "\x1b[31m"
            if record.levelno >= logging.ERROR
            else "\x1b[33m"
            if record.levelno >= logging.WARNING
            else ""
        )
        text = f"\x1b[2m{time}\x1b[0m {colour}{event}\x1b[0m \x1b[2m{rest}\x1b[0m"
        if record.exc_info and record.exc_info[1]:
            text += "\n" + _trace(record.exc_info[1])
        return text
