"""Send the spans of calls to a receiver: in batches, in a thread of its own, again while it is away.

What waits is bounded: the oldest calls are lost to new ones, and counted. Must not know what spans say.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import random
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from gateway.telemetry.otlp import Answer, Receiver

BATCH_SPANS = 2048
"""So many go out together where so many wait: a request takes about 1 ms, whatever is in it."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_TRIED_S = 600.0
"""A batch that is not taken for so long will not be: what comes after it gets its turn."""
_TELLS_EVERY_S = 600.0

log = logging.getLogger("forebay")


class Made(NamedTuple):
    """The spans of a call, as they are sent."""

    spans: int
    wire: bytes


class Line(Protocol):
    """An open way to a receiver."""

    def send(self, calls: Sequence[bytes]) -> Answer:
        """Send the spans of calls; say what became of them."""

    def close(self) -> None:
        """Send no more."""


class Sender:
    """One thread, one receiver. `sent`, `failed` and `dropped` count spans, and never fall.

    `failed` were refused or rejected, or not taken in ten minutes; `dropped` were lost for want of room or
    time.
    """

    def __init__(
        self,
        receiver: Receiver,
        most_calls: int,
        open_: Callable[[Receiver], Line] | None = None,
        draw: Callable[[], float] = random,
    ) -> None:
        self.sent = self.failed = self.dropped = 0
        self.problem = ""
        """What is wrong with the receiver, for people; empty: nothing."""
        self._receiver, self._most_calls, self._open = receiver, most_calls, open_ or _open
        self._draw = draw
        self._waiting: deque[Made] = deque()
        self._wake, self._hurry, self._stopping = Event(), Event(), Event()
        self._line: tuple[Receiver, Line] | None = None
        self._batch: list[Made] = []
        self._is_failing = False
        self._rejected_s = -_TELLS_EVERY_S
        """When it was told last that spans were rejected."""
        self._tries = 0
        self._since_s = 0.0
        """When the batch was sent first."""
        self._thread = Thread(target=self._work, name="spans-out", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """So many calls wait, beside those that are being sent."""
        return len(self._waiting)

    def put(self, *calls: Made) -> None:
        """Queue the spans of calls; never waits. Called by one thread only.

        Those that come together go out together: a request costs more than the spans of a few calls.
        """
        waiting = self._waiting
        waiting.extend(calls)
        while len(waiting) > self._most_calls:
            self.dropped += waiting.popleft().spans
        self._wake.set()

    def revise(self, receiver: Receiver, most_calls: int) -> None:
        """Send to this receiver from now on, also what waits."""
        is_new = receiver != self._receiver
        self._receiver, self._most_calls = receiver, most_calls
        if is_new:
            self._hurry.set()

    def close(self, within_s: float) -> None:
        """Send what waits, for so long, and stop."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        self._thread.join(within_s)
        if self._thread.is_alive() and self._line is not None:  # it hangs
            self._line[1].close()
        self.dropped += _spans(self._batch) + _spans(self._waiting)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._batch or self._waiting:
                if not self._send_next() and self._stopping.is_set():
                    break
        if self._line is not None:
            self._line[1].close()

    def _send_next(self) -> bool:
        """Send a batch, the same one until it is taken or given up; False: the receiver is away."""
        if not self._batch:
            self._tries, self._since_s = 0, monotonic()
            while self._waiting and _spans(self._batch) < BATCH_SPANS:
                self._batch.append(self._waiting.popleft())
        self._tries += 1
        answer = self._try()
        self._tell(answer)
        if answer.taken == "taken":
            spans = _spans(self._batch)
            rejected = min(answer.rejected, spans)
            self.sent += spans - rejected
            self.failed += rejected
        elif answer.taken == "refused" or monotonic() - self._since_s > _TRIED_S:
            self.failed += _spans(self._batch)
        else:
            if not self._stopping.is_set():
                self._pause()
            return False
        self._batch = []
        return True

    def _try(self) -> Answer:
        try:
            return self._opened().send([one.wire for one in self._batch])
        except ImportError as error:
            return Answer("away", f"{error.name} is missing: pip install forebay[otlp-grpc]")
        except Exception as error:  # noqa: BLE001 - whatever a library raises, what is to come is sent all the same
            return Answer("away", type(error).__name__)

    def _opened(self) -> Line:
        """Return the way to the receiver of now; that to a former one is closed."""
        receiver, former = self._receiver, self._line
        if former is not None and former[0] == receiver:
            return former[1]
        self._line = receiver, self._open(receiver)
        if former is not None:
            former[1].close()
        return self._line[1]

    def _pause(self) -> None:
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** min(self._tries - 1, 16), _LONGEST_PAUSE_S)
        self._hurry.wait(pause_s * (1 - self._draw() / 2))
        self._hurry.clear()

    def _tell(self, answer: Answer) -> None:
        """Log that the receiver began to fail, and that it is well again; nothing in between.

        What is rejected of batches that are taken depends on the spans: that is told now and then.
        """
        self.problem = answer.problem
        host = {"receiver": urlsplit(self._receiver.endpoint).hostname}
        if answer.rejected:
            self._tell_rejected(answer, host)
        was_failing, self._is_failing = self._is_failing, answer.taken != "taken"
        if self._is_failing and not was_failing:
            log.warning("traces are not taken", extra=host | {"problem": answer.problem})
        elif was_failing and not self._is_failing:
            log.info("traces are taken again", extra=host | {"dropped": self.dropped, "failed": self.failed})

    def _tell_rejected(self, answer: Answer, host: Mapping[str, object]) -> None:
        now_s = monotonic()
        if now_s - self._rejected_s < _TELLS_EVERY_S:
            return
        self._rejected_s = now_s
        about = {**host, "problem": answer.problem, "spans": answer.rejected}
        log.warning("a part of the spans is not taken", extra=about)


def _open(receiver: Receiver) -> Line:
    from gateway.telemetry.tracing.line import SpanLine

    return SpanLine(receiver)


def _spans(calls: Iterable[Made]) -> int:
    return sum(one.spans for one in calls)
