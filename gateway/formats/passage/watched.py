"""Streams that are relayed as they are and decoded beside it: all generative ones but the chat dialect's.

An event is never changed but for the model's name where a route renames it, and never held back once it is
whole; one that no client can read is left out, and so is all that follows the end. The events are kept as
they came and decoded when somebody asks what they said, usually once, at the end; when they outgrow a limit
they are decoded in between. One that the decoder dislikes is a matter between client and upstream: of it only
the end and the usage are looked for.
"""

from __future__ import annotations

from gateway.errors import Broken, GatewayError, UpstreamError
from gateway.exchange import Usage
from gateway.formats.errors.told import fault_in
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_damaged, is_object, is_whole_event
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.neutral.completion import About
from gateway.formats.neutral.events import Event
from gateway.formats.passage.heard import Heard
from gateway.formats.passage.watching import Watch, essence

RAW_LIMIT_BYTES = 32 * 1024


class DecodedStream:
    """One stream of a format that has a codec: its decoder says what passed.

    Until something was said, each event is decoded as it comes; then an event is only seen to be one that can
    be read. `skipped`: so many were left out because they could not.
    """

    __slots__ = (
        "_decoder",
        "_framer",
        "_heard",
        "_over",
        "_raw",
        "_raw_bytes",
        "_rename",
        "_watch",
        "skipped",
    )

    def __init__(
        self, watch: Watch, decoder: StreamDecoder, rename: str | None, limit_bytes: int, choices: int = 1
    ) -> None:
        self._watch = watch
        self._rename = rename
        self._framer = Framer(limit_bytes)
        self._decoder = decoder
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._heard = Heard(choices)
        self._over = False
        self.skipped = 0

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        return self._listen().usage

    @property
    def about(self) -> About:
        """What the answer tells of itself."""
        return self._listen().about()

    @property
    def finished(self) -> bool:
        """The stream told a finish reason."""
        return self._listen().finished

    @property
    def done(self) -> bool:
        """The stream said that this was all."""
        return self._listen().done

    @property
    def begun(self) -> bool:
        """Something was said."""
        return self._heard.begun

    @property
    def fault(self) -> UpstreamError | None:
        """The error of the upstream that the stream carried."""
        return self._listen().fault

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty).

        Raises Broken when an event outgrows the limit, or cannot be understood before anything was said.
        """
        events = self._framer.feed(piece)
        return self._pass(events) if events and not self._over else b""

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended: an event that only lacks its blank line.

        Google's errors may come as they are, with nothing of an event around them.
        """
        rest = self._framer.rest()
        passed = b""
        if not self._over and is_object(rest):
            self._heard.fault = self._listen().fault or fault_in(rest)
        elif not self._over and is_object(data_of(rest)):
            passed = self._pass(rest + b"\n\n")
        self._decode(closing=True)
        return passed

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return self._watch.encode_error_event(error)

    def mend(self) -> bytes:
        """Write the end that was not said; nothing that comes later passes."""
        end = b"" if self.done else self._watch.end
        self._over = self._heard.done = True
        return end

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._listen().text()

    def _pass(self, events: bytes) -> bytes:
        at = events.find(b"\n") + 1 if events.startswith(b"event: ") else 0
        return self._hand_on(events) if is_whole_event(events, at) else self._readable(events)

    def _readable(self, events: bytes) -> bytes:
        """Leave out what nobody can read. Amid a call that is half of its arguments, and ends the stream."""
        passed: list[bytes] = []
        kept: list[bytes] = []
        for event in split_events(events):
            data = data_of(event)
            if not is_damaged(event, data):
                kept.append(event)
                continue
            if not data:  # it keeps the line alive, and cannot be a piece of anything
                continue
            self.skipped += 1
            passed.append(self._hand_on(b"".join(kept)))
            kept.clear()
            if not self._over and self._listen().calling:
                self._over = True
                fault = self._heard.fault = Broken(
                    "the upstream's stream was damaged in the middle of a call"
                )
                passed.append(self._watch.encode_error_event(fault))
        passed.append(self._hand_on(b"".join(kept)))
        return b"".join(passed)

    def _hand_on(self, events: bytes) -> bytes:
        """Pass events on that all can be read."""
        if not events or self._over:
            return b""
        sign = self._watch.end_sign
        if not self._heard.begun or (sign is not None and sign in events):
            events = self._up_to_the_end(events)
        else:
            self._keep(events)
        name = self._rename
        if name is None or not events:
            return events
        return b"".join([self._watch.rename_event(event, name) for event in split_events(events)])

    def _up_to_the_end(self, events: bytes) -> bytes:
        """Decode event by event; what follows the last one is left out."""
        passed: list[bytes] = []
        for event in split_events(events):
            passed.append(event)
            self._raw.append(event)
            self._decode()
            if self._heard.done:
                self._over = True
                break
        return b"".join(passed)

    def _keep(self, events: bytes) -> None:
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > RAW_LIMIT_BYTES:
            self._decode()

    def _listen(self) -> Heard:
        self._decode()
        return self._heard

    def _decode(self, *, closing: bool = False) -> None:
        """Decode what was kept, event by event: one that cannot be read costs none of the others.

        Raises Broken before anything was said: the client has nothing yet, another upstream may do better.
        """
        raw, self._raw = self._raw, []
        self._raw_bytes = 0
        heard, feed = self._heard, self._decoder.feed
        said: list[Event] = []
        for piece in raw:
            for event in split_events(piece):
                try:
                    said += feed(event)
                except UpstreamError:
                    heard.add(said)
                    if not heard.begun:
                        raise
                    said = self._essence(event)
        heard.add(said)
        if closing:
            self._end()

    def _essence(self, event: bytes) -> list[Event]:
        """Decode what an event that cannot be read says of end and usage; it passed all the same."""
        rest = essence(data_of(event))
        try:
            return self._decoder.feed(b"data: %b\n\n" % rest) if rest else []
        except UpstreamError:
            return []

    def _end(self) -> None:
        """Let the decoder say what it knows only once the stream has ended. Raises as `_decode` does."""
        try:
            self._heard.add(self._decoder.close())
        except UpstreamError:
            if not self._heard.begun:
                raise
