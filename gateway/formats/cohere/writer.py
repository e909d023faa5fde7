"""Write the events of a Cohere chat stream.

No client of the gateway speaks this format; it is written so that recordings can be written again and
compared. Media and the items of other formats have no event here and are left out.

Source: Cohere API reference, "Chat with Streaming" (checked 2026-11), recorded streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Usage
from gateway.formats.cohere import types
from gateway.formats.cohere.citations import loose_in, write_citation
from gateway.formats.cohere.messages import PLAN, words_of, write_call
from gateway.formats.cohere.usage import write_finish, write_logprob, write_usage
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
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall

_Place = tuple[str, int]
"""The kind of an open part, and its number among the contents or the calls."""

_TEXT_HEAD = (
    b'event: content-delta\ndata: {"type":"content-delta","index":%d,"delta":{"message":{"content":{"%b":'
)
_TEXT_TAIL = b"}}}}\n\n"


class EventWriter:
    """One stream on its way out."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._places: dict[int, _Place] = {}
        self._contents = 0
        self._calls = 0
        self._citations = 0
        self._finished = Finished("stop")
        self._usage: Usage | None = None

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events. The finish and the usage are said together, at the end."""
        return b"".join([self._WRITERS[type(event)](self, event) for event in events])

    def fail(self, error: GatewayError) -> bytes:
        """Write the end of a stream that failed."""
        delta = {"finish_reason": "ERROR", "error": error.message, "error_type": error.code}
        return _event("message-end", {"delta": delta}) + b"data: [DONE]\n\n"

    def _began(self, event: Began) -> bytes:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return _event("message-start", {"delta": {"message": message}}, id_=event.id or self._heading.id)

    def _opened(self, event: Opened) -> bytes:
        part = event.content
        kind = _kind_of(part)
        if kind == "call" and isinstance(part, ToolCall):
            place = self._place(event.part, kind, self._calls)
            self._calls += 1
            call = write_call(msgspec.structs.replace(part, arguments=""))
            start = _event("tool-call-start", {"index": place[1], **_grown({"tool_calls": call})})
            return start + _growth(place, part.arguments)
        if kind == PLAN:
            return _growth(self._place(event.part, kind, 0), _words_in(part))
        if not kind:
            return b""
        place = self._place(event.part, kind, self._contents)
        self._contents += 1
        content = part.value if isinstance(part, Opaque) else {"type": kind, kind: ""}
        start = _event("content-start", {"index": place[1], **_grown({"content": content})})
        return start + (_growth(place, _words_in(part)) if kind != "opaque" else b"")

    def _place(self, number: int, kind: str, index: int) -> _Place:
        place = self._places[number] = (kind, index)
        return place

    def _grew(self, event: Grew) -> bytes:
        place = self._places.get(event.part)
        if place is None or event.what not in {"text", "arguments", "summary", "opaque"}:
            return b""
        if event.what == "opaque":
            return _event("content-delta", {"index": place[1], **_grown({"content": event.value})})
        if event.logprobs:
            members = {"index": place[1], **_grown({"content": {place[0]: event.text}})}
            return _event("content-delta", members | {"logprobs": write_logprob(event.logprobs[0])})
        return _growth(place, event.text)

    def _cited(self, event: Cited) -> bytes:
        place = self._places.get(event.part, ("text", 0))
        return self._citation(write_citation(event.citation, "", place[1]))

    def _citation(self, value: Any) -> bytes:
        index = self._citations
        self._citations += 1
        start = _event("citation-start", {"index": index, **_grown({"citations": value})})
        return start + _event("citation-end", {"index": index})

    def _closed(self, event: Closed) -> bytes:
        kind, index = self._places.get(event.part, (PLAN, 0))
        if kind == PLAN:
            return b""
        return _event("tool-call-end" if kind == "call" else "content-end", {"index": index})

    def _finish(self, event: Finished) -> bytes:
        self._finished = event
        return b"".join([self._citation(value) for value in loose_in(event.raw)])

    def _metered(self, event: Metered) -> bytes:
        self._usage = event.usage
        return b""

    def _faulted(self, event: Faulted) -> bytes:
        return self.fail(event.error)

    def _ended(self, event: Ended) -> bytes:
        delta: dict[str, Any] = {
            "finish_reason": write_finish(self._finished.finish, self._finished.finish_raw),
            "usage": write_usage(self._usage, event.extra) or {},
        }
        return _event("message-end", {"delta": delta}) + b"data: [DONE]\n\n"

    _WRITERS: ClassVar[Mapping[type, Callable[[EventWriter, Any], bytes]]] = {
        Began: _began,
        Opened: _opened,
        Grew: _grew,
        Cited: _cited,
        Closed: _closed,
        Finished: _finish,
        Metered: _metered,
        Faulted: _faulted,
        Ended: _ended,
    }


def _kind_of(part: Part) -> str:
    if isinstance(part, Reasoning):
        return PLAN if part.id == PLAN else "thinking"
    if isinstance(part, Opaque):
        return "opaque" if part.format == "cohere" else ""
    return "call" if isinstance(part, ToolCall) else "text" if isinstance(part, Text | Refusal) else ""


def _words_in(part: Part) -> str:
    if isinstance(part, Reasoning):
        return words_of(part)
    return part.text if isinstance(part, Text | Refusal) else ""


def _growth(place: _Place, text: str) -> bytes:
    """Write what a part gets longer by; nothing for no text."""
    kind, index = place
    if not text:
        return b""
    if kind == "call":
        call = types.ToolCall(function=types.Function(arguments=text))
        return _event("tool-call-delta", {"index": index, **_grown({"tool_calls": call})})
    if kind == PLAN:
        return _event("tool-plan-delta", _grown({"tool_plan": text}))
    return _TEXT_HEAD % (index, kind.encode()) + msgspec.json.encode(text) + _TEXT_TAIL


def _grown(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"delta": {"message": message}}


def _event(kind: str, members: Mapping[str, Any], id_: str = "") -> bytes:
    named = {"id": id_} if id_ else {}
    data = msgspec.json.encode({**named, "type": kind, **members})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
