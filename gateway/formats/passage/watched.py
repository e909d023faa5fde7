"""Streams that are relayed as they are and decoded beside it: all generative ones but the chat dialect's.

An event is never changed but for the model's name where a route renames it, and never held back once it is
whole. The events are kept as they came and decoded when somebody asks what they said, usually once, at the
end; when they outgrow a limit they are decoded in between.
"""

from __future__ import annotations

import msgspec

from gateway.errors import GatewayError, UpstreamError
from gateway.exchange import Usage
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.passage.heard import Heard
from gateway.formats.passage.watching import Watch

RAW_LIMIT_BYTES = 32 * 1024


class DecodedStream:
    """One stream of a format that has a codec: its decoder says what passed."""

    __slots__ = ("_decoder", "_framer", "_heard", "_raw", "_raw_bytes", "_rename", "_watch")

    def __init__(self, watch: Watch, decoder: StreamDecoder, rename: str | None, limit_bytes: int) -> None:
        self._watch = watch
        self._rename = rename
        self._framer = Framer(limit_bytes)
        self._decoder: StreamDecoder | None = decoder
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._heard = Heard()

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        return self._listen().usage

    @property
    def finished(self) -> bool:
        """The stream told a finish reason."""
        return self._listen().finished

    @property
    def done(self) -> bool:
        """The stream said that this was all."""
        return self._listen().done

    @property
    def failed(self) -> bool:
        """The stream carried an error of the upstream."""
        return self._listen().failed

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty).

        Raises Broken when a single event outgrows the limit.
        """
        events = self._framer.feed(piece)
        if not events:
            return b""
        self._keep(events)
        if self._rename is None:
            return events
        return b"".join([self._watch.rename_event(event, self._rename) for event in split_events(events)])

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended: an event that only lacks its blank line."""
        rest = self._framer.rest()
        passed = b""
        if rest and _is_whole(rest):
            self._keep(rest + b"\n\n")
            name = self._rename
            passed = (rest if name is None else self._watch.rename_event(rest, name)) + b"\n\n"
        self._decode(closing=True)
        return passed

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return self._watch.encode_error_event(error)

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._listen().text()

    def _keep(self, events: bytes) -> None:
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > RAW_LIMIT_BYTES:
            self._decode()

    def _listen(self) -> Heard:
        self._decode()
        return self._heard

    def _decode(self, *, closing: bool = False) -> None:
        """Decode what was kept. What the decoder cannot read passed all the same: it only goes uncounted."""
        decoder = self._decoder
        if decoder is None:
            return
        try:
            if self._raw:
                self._heard.add(decoder.feed(b"".join(self._raw)))
            if closing:
                self._heard.add(decoder.close())
        except UpstreamError:
            self._decoder = None
        self._raw.clear()
        self._raw_bytes = 0


def _is_whole(event: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(data_of(event)), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
