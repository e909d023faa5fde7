"""Log lines of whatever happens rarely: JSON for machines, a short coloured form on a terminal.

Secrets and personal data are taken out of all that is written: events, fields, tracebacks, and what
libraries and Python itself have to say. What calls leave behind has a way of its own:
`gateway.telemetry.access_log`.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from threading import RLock
from types import TracebackType
from typing import Any, TextIO

import msgspec

from gateway.texts.redactor import Redactor

turn = RLock()
"""Whoever writes to the stream: threads that write at the same time cut each other's lines."""

_PLAIN = (int, float, bool, type(None))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CHATTY = ("uvicorn.error", "alembic", "httpx", "httpcore")
"""What they say at info is not news to an operator."""


class _Cleaning(msgspec.Struct):
    """What takes secrets out of lines: of the whole process, as logging is."""

    clean: Callable[[str], str]


_cleaning = _Cleaning(Redactor().clean)


def set_up(level: str, stream: TextIO) -> None:
    """Send the process's logging to `stream`: JSON lines, or the pretty form on a terminal."""
    sink = logging.StreamHandler(stream)
    sink.lock = turn
    sink.setFormatter(_Pretty() if stream.isatty() else _Lines())
    logging.basicConfig(handlers=[sink], force=True)
    revise(level)


def revise(level: str, clean: Callable[[str], str] | None = None) -> None:
    """Go by another level from now on, and take out of lines what `clean` does; None: what is taken now."""
    number = logging.getLevelName(level.upper())
    logging.getLogger().setLevel(number)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, number))
    if clean is not None:
        _cleaning.clean = clean


def take_over() -> None:
    """Have what Python itself writes to stderr written as lines, too: warnings, and what ends a thread.

    For a process that is ours alone: it stays so until its end.
    """
    logging.captureWarnings(capture=True)
    sys.excepthook = _report
    threading.excepthook = lambda said: _report(said.exc_type, said.exc_value, said.exc_traceback)
    sys.unraisablehook = lambda said: _report(said.exc_type, said.exc_value, said.exc_traceback)


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
        return msgspec.json.encode(line).decode()


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
