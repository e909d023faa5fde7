"""What an attempt ends in when it is accepted: a whole answer, or a stream that has begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Literal, Protocol

import msgspec

from gateway.errors import UpstreamError
from gateway.exchange import Attempt, Format, Headers, Usage
from gateway.formats.passage.seam import AnswerStream, Whole
from gateway.protocols import Answer


class Leave(Protocol):
    """Ends an attempt; the first time counts."""

    def begun(self) -> None:
        """Its first content came."""

    def __call__(self, error: UpstreamError | None) -> None:
        """It is over, well or with an error of the upstream."""

    def abandon(self) -> None:
        """We gave it up, or the client did: that says nothing of the deployment."""


class Opened(msgspec.Struct):
    """A streamed answer that has begun: `held` is what the client gets first.

    Whoever reads it on to its end calls `close`, who drops it before `give_up`.
    """

    answer: Answer
    stream: AnswerStream
    attempt: Attempt
    leave: Leave
    held: bytes = b""
    ended: bool = False
    """The upstream has said all: there is nothing to be read."""

    silent: bool = False
    """The client is not told of an error that the stream carries: another one may go on."""
    mended: bool = False
    """What it lacked of its format's end was written for it."""
    over: bool = False
    """It was closed or given up."""

    def take(self, piece: bytes) -> bytes:
        """Take the next piece, b"" at the end; returns what the client would get of it."""
        if piece:
            return self.stream.feed(piece)
        self.ended = True
        return self.stream.close()

    def close(self, error: UpstreamError | None) -> None:
        """The answer is over, well or with an error of the upstream. The first time counts."""
        if self._write_down():
            self.attempt.cause = error.code if error else ""
            self.leave(error)
            self.answer.close()

    def give_up(self) -> None:
        """Nobody wants the rest: the client has gone, or another answer was faster."""
        if self._write_down():
            self.leave.abandon()
            self.answer.close()

    def _write_down(self) -> bool:
        first, self.over = not self.over, True
        if first:
            stream = self.stream
            heed_stream(self.attempt, stream)
            self.attempt.ended_s = monotonic()
            self.attempt.skipped_events = stream.skipped
        return first


def heed(attempt: Attempt, told: AnswerStream | Whole) -> None:
    """Write down what an answer tells of itself, as far as it came."""
    attempt.usage, about = told.usage, told.about
    attempt.answered_model, attempt.finish, attempt.tier = about.model, about.finish, about.tier


def heed_stream(attempt: Attempt, stream: AnswerStream) -> None:
    """Write down what a stream tells of itself, be it that it goes no further.

    Anthropic tells the input with its first event, others tell in each event what it was until then.
    """
    heed(attempt, stream)
    if stream.fault is not None and not stream.begun:  # an error in place of an answer: nothing was generated
        attempt.transcript = None
        return
    attempt.transcript = stream.text
    if not (stream.finished or stream.done):
        attempt.told_early, attempt.usage = attempt.usage, None


Resume = Callable[[Opened, UpstreamError], Awaitable["Opened | None"]]
"""Given a stream that broke after its beginning went out, begins one that goes on; None: there is none."""


class Outcome(msgspec.Struct):
    """An answer for the client: a whole `body`, or (`opened`) a stream that has begun."""

    status: int
    headers: Headers
    """The upstream's."""
    content_type: bytes | None = None
    """In place of the upstream's."""
    backend: str = ""
    """Empty: no upstream gave it."""
    dropped: tuple[str, ...] = ()
    """The client's fields that were left out on the way."""
    body: bytes = b""
    usage: Usage | None = None
    opened: Opened | None = None
    attempt: Attempt | None = None
    """Whose answer it is; None: no upstream gave it."""
    translated_to: Format | Literal[""] = ""
    """The format in which the upstream got the call, where it is another than the client's."""
    resume: Resume | None = None
    """None: a stream that breaks ends with an error."""
    remember: Callable[[bytes, bytes], None] | None = None
    """Takes the type and the bytes of an answer that was whole, to give it again when nobody else answers."""
    notes: tuple[tuple[bytes, bytes], ...] = ()
    """Headers that say what was done to the call."""
    lack: UpstreamError | None = None
    """Why another target may do better: nothing is said in it, or the prompt was not let through. Its attempt
    is over, a stream was read whole."""

    def forgo(self, cause: str) -> None:
        """Its answer goes to nobody, for this cause."""
        if self.attempt is not None:
            self.attempt.cause = self.attempt.cause or cause
        if self.opened is not None:
            self.opened.give_up()
