"""Streams of the Responses API for clients: the life of the response, and which item is under way.

What each kind of item says while it grows is in `growing`. A message stays open while texts follow each
other, so that they become the content of one message; it is done when something else begins. Nothing that
can be said is held back for that.

Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError
from gateway.exchange import Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Media, Part, Reasoning, ToolCall
from gateway.formats.responses.answer import is_own, read_told_usage, write_ending, write_response
from gateway.formats.responses.growing import (
    GrowingCall,
    GrowingItem,
    GrowingMedia,
    GrowingMessage,
    GrowingPart,
    GrowingReasoning,
    GrowingWords,
    Output,
)
from gateway.formats.responses.output import Names, is_unspeakable, sealed_before, words_of
from gateway.formats.responses.usage import is_same, write_usage


class StreamWriter:
    """Writes one stream."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._output = Output(Names(heading.id))
        self._began = Began()
        self._begun = self._over = False
        self._parts: dict[int, GrowingPart] = {}
        self._message: GrowingMessage | None = None
        self._usage: Usage | None = None
        self._finished = Finished("stop")

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing here."""
        for event in events:
            if not self._over and getattr(event, "choice", 0) == 0:
                _WRITTEN[type(event)](self, event)
        return self._output.taken()

    def fail(self, error: GatewayError) -> bytes:
        """Write `error`, then `response.failed`, as OpenAI does."""
        self._fail(error)
        return self._output.taken()

    def _fail(self, error: GatewayError) -> None:
        self._begin()
        self._over = True
        told = {"code": error.code, "message": error.message, "param": error.param}
        self._output.say("error", {**told, "error": {"type": error.kind, **told}})
        # Of these only a few words are documented, and typed clients read no others.
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        failed = {"status": "failed", "error": {"code": code, "message": error.message}}
        response = self._response({}) | failed | {"output": self._output.items(), "usage": None}
        self._output.say("response.failed", {"response": response})

    def began(self, event: Began) -> None:
        """Write the beginning."""
        self._began = event
        self._begin()

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        response = self._response({}) | {"status": "in_progress", "output": [], "usage": None}
        response["incomplete_details"] = None
        self._output.say("response.created", {"response": response})
        self._output.say("response.in_progress", {"response": response})

    def _response(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        began = self._began
        completion = Completion(
            (),
            began.id,
            began.model,
            began.created_unix_s,
            None,
            began.service_tier,
            {**began.extra, **extra},
        )
        return write_response(completion, self._heading)

    def opened(self, event: Opened) -> None:
        """Write the beginning of a part."""
        self._begin()
        sealed = sealed_before(event.content)
        if sealed is not None:
            self._end_message()
            GrowingReasoning(self._output, sealed).close(sealed)
        part = self._start(event.content)
        if part is not None:
            self._parts[event.part] = part

    def _start(self, content: Part) -> GrowingPart | None:
        words = words_of(content)
        if words is not None and not isinstance(content, Media):
            if self._message is None:
                self._message = GrowingMessage(self._output)
            return GrowingWords(self._output, self._message, words)
        if is_unspeakable(content):
            return None
        if isinstance(content, Media):  # a picture or words: known only when it is whole
            return GrowingMedia(content)
        self._end_message()
        if isinstance(content, ToolCall):
            return GrowingCall(self._output, content)
        if isinstance(content, Reasoning):
            return GrowingReasoning(self._output, content)
        return GrowingItem(self._output, content)

    def _end_message(self) -> None:
        if self._message is not None:
            self._message.end()
            self._message = None

    def grew(self, event: Grew) -> None:
        """Write what a part got longer by."""
        part = self._parts.get(event.part)
        if part is not None:
            part.grow(event)

    def cited(self, event: Cited) -> None:
        """Write a source."""
        part = self._parts.get(event.part)
        if isinstance(part, GrowingWords):
            part.cite(event.citation)

    def closed(self, event: Closed) -> None:
        """Write the end of a part."""
        part = self._parts.pop(event.part, None)
        if part is not None:
            self._close(part, event.content)

    def _close(self, part: GrowingPart, content: Part | None) -> None:
        if isinstance(part, GrowingMedia):
            self._close_media(part.whole(content))
            return
        part.close(content)
        sealed = part.sealed()
        if sealed is not None:
            self._end_message()
            GrowingReasoning(self._output, sealed).close(sealed)

    def _close_media(self, media: Media) -> None:
        words = words_of(media)
        if words is None:
            self._end_message()
            GrowingItem(self._output, media).close(None)
            return
        self._message = self._message or GrowingMessage(self._output)
        GrowingWords(self._output, self._message, words).close(None)

    def finished(self, event: Finished) -> None:
        """Take the end of the answer: nothing grows any more."""
        self._finished = event

    def metered(self, event: Metered) -> None:
        """Take the usage so far."""
        self._usage = event.usage

    def faulted(self, event: Faulted) -> None:
        """Write that the upstream failed."""
        self._fail(event.error)

    def ended(self, event: Ended) -> None:
        """Write the end, which repeats everything."""
        self._begin()
        for part in self._parts.values():
            self._close(part, None)
        self._parts.clear()
        self._end_message()
        finished = self._finished
        ending = write_ending(finished.finish, finished.finish_raw, self._output.items())
        usage = write_usage(self._usage)
        # What began under a name of our own must not end under the upstream's.
        extra = event.extra if is_own(self._began.extra) else {}
        if extra and is_same(read_told_usage(extra), self._usage):
            usage = extra.get("usage")
        response = self._response(extra) | ending | {"output": self._output.items(), "usage": usage}
        self._output.say(f"response.{ending['status']}", {"response": response})
        self._over = True


_WRITTEN: Mapping[type, Callable[[StreamWriter, Any], None]] = {
    Grew: StreamWriter.grew,
    Opened: StreamWriter.opened,
    Closed: StreamWriter.closed,
    Cited: StreamWriter.cited,
    Began: StreamWriter.began,
    Finished: StreamWriter.finished,
    Metered: StreamWriter.metered,
    Faulted: StreamWriter.faulted,
    Ended: StreamWriter.ended,
}
