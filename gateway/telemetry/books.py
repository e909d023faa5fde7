"""Enter each ended call once: into the metrics and as one access line.

Where an upstream never told its usage, the tokens that passed by are counted first, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

from gateway.errors import GatewayError
from gateway.exchange import Record, Usage
from gateway.formats.prompt import decode_prompt
from gateway.telemetry.logs import AccessLine, AccessLog
from gateway.telemetry.metrics import Metrics

_TOKENS_PER_MESSAGE = 4
"""What a chat template adds to each message, roughly."""

_BILLED = frozenset({"finished", "broken", "client_gone"})
"""Endings after which the upstream has, or may have, generated something."""

_SPENT = tuple(name for name in Usage.__struct_fields__ if name != "origin")
"""What a call may use, by the names that the access line has too."""

_MODEL_CHARS = 200
_ERROR_CHARS = 1000


class Books:
    """The books of one process. `count_tokens` may take long: it only runs in threads."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, count_tokens: Callable[[str], int]) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._count_tokens = count_tokens
        self._counting: set[asyncio.Future[Usage]] = set()
        self._log = logging.getLogger("forebay")

    def enter(self, record: Record) -> None:
        """Enter a call that has ended; never waits."""
        ended_s = monotonic()
        if record.usage is None and record.transcript is not None and record.ending in _BILLED:
            # Never on the loop: a long text takes the tokenizer a while.
            job = asyncio.get_running_loop().run_in_executor(None, self._count, record)
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

    def _count(self, record: Record) -> Usage:
        prompt, messages = decode_prompt(record.call.members) if record.call else ("", 0)
        generated = record.transcript() if record.transcript else ""
        return Usage(
            input_tokens=self._count_tokens(prompt) + messages * _TOKENS_PER_MESSAGE,
            output_tokens=self._count_tokens(generated),
            origin="counted",
        )

    def _counted(self, job: asyncio.Future[Usage], record: Record, ended_s: float) -> None:
        self._counting.discard(job)
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            self._log.error("usage not counted", exc_info=error, extra={"request_id": record.call_id})
        else:
            record.usage = job.result()
        self._enter(record, ended_s)

    def _enter(self, record: Record, ended_s: float) -> None:
        self._metrics.observe(record, ended_s)
        self._access_log.write(_line(record, ended_s))


def _line(record: Record, ended_s: float) -> AccessLine:
    usage, error = record.usage, record.error
    first_byte_s = record.first_byte_s
    return AccessLine(
        time=datetime.now(UTC),
        event="call",
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
        backend=record.attempts[-1].backend if record.attempts else "",
        stream=record.stream,
        first_byte_ms=None if first_byte_s is None else round((first_byte_s - record.started_s) * 1000, 3),
        tokens=usage.origin if usage else "",
        translated_to=record.translated_to,
        dropped=record.dropped,
        causes=[f"{attempt.backend}: {attempt.cause}" for attempt in record.attempts if attempt.cause],
        error=_told(error)[:_ERROR_CHARS] if error else "",
        **({name: spent for name in _SPENT if (spent := getattr(usage, name))} if usage else {}),
    )


def _told(error: GatewayError) -> str:
    return f"{error.code}: {error.message}" + (f" ({error.detail})" if error.detail else "")
