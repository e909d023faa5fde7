"""Enter each ended call once: into the metrics and as one access line.

Where an upstream never told its usage, the tokens that passed by are counted first, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from operator import add
from time import monotonic

from gateway.errors import GatewayError
from gateway.exchange import SPENT, Attempt, Record, Usage
from gateway.formats.prompt import decode_prompt
from gateway.telemetry.decisions import DecisionLog
from gateway.telemetry.logs import AccessLine, AccessLog, AttemptLine
from gateway.telemetry.metrics import Metrics

_TOKENS_PER_MESSAGE = 4
"""What a chat template adds to each message, roughly."""

_MODEL_CHARS = 200
_ERROR_CHARS = 1000


class Books:
    """The books of one process. `count_tokens` may take long: it only runs in threads."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog,
        count_tokens: Callable[[str], int],
        decisions: DecisionLog | None = None,
    ) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._count_tokens = count_tokens
        self._decisions = decisions
        self._counting: set[asyncio.Future[None]] = set()
        self._log = logging.getLogger("forebay")

    def enter(self, record: Record) -> None:
        """Enter a call that has ended; never waits."""
        ended_s = monotonic()
        if untold := [attempt for attempt in record.attempts if _is_untold(attempt)]:
            # Never on the loop: a long text takes the tokenizer a while.
            job = asyncio.get_running_loop().run_in_executor(None, self._count, record, untold)
            self._counting.add(job)
            job.add_done_callback(lambda done: self._counted(done, record, ended_s))
            return
        self._enter(record, ended_s)

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
            )

    def _counted(self, job: asyncio.Future[None], record: Record, ended_s: float) -> None:
        self._counting.discard(job)
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            self._log.error("usage not counted", exc_info=error, extra={"request_id": record.call_id})
        self._enter(record, ended_s)

    def _enter(self, record: Record, ended_s: float) -> None:
        self._metrics.observe(record, ended_s)
        self._access_log.write(_line(record, ended_s))
        if self._decisions is not None:
            self._decisions.write(record, ended_s)


def _is_untold(attempt: Attempt) -> bool:
    """Tell whether it has, or may have, generated something, and never said how much."""
    return attempt.usage is None and attempt.transcript is not None


def _line(record: Record, ended_s: float) -> AccessLine:
    error = record.error
    told = [attempt.usage for attempt in record.attempts if attempt.usage is not None]
    usage = reduce(add, told) if told else None
    first_byte_s = record.first_byte_s
    return AccessLine(
        time=datetime.now(UTC),
        event=record.purpose,
        level="info" if record.ending in {"finished", "refused", "client_gone"} else "warning",
        request_id=record.call_id,
        status=record.status,
        ending=record.ending,
        duration_ms=round((ended_s - record.started_s) * 1000, 3),
        format=record.format,
        tenant=record.tenant,
        key=record.key,
        model=record.model[:_MODEL_CHARS],
        route=record.route,
        rule=record.rule,
        made_for=record.made_for,
        skipped_events=sum(attempt.skipped_events for attempt in record.attempts),
        likeness=None if record.likeness is None else round(record.likeness, 3),
        backend=record.backend,
        stream=record.stream,
        first_byte_ms=None if first_byte_s is None else round((first_byte_s - record.started_s) * 1000, 3),
        tokens=usage.origin if usage else "",
        translated_to=record.translated_to,
        dropped=record.dropped,
        causes=[f"{attempt.backend}: {attempt.cause}" for attempt in record.attempts if attempt.cause],
        attempts=[] if len(record.attempts) < 2 else list(map(_try, record.attempts)),
        error=_told(error)[:_ERROR_CHARS] if error else "",
        **({name: spent for name in SPENT if (spent := getattr(usage, name))} if usage else {}),
    )


def _try(attempt: Attempt) -> AttemptLine:
    usage = attempt.usage or Usage()
    return AttemptLine(
        attempt.backend,
        attempt.model[:_MODEL_CHARS],
        attempt.why,
        round(attempt.seconds * 1000, 3),
        attempt.cause,
        usage.input_tokens,
        usage.output_tokens,
    )


def _told(error: GatewayError) -> str:
    return f"{error.code}: {error.message}" + (f" ({error.detail})" if error.detail else "")
