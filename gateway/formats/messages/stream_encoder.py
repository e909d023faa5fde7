"""Write neutral events as a stream of the Messages API.

Each part becomes a block when there is something to say of it; seals become blocks of their own. Blocks
are open side by side only where the events of their parts are mixed. The end of the message waits for
`Ended`: before, nobody knows its usage, and a broken stream must not look whole.
Source: Anthropic API reference, "Streaming Messages" (checked 2026-11); the stream of its Python SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import Failed, GatewayError
from gateway.exchange import Usage
from gateway.formats.messages.answer import EXTRAS, encode_drawn, id_of, whole_arguments, word_for
from gateway.formats.messages.blocks import OWN
from gateway.formats.messages.content import encode_citation, encode_id, encode_sealed, encode_signature
from gateway.formats.messages.errors import encode_error_event
from gateway.formats.messages.types import Block
from gateway.formats.messages.usage import encode_usage
from gateway.formats.neutral.codec import Heading
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
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall

_encode = msgspec.json.Encoder().encode
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%s:%s}}\n\n'
)
_TEXT = b'"text_delta","text"'
_THINKING = b'"thinking_delta","thinking"'
_ARGUMENTS = b'"input_json_delta","partial_json"'
_SIGNATURE = b'"signature_delta","signature"'
_CITATION = b'"citations_delta","citation"'

_IN_DELTA = ("container", "stop_details")
"""Members of an answer that stand in the delta of its end, the others of `EXTRAS` beside it."""


class MessagesEncoder:
    """One stream for a client."""

    __slots__ = (
        "_began",
        "_blocks",
        "_called",
        "_finished",
        "_heading",
        "_over",
        "_parts",
        "_started",
        "_usage",
    )

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._began = Began()
        self._started = False
        self._blocks = 0
        self._parts: dict[int, _Written] = {}
        self._called = False
        self._finished: Finished | None = None
        self._usage: Usage | None = None
        self._over = False

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing yet."""
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            _WRITE[type(event)](self, event, out)
        if events and not self._over:
            self._start(out)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """Write an error in mid-stream; nothing follows it."""
        if self._over:
            return b""
        self._over = True
        return encode_error_event(error)

    def began(self, event: Began, _: list[bytes]) -> None:
        """Keep who answers until the beginning is written."""
        self._began = event

    def metered(self, event: Metered, out: list[bytes]) -> None:
        """Keep the usage so far."""
        self._usage = event.usage
        self._start(out)

    def _start(self, out: list[bytes]) -> None:
        """Write the beginning once: with the usage when that came together with it."""
        if self._started:
            return
        self._started = True
        began = self._began
        message = {
            "id": id_of(began.id, self._heading),
            "type": "message",
            "role": "assistant",
            "model": self._heading.model_of(began.model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(self._usage, {}, began.service_tier),
            **{name: began.extra[name] for name in EXTRAS if name in began.extra},
        }
        out.append(_event("message_start", {"message": message}))

    def opened(self, event: Opened, out: list[bytes]) -> None:
        """Begin a part."""
        self._start(out)
        if event.choice:
            return
        content = event.content
        part = self._parts[event.part] = _Written(content)
        self._called = self._called or isinstance(content, ToolCall)
        if isinstance(content, Text | ToolCall) and content.signature:
            self._whole(encode_sealed(content.signature, _maker_of(content)), out)
        if isinstance(content, Opaque | ToolCall):
            self._index_of(part, out)
        self._say_content(part, content, out)

    def _say_content(self, part: _Written, content: Part, out: list[bytes]) -> None:
        """Write what is known of a part by its own fields: at its opening, or where it comes at once."""
        if isinstance(content, Text | Refusal):
            self._say(part, _TEXT, content.text, out)
            for citation in content.citations if isinstance(content, Text) else ():
                self._cite(part, citation, out)
        elif isinstance(content, ToolCall) and content.arguments:
            # Of a function's, this may be the beginning only.
            said = whole_arguments(content) if content.custom else content.arguments
            self._say(part, _ARGUMENTS, said, out)
        elif isinstance(content, Reasoning):
            self._say(part, _THINKING, content.text or "\n\n".join(content.summary), out)

    def grew(self, event: Grew, out: list[bytes]) -> None:
        """Go on with a part."""
        part = self._parts.get(event.part)
        if part is None:
            return
        what = event.what
        if what in {"text", "arguments"}:
            self._say(part, part.delta, event.text, out)
        elif what == "summary":
            gap = "\n\n" if event.new_summary and part.said else ""
            self._say(part, _THINKING, gap + event.text, out)
        elif what == "opaque":
            if part.index is not None:
                fields = {"index": part.index, "delta": event.value}
                out.append(_event("content_block_delta", fields))
        else:
            part.held.setdefault(what, []).append(event.text)

    def cited(self, event: Cited, out: list[bytes]) -> None:
        """Write a source."""
        part = self._parts.get(event.part)
        if part is not None:
            self._cite(part, event.citation, out)

    def _cite(self, part: _Written, citation: Any, out: list[bytes]) -> None:
        index = self._index_of(part, out)
        if index is not None:
            out.append(_DELTA % (index, _CITATION, _encode(encode_citation(citation))))

    def _say(self, part: _Written, delta: bytes, text: str, out: list[bytes]) -> None:
        if not text:
            return
        index = part.index
        if index is None:
            index = self._index_of(part, out)
        part.said = True
        if index is not None:
            out.append(_DELTA % (index, delta, _encode(text)))

    def _index_of(self, part: _Written, out: list[bytes]) -> int | None:
        """Return the number of the part's block, which is opened now if it was not; None for no block."""
        if part.index is None and (block := _beginning_of(part.content)) is not None:
            part.index = self._blocks
            part.closed = False  # what goes on after its end is ended once more
            self._blocks += 1
            out.append(_event("content_block_start", {"index": part.index, "content_block": block}))
        return part.index

    def _whole(self, block: Any, out: list[bytes]) -> None:
        """Write a block that has no deltas."""
        index = self._blocks
        self._blocks += 1
        out.append(_event("content_block_start", {"index": index, "content_block": block}))
        out.append(_event("content_block_stop", {"index": index}))

    def closed(self, event: Closed, out: list[bytes]) -> None:
        """End a part."""
        part = self._parts.get(event.part)
        if part is not None and not part.closed:
            self._finish_part(part, event.content or part.content, out)

    def _finish_part(self, part: _Written, content: Part, out: list[bytes]) -> None:
        """Write what of a part was held back or comes with its end, and stop its block."""
        if not part.said and content is not part.content:
            self._say_content(part, content, out)
        signature, encrypted = part.grown("signature", content), part.grown("encrypted", content)
        if isinstance(content, Reasoning) and (signature or part.said):
            sealed = encode_signature(signature, content.origin)
            self._say(part, _SIGNATURE, sealed, out)
        part.closed = True
        if part.index is not None:
            out.append(_event("content_block_stop", {"index": part.index}))
        if isinstance(content, Text | ToolCall) and signature and not _signature_of(part.content):
            self._whole(encode_sealed(signature, _maker_of(content)), out)
        if isinstance(content, Reasoning) and encrypted:
            self._whole(encode_sealed(encrypted, content.origin), out)
        if isinstance(content, Media):
            drawn = {name: part.grown(name, content) for name in ("data", "transcript")}
            self._whole(encode_drawn(msgspec.structs.replace(content, **drawn)), out)

    def finished(self, event: Finished, _: list[bytes]) -> None:
        """Keep why the answer ended until the end is written."""
        if not event.choice:
            self._finished = event

    def ended(self, event: Ended, out: list[bytes]) -> None:
        """Write the end of the message."""
        self._start(out)
        for part in self._parts.values():
            if not part.closed:
                self._finish_part(part, part.content, out)
        finished = self._finished or Finished("stop")
        try:
            word = word_for(finished.finish, finished.finish_raw, calls=self._called)
        except Failed as failure:
            out.append(self.fail(failure))
            return
        extra = event.extra
        fields = {
            "delta": {
                "stop_reason": word,
                "stop_sequence": finished.stop_sequence or None,
                **{name: extra[name] for name in _IN_DELTA if name in extra},
            },
            "usage": encode_usage(self._usage, extra),
            **{name: extra[name] for name in EXTRAS if name in extra and name not in _IN_DELTA},
        }
        out += (_event("message_delta", fields), _event("message_stop", {}))
        self._over = True

    def faulted(self, event: Faulted, out: list[bytes]) -> None:
        """Write an error of the upstream."""
        out.append(self.fail(event.error))


_WRITE: Mapping[type, Callable[[MessagesEncoder, Any, list[bytes]], None]] = {
    Grew: MessagesEncoder.grew,
    Opened: MessagesEncoder.opened,
    Closed: MessagesEncoder.closed,
    Cited: MessagesEncoder.cited,
    Began: MessagesEncoder.began,
    Metered: MessagesEncoder.metered,
    Finished: MessagesEncoder.finished,
    Ended: MessagesEncoder.ended,
    Faulted: MessagesEncoder.faulted,
}

_DELTAS: Mapping[type, bytes] = {
    Text: _TEXT,
    Refusal: _TEXT,
    Reasoning: _THINKING,
    ToolCall: _ARGUMENTS,
}


class _Written:
    """A part under way: its block's number once that is open, and what waits for its end.

    Seals wait because clients take the last of several deltas for the whole signature; media, because
    their block has no deltas.
    """

    __slots__ = ("closed", "content", "delta", "held", "index", "said")

    def __init__(self, content: Part) -> None:
        self.content = content
        self.delta = _DELTAS.get(type(content), _TEXT)
        self.index: int | None = None
        self.said = False
        self.closed = False
        self.held: dict[str, list[str]] = {}

    def grown(self, name: str, content: Part) -> str:
        """Return a field that was held back: as it grew, unless the end of the part repeats it whole."""
        told: str = getattr(content, name, "")
        if content is not self.content and told:
            return told
        return told + "".join(self.held.get(name, ()))


def _signature_of(content: Part) -> str:
    return content.signature if isinstance(content, Text | ToolCall) else ""


def _maker_of(content: Text | ToolCall) -> str:
    return (content.origin if isinstance(content, ToolCall) else "") or "gemini"


def _beginning_of(content: Part) -> Any:
    """Return the empty block that a part begins with; None for a part that has none."""
    if isinstance(content, Text | Refusal):
        return Block("text", text="")
    if isinstance(content, Reasoning):
        return Block("thinking", thinking="", signature="")
    if isinstance(content, ToolCall):
        return {"type": "tool_use", "id": encode_id(content.id), "name": content.name, "input": {}}
    return content.value if isinstance(content, Opaque) and content.format == OWN else None


def _event(kind: str, fields: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
