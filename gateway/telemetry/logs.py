"""Log lines: JSON for machines, a short coloured form on a terminal.

Two ways in. The standard `logging` for whatever happens rarely, rendered here. And `AccessLog`, one
line per call, which skips that machinery (15 us a line) and writes batches from a thread, so that a
stalled reader of stderr never stalls a call.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from select import PIPE_BUF
from threading import RLock
from typing import Any, TextIO

import msgspec

from gateway.telemetry.batches import Batches

_turn = RLock()
"""Whoever writes to the stream: threads that write at the same time cut each other's lines."""

_PLAIN = (str, int, float, bool, type(None))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(level: str, stream: TextIO) -> None:
    """Send the process's logging to `stream`: JSON lines, or the pretty form on a terminal."""
    sink = logging.StreamHandler(stream)
    sink.lock = _turn
    sink.setFormatter(_Pretty() if stream.isatty() else _Lines())
    logging.basicConfig(handlers=[sink], level=level.upper(), force=True)
    for chatty in ("uvicorn.error", "alembic", "httpx"):  # what they say at info is not news to an operator
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {
        # Of an object its repr, which may hide what its fields would tell.
        name: value if isinstance(value, _PLAIN) else str(value)
        for name, value in vars(record).items()
        if name not in _STANDARD
    }
    return {"event": record.getMessage(), **extra}


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
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
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
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        return text


class AttemptLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One of several tries, as an access line has it."""

    backend: str
    model: str
    why: str
    duration_ms: float
    """Until it was accepted, or had failed."""
    cause: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class AccessLine(msgspec.Struct, omit_defaults=True, gc=False):
    """What one ended call says of itself. Durations in milliseconds from the request's head."""

    time: datetime
    event: str
    level: str
    request_id: str
    status: int
    ending: str
    duration_ms: float
    format: str
    tenant: str = ""
    key: str = ""
    model: str = ""
    route: str = ""
    backend: str = ""
    stream: bool = False
    first_byte_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    tool_use_tokens: int = 0
    searches: int = 0
    characters: int = 0
    audio_s: float | None = None
    tokens: str = ""
    """Who counted them: reported or counted."""
    translated_to: str = ""
    """The format of the upstream, where it is another than the client's."""
    dropped: tuple[str, ...] = ()
    rule: str = ""
    """The rule of the route that held."""
    made_for: str = ""
    """Of a call of the gateway's own: the client's call that it was made for."""
    likeness: float | None = None
    skipped_events: int = 0
    """Of its streams: damaged ones, which the client did not get."""
    attempts: list[AttemptLine] = []
    """Of a call that took more than one."""
    causes: list[str] = []
    """Of failed attempts, in order: "backend: code"."""
    error: str = ""


class AccessLog:
    """One line per call, queued here and written by a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._render = _pretty if stream.isatty() else msgspec.json.Encoder().encode
        self._batches: Batches[AccessLine] = Batches("access-log", self._write)

    def write(self, line: AccessLine) -> None:
        """Queue a line; never waits. It is written within a tenth of a second."""
        self._batches.put(line)

    def close(self) -> None:
        """Write what is queued and stop."""
        self._batches.close()

    def _write(self, lines: Sequence[AccessLine]) -> None:
        # A full disk or a reader that has gone costs these lines, not those to come.
        with contextlib.suppress(OSError, ValueError):
            for text in _pieces([self._render(line) + b"\n" for line in lines]):
                with _turn:
                    self._stream.write(text.decode())
                    self._stream.flush()


def _pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Join lines to what a pipe takes in one piece: workers that share it cut no line of each other."""
    piece: list[bytes] = []
    size_bytes = 0
    for line in lines:
        if piece and size_bytes + len(line) > PIPE_BUF:
            yield b"".join(piece)
            piece, size_bytes = [], 0
        piece.append(line)
        size_bytes += len(line)
    if piece:
        yield b"".join(piece)


def _pretty(line: AccessLine) -> bytes:
    colour = "\x1b[32m" if line.status < 400 and line.ending == "finished" else "\x1b[33m"
    time = line.time.astimezone().strftime("%H:%M:%S")
    spent = f"{line.input_tokens}+{line.output_tokens} tokens" if line.tokens else ""
    model = "".join(sign if sign.isprintable() else "?" for sign in line.model)  # the client's choice
    place = f"{model} -> {line.backend}" if line.backend else model
    error = "".join(sign if sign.isprintable() else "?" for sign in line.error)
    ending = f"{colour}{line.status} {line.ending}\x1b[0m"
    text = f"\x1b[2m{time}\x1b[0m {ending} {place} {line.duration_ms:.0f} ms {spent}"
    return f"{text} \x1b[2m{line.tenant} {line.request_id}\x1b[0m {error}".rstrip().encode()
