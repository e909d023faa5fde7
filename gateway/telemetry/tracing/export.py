"""Make the spans of calls that have ended, and have them sent: in threads beside the calls.

    write (event loop)   decides: most calls leave nothing
    spans                a thread that makes the spans of those that do, a tenth of a second later
    spans-out            a thread that sends them, and waits for the receiver

The first two never wait for the third: a call, with its whole request, is let go once its spans are made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic, monotonic_ns, sleep, time_ns

from msgspec import structs

from gateway.exchange import Record
from gateway.telemetry.batches import Batches
from gateway.telemetry.tracing.sending import Made, Sender
from gateway.telemetry.tracing.settings import TraceSettings
from gateway.telemetry.tracing.spans import Ended, spans_of
from gateway.telemetry.tracing.tail import kept_for

_MOST_UNMADE = 2048
"""Whole calls that wait for their spans to be made: they are few, unless the process has no time at all."""
_CLOSES_S = 1.5

log = logging.getLogger("forebay")


class Traces:
    """The way of one process to its receiver. `sent`, `failed` and `dropped` count spans, and never fall."""

    def __init__(self) -> None:
        self._settings = TraceSettings()
        self._batches: Batches[Ended] | None = None
        self._sender: Sender | None = None
        self._lost = 0

    @property
    def sent(self) -> int:
        """Spans that a receiver has taken."""
        return 0 if self._sender is None else self._sender.sent

    @property
    def failed(self) -> int:
        """Spans that a receiver would not take."""
        return 0 if self._sender is None else self._sender.failed

    @property
    def dropped(self) -> int:
        """Spans that were lost before. A call that was lost before its spans were made counts as one."""
        return self._lost + (0 if self._sender is None else self._sender.dropped)

    def revise(self, settings: TraceSettings) -> None:
        """Go by these from now on."""
        self._settings = settings
        if not settings.receiver.endpoint:
            return
        if self._sender is None:
            self._sender = Sender(settings.receiver, settings.most_waiting)
            self._batches = Batches("spans", self._make, _MOST_UNMADE)
        else:
            self._sender.revise(settings.receiver, settings.most_waiting)

    def write(self, record: Record, ended_s: float) -> None:
        """Decide whether an ended call leaves spans, and queue it; never waits."""
        settings = self._settings
        trace, batches = record.trace, self._batches
        if trace is None or batches is None or not settings.receiver.endpoint:
            return
        if kept := kept_for(record, ended_s, settings):
            if len(batches.waiting) == _MOST_UNMADE:  # the oldest goes
                self._lost += 1
            batches.put(Ended(record, trace, ended_s, monotonic(), kept))

    def state(self) -> tuple[bool, str]:
        """Say how the receiver does, for people."""
        sender = self._sender
        if sender is None or not self._settings.receiver.endpoint:
            return True, "no receiver"
        if not sender.problem:
            return True, "the receiver takes spans"
        return False, f"the receiver does not take all spans: {sender.problem}; {sender.waiting} calls wait"

    def close(self) -> None:
        """Send what is queued, for a moment, and stop."""
        if self._batches is not None and self._sender is not None:
            self._batches.close()
            self._sender.close(_CLOSES_S)

    def _make(self, calls: Sequence[Ended]) -> None:
        from gateway.telemetry.tracing.wire import spans_of_call

        settings, sender = self._settings, self._sender
        if sender is None:
            return
        clock_ns = time_ns() - monotonic_ns()
        made: list[Made] = []
        for ended in calls:
            sleep(0)  # a thread that works on keeps the loop from its calls for 5 ms
            try:
                drafts, trace = spans_of(ended, settings), ended.trace
                if trace.state:
                    trace = structs.replace(trace, state=settings.redact(trace.state))
                made.append(Made(len(drafts), spans_of_call(drafts, trace, clock_ns)))
            except Exception:  # one odd call must not cost the others theirs
                log.exception("the spans of a call are lost", extra={"request_id": ended.record.call_id})
                self._lost += 1
        sender.put(*made)
