"""How a call gets from its client to an upstream's wire format, and its answer back: relayed or translated.

A Passage is made for one attempt. What it hands to the backend is a Call in the upstream's format; what it
hands back are bytes in the client's. Must not know routes, sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from gateway.errors import GatewayError, UpstreamError
from gateway.exchange import Call, Usage
from gateway.formats.neutral.completion import NOTHING, About


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a passage is told beside the call: the call's id, the time, the name that answers are to show.

    `rename` None keeps the upstream's name of the model.
    """

    call_id: str
    created_unix_s: int
    rename: str | None = None
    rewritten: bool = False
    """Answers are decoded and written anew also where the formats are the same: then a stream that breaks can
    be gone on with by another upstream."""


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A whole answer for the client."""

    body: bytes
    usage: Usage | None
    """None: the upstream did not tell."""
    empty: bool = False
    """It is well-formed, and says nothing: no word, no call, and no reason but that it came to its end."""
    content_type: bytes | None = None
    """What it is, where it came as something else."""
    refusal: UpstreamError | None = None
    """It tells that the prompt was not let through: in the client's own format; or, without a body, in one
    that is of no use to the client, who gets an error instead. So does whoever is answered with what is no
    answer and says what it used: that is billed all the same."""
    about: About = NOTHING


class AnswerStream(Protocol):
    """A streamed answer on its way to the client; bytes of the upstream in, bytes for the client out."""

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""

    @property
    def about(self) -> About:
        """Who answers, why the answer ended, in which class of service: as far as it was told until now."""

    @property
    def finished(self) -> bool:
        """The stream told why it ended."""

    @property
    def done(self) -> bool:
        """The stream said, as its format says it, that this was all."""

    @property
    def begun(self) -> bool:
        """Something was said: a word, a thought, a part of a call; not merely who answers."""

    @property
    def fault(self) -> UpstreamError | None:
        """The error of the upstream that the stream carried; None: none."""

    @property
    def skipped(self) -> int:
        """How many damaged events were left out."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece, return what the client gets now (may be empty). Raises UpstreamError."""

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended its body."""

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client; nothing that looks like a regular end follows it."""

    def mend(self) -> bytes:
        """Write what a stream lacks that has `finished` and was not `done`: its format's regular end."""

    def text(self) -> str:
        """Return what was generated so far, for counting."""


class Passage(Protocol):
    """The way of one attempt."""

    @property
    def call(self) -> Call:
        """The call in the upstream's format."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """The client's fields that the upstream's format cannot express and that were left out."""

    @property
    def content_type(self) -> bytes | None:
        """What the client is told of the answer's type; None: what the upstream says."""

    @property
    def unframed(self) -> bool:
        """Whether the client gets an answer as it comes that is no event stream: sound."""

    def read(self, body: bytes) -> Whole:
        """Turn a whole answer into the client's; raises UpstreamError when it is none and tells no usage."""

    @property
    def stream(self) -> Callable[[int], AnswerStream] | None:
        """Begins a streamed answer, one event of which has at most so many bytes. None: it is never one."""
