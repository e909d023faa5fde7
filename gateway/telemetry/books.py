"""Enter each ended call once: into the ledger, and for all who tell of calls.

Where an upstream never told its usage, the tokens that passed by are counted first, in a thread; the ledger
has it before that, by an estimate.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType

from gateway.exchange import Attempt, Record, Usage, at_least
from gateway.formats.request.prompt import decode_prompt

Book = Callable[[Record, float, Sequence[Attempt]], Callable[[], None] | None]
"""Enters a call in the ledger: given when it ended, and whose usage is only estimated. What it returns enters
that again, once it was counted."""

_TOKENS_PER_MESSAGE = 4
"""What a chat template adds to each message, roughly."""

Sink = Callable[[Record, float], None]
"""Takes a call that has ended, and when that was, of the monotonic clock; never waits."""


class Books:
    """The books of one process. `count_tokens` may take long: it only runs in threads.

    `sinks` hear of each call, in their order.
    """

    def __init__(
        self, count_tokens: Callable[[str], int], sinks: Sequence[Sink], book: Book | None = None
    ) -> None:
        self._count_tokens = count_tokens
        self._sinks = sinks
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
        """Wait for what is being counted."""
        if self._counting:
            await asyncio.wait(self._counting)

    def _count(self, record: Record, untold: list[Attempt]) -> None:
        """Count what went to attempts that never told, and what came of them."""
        for attempt in untold:
            call = attempt.call or record.call
            prompt, messages = decode_prompt(call.members) if call else ("", 0)
            generated = attempt.transcript() if attempt.transcript else ""
            counted = Usage(
                input_tokens=self._count_tokens(prompt) + messages * _TOKENS_PER_MESSAGE,
                output_tokens=self._count_tokens(generated),
                origin="counted",
                tier=attempt.tier,
            )
            attempt.usage = at_least(attempt.told_early, counted)

    def _counted(
        self, job: asyncio.Future[None], record: Record, ended_s: float, again: Callable[[], None] | None
    ) -> None:
        self._counting.discard(job)
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            self._log.error("usage not counted", exc_info=error, extra={"request_id": record.call_id})
        elif again is not None:
            with _Reported(self, record):
                again()
        self._enter(record, ended_s)

    def _enter(self, record: Record, ended_s: float) -> None:
        reported = _Reported(self, record)
        if record.lease is not None:
            with reported:
                record.lease.settle(record.attempts)
        for sink in self._sinks:
            with reported:  # what one of them cannot make of it must not cost the others
                sink(record, ended_s)


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
