"""Write the stream of a chat completion for a client, as OpenAI's SDKs read it.

Everything is written as it comes, but for the usage, of which the last one told counts and which stands at
the end. Thoughts are written as text, and as details too where they may be signed: their signature comes
last, and the client is to send both back together.

Must not know upstreams or sockets.
Source: OpenAI API reference, "The chat completion chunk object"; OpenRouter, "Reasoning tokens: streaming"
(checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Usage
from gateway.formats.chat.answer import (
    write_choice_raw,
    write_extra,
    write_finish,
    write_logprobs,
    write_usage,
)
from gateway.formats.chat.content import write_part
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.chat.message import (
    LISTED,
    NO_ARGUMENTS,
    needs_details,
    write_annotations,
    write_audio,
    write_call,
    write_citation,
    write_details,
    write_signature,
)
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
from gateway.formats.neutral.seals import seal

_SIGNING = frozenset({"messages", "converse", "gemini", "responses"})
"""Formats whose thoughts may have a signature, which comes after their text."""

_BETWEEN = "\n\n"
_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_AFTER_TEXT = b'},"logprobs":null,"finish_reason":null}]}\n\n'
_REASONING_FIELDS = {"text": "text", "summary": "summary", "signature": "signature", "encrypted": "data"}
_REASONING_KINDS = {"text": "text", "summary": "summary", "signature": "text", "encrypted": "encrypted"}


class _Line:
    """A part under way: its content as it was opened, its choice, its place among the parts of its kind."""

    __slots__ = ("argued", "before", "choice", "content", "detailed", "index")

    def __init__(self, content: Part, choice: int, index: int) -> None:
        self.content = content
        self.choice = choice
        self.index = index
        self.before = b""
        self.detailed = False
        self.argued = isinstance(content, ToolCall) and bool(content.custom or content.arguments)


class _Count:
    """What a choice has had so far."""

    __slots__ = ("calls", "images", "kinds", "sources", "thoughts")

    def __init__(self) -> None:
        self.calls = self.thoughts = self.sources = self.images = 0
        self.kinds: set[type[Part]] = set()


class StreamWriter:
    """One stream; it ends with `[DONE]`, or with an error and nothing after it."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._head = b""
        self._lines: dict[int, _Line] = {}
        self._counts: dict[int, _Count] = {}
        self._usage: Usage | None = None
        self._over = False

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; nothing after the end or an error."""
        return b"".join([_WRITERS[type(event)](self, event) for event in events if not self._over])

    def fail(self, error: GatewayError) -> bytes:
        """Write an error, after what is known to be spent; nothing follows it."""
        self._over = True
        return self._spent({}) + encode_error_event(error)

    def began(self, event: Began) -> bytes:
        """Write the first chunk: who answers."""
        heading = self._heading
        head = {
            "id": event.id or f"chatcmpl-{heading.id}",
            "object": "chat.completion.chunk",
            "created": event.created_unix_s or heading.created_unix_s,
            "model": heading.model_of(event.model),
        }
        if event.service_tier:
            head["service_tier"] = event.service_tier
        self._head = b"data: " + _encode(head)[:-1] + b","
        return self._opening(0, write_extra(event.extra))

    def _opening(self, choice: int, extra: Mapping[str, Any]) -> bytes:
        self._counts[choice] = _Count()
        delta = {"role": "assistant", "content": ""}
        return self._chunk({"choices": [_choice(choice, delta)], **extra})

    def _chunk(self, members: Mapping[str, Any]) -> bytes:
        if not self._head:  # an upstream that never said who answers
            return self.began(Began()) + self._head + _encode(members)[1:] + b"\n\n"
        return self._head + _encode(members)[1:] + b"\n\n"

    def _delta(self, choice: int, delta: Mapping[str, Any], logprobs: Any = None) -> bytes:
        return self._chunk({"choices": [_choice(choice, delta, logprobs)]}) if delta or logprobs else b""

    def opened(self, event: Opened) -> bytes:
        """Write the beginning of a part."""
        start = b"" if event.choice in self._counts else self._opening(event.choice, {})
        count = self._counts[event.choice]
        count.kinds.add(type(event.content))
        line = _Line(event.content, event.choice, 0)
        self._lines[event.part] = line
        opener = _OPENERS.get(type(event.content))
        return start + (opener(self, line, count) if opener else b"")

    def text(self, line: _Line, count: _Count) -> bytes:
        """Open a text."""
        content = line.content
        if not isinstance(content, Text):
            return b""
        choice = _encode({"choices": [{"index": line.choice}]})[1:-3]
        line.before = self._head + choice + b',"delta":{"content":'
        delta: dict[str, Any] = {"content": content.text} if content.text else {}
        delta |= write_signature(content.signature, "gemini")
        if annotations := write_annotations([content], answer=True):
            delta["annotations"] = [self._source(each, count) for each in annotations]
        return self._delta(line.choice, delta)

    def _source(self, annotation: Mapping[str, Any], count: _Count) -> dict[str, Any]:
        """Number an annotation: OpenAI's SDKs join the lists of several chunks by index."""
        count.sources += 1
        return {**annotation, "index": count.sources - 1}

    def refusal(self, line: _Line, _: _Count) -> bytes:
        """Open a refusal."""
        content = line.content
        return self._delta(line.choice, {"refusal": content.text}) if isinstance(content, Refusal) else b""

    def reasoning(self, line: _Line, count: _Count) -> bytes:
        """Open a thought."""
        thought = line.content
        if not isinstance(thought, Reasoning):
            return b""
        line.index = count.thoughts
        count.thoughts += 1
        line.detailed = thought.origin in _SIGNING or needs_details(thought) or line.index > 0
        words = thought.text or _BETWEEN.join(thought.summary)
        delta: dict[str, Any] = {"reasoning_content": words} if words else {}
        details = write_details(thought, line.index) if line.detailed else []
        if line.detailed and not details:  # so that its index, its id and its beginning are known
            details = [{"type": "reasoning.text", "text": "", "index": line.index}]
            details[0] |= {"id": thought.id} if thought.id else {}
        if details:
            delta["reasoning_details"] = details
        return self._delta(line.choice, delta)

    def call(self, line: _Line, count: _Count) -> bytes:
        """Open a call."""
        content = line.content
        if not isinstance(content, ToolCall):
            return b""
        line.index = count.calls
        count.calls += 1
        return self._delta(line.choice, {"tool_calls": [{"index": line.index, **write_call(content, "")}]})

    def media(self, line: _Line, count: _Count) -> bytes:
        """Write an image, or the beginning of a sound."""
        content = line.content
        if not isinstance(content, Media):
            return b""
        if content.kind == "audio":
            return self._delta(line.choice, {"audio": write_audio(content)})
        line.index = count.images
        count.images += 1
        return self._delta(line.choice, {"images": [{**write_part(content), "index": line.index}]})

    def opaque(self, line: _Line, count: _Count) -> bytes:
        """Write what only this format knows; what another format knows can go nowhere."""
        content = line.content
        if not isinstance(content, Opaque) or content.format != "chat":
            return b""
        if content.kind == "annotation":
            return self._delta(line.choice, {"annotations": [self._source(content.value, count)]})
        return self._delta(line.choice, {"content": [content.value]})

    def grew(self, event: Grew) -> bytes:
        """Write what a part got longer by."""
        line = self._lines[event.part]
        if event.what == "text" and line.before and event.logprobs is None:
            return line.before + _encode(event.text) + _AFTER_TEXT
        kind = type(line.content)
        if kind is Reasoning:
            return self._thought(line, event)
        if kind is ToolCall:
            return self._argument(line, event)
        if kind is Media:
            return self._delta(event.choice, {"audio": {event.what: event.text}})
        if kind is Opaque:
            return b""
        logprobs = write_logprobs(event.logprobs, frozenset({kind}))
        return self._delta(event.choice, {"refusal" if kind is Refusal else "content": event.text}, logprobs)

    def _thought(self, line: _Line, event: Grew) -> bytes:
        origin = line.content.origin if isinstance(line.content, Reasoning) else ""
        delta: dict[str, Any] = {}
        text = _BETWEEN + event.text if event.new_summary else event.text
        if event.what in {"text", "summary"}:
            delta["reasoning_content"] = text
        else:
            text = seal(text, origin, "chat")
        if line.detailed or event.what != "text":
            line.detailed = True
            kind = f"reasoning.{_REASONING_KINDS[event.what]}"
            delta["reasoning_details"] = [
                {"type": kind, _REASONING_FIELDS[event.what]: text, "index": line.index}
            ]
        return self._delta(event.choice, delta)

    def _argument(self, line: _Line, event: Grew) -> bytes:
        call = line.content
        line.argued = line.argued or (event.what == "arguments" and bool(event.text))
        if event.what == "signature":
            members = write_signature(event.text, call.origin if isinstance(call, ToolCall) else "")
        elif isinstance(call, ToolCall) and call.custom:
            members = {"custom": {"input": event.text}}
        else:
            members = {"function": {"arguments": event.text}}
        return self._delta(event.choice, {"tool_calls": [{"index": line.index, **members}]})

    def cited(self, event: Cited) -> bytes:
        """Write a source; those of a list stand in the list."""
        if event.citation.raw == LISTED:
            return b""
        count = self._counts[event.choice]
        return self._delta(
            event.choice, {"annotations": [self._source(write_citation(event.citation), count)]}
        )

    def closed(self, event: Closed) -> bytes:
        """Forget the part's beginning: the format has no sign for its end."""
        del event
        return b""

    def finished(self, event: Finished) -> bytes:
        """Write why a choice ended."""
        start = b"" if event.choice in self._counts else self._opening(event.choice, {})
        start += self._without_arguments(event.choice)
        kinds = frozenset(self._counts[event.choice].kinds)
        raw = write_choice_raw(event.raw) if isinstance(event.raw, dict) else {}
        choice = _choice(event.choice, {}) | {
            "finish_reason": write_finish(event.finish, event.finish_raw, kinds),
            **raw,
        }
        return start + self._chunk({"choices": [choice]})

    def _without_arguments(self, choice: int) -> bytes:
        """Write the arguments of functions that were called without any: clients parse them in any case.

        Only the end of the choice tells: a call may go on after another one has begun.
        """
        bare = [
            line
            for line in self._lines.values()
            if line.choice == choice and isinstance(line.content, ToolCall) and not line.argued
        ]
        calls = [{"index": line.index, "function": {"arguments": NO_ARGUMENTS}} for line in bare]
        return self._delta(choice, {"tool_calls": calls} if calls else {})

    def metered(self, event: Metered) -> bytes:
        """Keep the usage: the last one told is written at the end."""
        self._usage = event.usage
        return b""

    def faulted(self, event: Faulted) -> bytes:
        """Write what the upstream says went wrong."""
        return self.fail(event.error)

    def ended(self, event: Ended) -> bytes:
        """Write the usage where the client wants it, and the end."""
        self._over = True
        return self._spent(event.extra) + _DONE

    def _spent(self, extra: Mapping[str, Any]) -> bytes:
        """Write the usage where it is known and wanted, and what the upstream told at its end."""
        members = write_extra(extra)
        if self._usage is not None and self._heading.wants_usage:
            members["usage"] = write_usage(self._usage, extra.get("usage"))
        return self._chunk({"choices": [], **members}) if members else b""


def _choice(index: int, delta: Mapping[str, Any], logprobs: Any = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}


_OPENERS: Mapping[type, Callable[[StreamWriter, _Line, _Count], bytes]] = {
    Text: StreamWriter.text,
    Refusal: StreamWriter.refusal,
    Reasoning: StreamWriter.reasoning,
    ToolCall: StreamWriter.call,
    Media: StreamWriter.media,
    Opaque: StreamWriter.opaque,
}
_WRITERS: Mapping[type, Callable[[StreamWriter, Any], bytes]] = {
    Grew: StreamWriter.grew,
    Opened: StreamWriter.opened,
    Closed: StreamWriter.closed,
    Cited: StreamWriter.cited,
    Finished: StreamWriter.finished,
    Metered: StreamWriter.metered,
    Faulted: StreamWriter.faulted,
    Began: StreamWriter.began,
    Ended: StreamWriter.ended,
}
