"""Remember what a stream has generated, so that it can be counted if no usage ever arrives.

A stream that ends well tells its usage and this is never read. So nothing is parsed until it has to
be: raw events are kept until they outgrow 16 KiB and are then boiled down to their text.
"""

from __future__ import annotations

import msgspec

from gateway.formats.sse import data_of, split_events

RAW_LIMIT_BYTES = 16 * 1024


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_decoder = msgspec.json.Decoder(_Chunk)


def text_of_answer(body: bytes) -> str:
    """Return the text generated in a whole JSON answer; empty for one without choices."""
    try:
        return "".join(_texts_of(_decoder.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class Transcript:
    """The text of a stream: contents, reasoning, refusals, names and arguments of tool calls."""

    __slots__ = ("_raw", "_raw_bytes", "_texts")

    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._texts: list[str] = []

    def add(self, events: bytes) -> None:
        """Keep whole events of the stream."""
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > RAW_LIMIT_BYTES:
            self._boil_down()

    def text(self) -> str:
        """Return all text generated so far."""
        self._boil_down()
        return "".join(self._texts)

    def _boil_down(self) -> None:
        for event in split_events(b"".join(self._raw)):
            try:
                chunk = _decoder.decode(data_of(event))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # a comment, [DONE], or a shape that carries no text we know of
            self._texts.extend(_texts_of(chunk))
        self._raw.clear()
        self._raw_bytes = 0


def _texts_of(chunk: _Chunk) -> list[str]:
    texts: list[str | None] = []
    for choice in chunk.choices or ():
        texts.append(choice.text)
        if delta := choice.delta or choice.message:
            texts += [delta.content, delta.refusal, delta.reasoning_content or delta.reasoning]
            for call in delta.tool_calls or ():
                if call.function:
                    texts += [call.function.name, call.function.arguments]
    return [text for text in texts if text]
