"""One line for each call that has ended: what it was, how it went, what it used.

It skips the standard logging (15 us a line): lines are queued, and written in batches by a thread, so that a
stalled reader of stderr never stalls a call; it costs lines, not memory. Secrets and personal data are taken
out of what the client or an upstream said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Attempt, Record, Usage
from gateway.telemetry.logs import Outlet, encoded
from gateway.texts.redactor import Redactor

_EVERY_S, _CLOSES_S = 0.1, 2.0
_MOST_WAITING = 10_000
"""Lines of a few hundred bytes: with a reader that stalls the oldest are lost to new ones, and counted."""
_MODEL_CHARS = 200
_ERROR_CHARS = 1000
_CALM = frozenset({"finished", "refused", "client_gone"})
_UNTOLD = Usage()
"""Of a call none of whose attempts told what it used."""


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
    trace_id: str = ""
    """Of the trace that it belongs to, where it belongs to one."""
    span_id: str = ""
    """Of its own first span in it."""


class AccessLog:
    """One line per call, queued here and written by a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self.clean: Callable[[str], str] = Redactor().clean
        """Takes out what nobody may read; may be replaced at any time."""
        render = _pretty if stream.isatty() else _written
        self._outlet: Outlet[AccessLine] = Outlet("access-log", stream, render, _MOST_WAITING, _EVERY_S)

    def enter(self, record: Record, ended_s: float) -> None:
        """Queue the line of a call that has ended; never waits. It is written within a tenth of a second."""
        self._outlet.put(_line(record, ended_s, self.clean))

    def close(self) -> None:
        """Write what is queued and stop."""
        self._outlet.close(_CLOSES_S)


def _written(line: AccessLine) -> bytes:
    return encoded(line) + b"\n"


def _pretty(line: AccessLine) -> bytes:
    colour = "\x1b[32m" if line.status < 400 and line.ending == "finished" else "\x1b[33m"
    time = line.time.astimezone().strftime("%H:%M:%S")
    spent = f"{line.input_tokens}+{line.output_tokens} tokens" if line.tokens else ""
    model = "".join(sign if sign.isprintable() else "?" for sign in line.model)  # the client's choice
    place = f"{model} -> {line.backend}" if line.backend else model
    error = "".join(sign if sign.isprintable() else "?" for sign in line.error)
    ending = f"{colour}{line.status} {line.ending}\x1b[0m"
    text = f"\x1b[2m{time}\x1b[0m {ending} {place} {line.duration_ms:.0f} ms {spent}"
    return (
        f"{text} \x1b[2m{line.tenant} {line.request_id}\x1b[0m {error}".rstrip().encode("utf-8", "replace")
        + b"\n"
    )


def _line(record: Record, ended_s: float, clean: Callable[[str], str]) -> AccessLine:
    attempts, error, trace = record.attempts, record.error, record.trace
    used = _used(attempts)
    return AccessLine(  # by position: by name it takes twice as long
        datetime.now(UTC),
        record.purpose,
        "info" if record.ending in _CALM else "warning",
        record.call_id,
        record.status,
        record.ending,
        _ms(ended_s - record.started_s),
        record.format,
        record.tenant,
        clean(record.key),  # of a token its subject, often an address
        clean(record.model)[:_MODEL_CHARS],
        record.route,
        record.backend,
        record.stream,
        None if record.first_byte_s is None else _ms(record.first_byte_s - record.started_s),
        used.input_tokens,
        used.output_tokens,
        used.cached_tokens,
        used.cache_write_tokens,
        used.cache_write_1h_tokens,
        used.reasoning_tokens,
        used.audio_input_tokens,
        used.audio_output_tokens,
        used.image_input_tokens,
        used.image_output_tokens,
        used.tool_use_tokens,
        used.searches,
        used.characters,
        used.audio_s or None,  # of a float, only the very same nought would be left out
        "" if used is _UNTOLD else used.origin,
        record.translated_to,
        tuple([clean(name) for name in record.dropped]),
        record.rule,
        record.made_for,
        None if record.likeness is None else round(record.likeness, 3),
        sum([attempt.skipped_events for attempt in attempts]),
        [] if len(attempts) < 2 else [_try(attempt, clean) for attempt in attempts],
        [f"{attempt.backend}: {attempt.cause}" for attempt in attempts if attempt.cause],
        clean(_told(error))[:_ERROR_CHARS] if error else "",
        "" if trace is None else trace.trace_id,
        "" if trace is None else trace.span_id,
    )


def _used(attempts: Sequence[Attempt]) -> Usage:
    used = _UNTOLD
    for attempt in attempts:
        if attempt.usage is not None:
            used = attempt.usage if used is _UNTOLD else used + attempt.usage
    return used


def _try(attempt: Attempt, clean: Callable[[str], str]) -> AttemptLine:
    usage = attempt.usage or _UNTOLD
    return AttemptLine(
        attempt.backend,
        clean(attempt.model)[:_MODEL_CHARS],
        attempt.why,
        _ms(attempt.seconds),
        attempt.cause,
        usage.input_tokens,
        usage.output_tokens,
    )


def _told(error: GatewayError) -> str:
    return f"{error.code}: {error.message}" + (f" ({error.detail})" if error.detail else "")


def _ms(seconds: float) -> float:
    """Milliseconds, to the microsecond; rounding to decimals gives the same, four times as slowly."""
    return round(seconds * 1e6) / 1000
