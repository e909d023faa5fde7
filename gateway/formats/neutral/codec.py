"""What a wire format brings along to be translated: its Codec, and the two halves of a stream.

`Heading` is what an encoder may not find out for itself (it has no clock and makes no random names).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Event


class Heading(msgspec.Struct, frozen=True, gc=False):
    """What an answer carries beside what was generated.

    `id` is made from the call's id, without a prefix of any format; `model` the name to show when the
    upstream told none, or always when `rename`. `request` is what the client asked: some formats repeat
    parts of it in their answers. `wants_usage` says whether a chat stream is to end with its usage.
    """

    id: str
    model: str
    created_unix_s: int
    request: Conversation
    rename: bool = False
    wants_usage: bool = True

    def model_of(self, told: str) -> str:
        """Choose the name to show, `told` being the upstream's."""
        return self.model if self.rename or not told else told


class StreamDecoder(Protocol):
    """Reads an upstream's stream: its framing too, whatever pieces the network makes of it.

    Under any splitting of the bytes the events are the same. An event that is unknown is skipped, and so is
    one that is no JSON object: `skipped` counts these. Broken framing, an object of another shape than the
    format's, an event beyond the limit raise Broken.
    """

    skipped: int

    @property
    def finished(self) -> bool:
        """Every choice has told why it ended; `Finished` may come only when no more can follow."""

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say."""

    def close(self) -> list[Event]:
        """The upstream has ended its body: return what was still to be said.

        `Finished` and `Ended` are never made up here: a stream without its format's end has not ended.
        Formats without an end marker (Gemini) give `Ended` here when every choice has finished.
        """


class StreamEncoder(Protocol):
    """Writes the stream for the client. Nothing that can be said is held back."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing in this format (yet)."""

    def fail(self, error: GatewayError) -> bytes:
        """Write an error in mid-stream; nothing that looks like a regular end may follow it."""


class Codec(msgspec.Struct, frozen=True):
    """A generative wire format in both directions. All functions are pure.

    `decode_request` reads the members of a client's body; raises BadRequest with `param` naming the place.
    `encode_request` gives the members of an upstream's body but its `model`; what the format cannot
    express was taken out before (`losses.fit`), what remains inexpressible raises Unsupported.
    `decode_answer` reads an upstream's whole answer; raises Failed when it is not one.
    `encode_answer` writes the answer for the client; raises Failed for one that ended in an error, where its
    format has no word for that.
    `stream_decoder` takes the limit in bytes of one event.
    """

    decode_request: Callable[[Mapping[str, msgspec.Raw]], Conversation]
    encode_request: Callable[[Conversation], dict[str, Any]]
    decode_answer: Callable[[bytes], Completion]
    encode_answer: Callable[[Completion, Heading], bytes]
    stream_decoder: Callable[[int], StreamDecoder]
    stream_encoder: Callable[[Heading], StreamEncoder]
