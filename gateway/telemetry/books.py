"""Enter each ended call once: into the ledger, the metrics, and as one access line.

Where an upstream never told its usage, the tokens that passed by are counted first, in a thread; the ledger
has it before that, by an estimate.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType

from gateway.errors import GatewayError
from gateway.exchange import Attempt, Record, Usage
from gateway.formats.request.prompt import decode_prompt
from gateway.telemetry.decisions import DecisionLog
from gateway.telemetry.logs import AccessLine, AccessLog, AttemptLine
from gateway.telemetry.metrics import Metrics

Book = Callable[[Record, float, Sequence[Attempt]], Callable[[], None] | None]
"""Enters a call in the ledger: given when it ended, and whose usage is only estimated. What it returns enters
that again, once it was counted."""

_TOKENS_PER_MESSAGE = 4
"""What a chat template adds to each message, roughly."""

_MODEL_CHARS = 200
_ERROR_CHARS = 1000
_CALM = frozenset({"finished", "refused", "client_gone"})
_UNTOLD = Usage()
"""Of a call none of whose attempts told what it used."""


class Books:
    """The books of one process. `count_tokens` may take long: it only runs in threads."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog,
        count_tokens: Callable[[str], int],
        decisions: DecisionLog | None = None,
        book: Book | None = None,
    ) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._count_tokens = count_tokens
        self._decisions = decisions
        self._book = book
        self._counting: set[asyncio.Future[None]] = set()
        self._log = logging.getLogger("forebay")

    def enter(self, record: Record) -> None:
        """Enter a call that has ended; never waits."""
        ended_s = monotonic()
        untold = [attempt for attempt in record.attempts if _is_untold(attempt)]
        again = None
        if self._book is not None:
            with _Reported(self, record):
                again = self._book(record, ended_s, untold)
        if not untold:
            self._enter(record, ended_s)
            return
        # Never on the loop: a long text takes the tokenizer a while.
        job = asyncio.get_running_loop().run_in_executor(None, self._count, record, untold)
        self._counting.add(job)
        job.add_done_callback(lambda done: self._counted(done, record, ended_s, again))

    def report(self, error: Exception, record: Record) -> None:
        """Log a defect of the gateway, once, with its traceback."""
        self._log.error(
            "internal error", exc_info=error, extra={"request_id": record.call_id, "route": record.route}
        )

    async def close(self) -> None:
        """Wait for what is being counted, then write the last lines."""
        if self._counting:
            await asyncio.wait(self._counting)
        self._access_log.close()
        if self._decisions is not None:
            self._decisions.close()

    def _count(self, record: Record, untold: list[Attempt]) -> None:
        """Count what went to attempts that never told, and what came of them."""
        for attempt in untold:
            call = attempt.call or record.call
            prompt, messages = decode_prompt(call.members) if call else ("", 0)
            generated = attempt.transcript() if attempt.transcript else ""
            attempt.usage = Usage(
                input_tokens=self._count_tokens(prompt) + messages * _TOKENS_PER_MESSAGE,
                output_tokens=self._count_tokens(generated),
                origin="counted",
                tier=attempt.tier,
            )

    def _counted(
        self, job: asyncio.Future[None], record: Record, ended_s: float, again: Callable[[], None] | None
    ) -> None:
        self._counting.discard(job)
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            self._log.error("usage not counted", exc_info=error, extra={"request_id": record.call_id})
        elif again is not None:
            again()
        self._enter(record, ended_s)

    def _enter(self, record: Record, ended_s: float) -> None:
        if record.lease is not None:
            record.lease.settle(record.attempts)
        self._metrics.observe(record, ended_s)
        self._access_log.write(_line(record, ended_s))
        if self._decisions is not None:
            self._decisions.write(record, ended_s)


class _Reported:
    """Reports what goes wrong inside, and goes on: it must not cost a client the end of its answer."""

    __slots__ = ("_books", "_record")

    def __init__(self, books: Books, record: Record) -> None:
        self._books, self._record = books, record

    def __enter__(self) -> None:
        """Nothing is opened."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Report an exception; True: it ends here."""
        if not isinstance(error, Exception):
            return False
        self._books.report(error, self._record)
        return True


def _is_untold(attempt: Attempt) -> bool:
    """Tell whether it has, or may have, generated something, and never said how much."""
    return attempt.usage is None and attempt.transcript is not None


def _line(record: Record, ended_s: float) -> AccessLine:
    attempts, error = record.attempts, record.error
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
        record.key,
        record.model[:_MODEL_CHARS],
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
        record.dropped,
        record.rule,
        record.made_for,
        None if record.likeness is None else round(record.likeness, 3),
        sum([attempt.skipped_events for attempt in attempts]),
        [] if len(attempts) < 2 else [_try(attempt) for attempt in attempts],
        [f"{attempt.backend}: {attempt.cause}" for attempt in attempts if attempt.cause],
        _told(error)[:_ERROR_CHARS] if error else "",
    )


def _used(attempts: Sequence[Attempt]) -> Usage:
    used = _UNTOLD
    for attempt in attempts:
        if attempt.usage is not None:
            used = attempt.usage if used is _UNTOLD else used + attempt.usage
    return used


def _try(attempt: Attempt) -> AttemptLine:
    usage = attempt.usage or _UNTOLD
    return AttemptLine(
        attempt.backend,
        attempt.model[:_MODEL_CHARS],
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
