"""The words of a call as attributes: what was asked and what was answered, redacted and bounded.

Only for tenants for whom a policy turns it on. Pictures and sound are named, not shown. Must not know spans.
Source: OpenTelemetry semantic conventions, "GenAI spans": gen_ai.input.messages, gen_ai.output.messages,
gen_ai.system_instructions, which are JSON texts where attributes cannot be structured.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Attempt, Call, Record
from gateway.formats.neutral.parts import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.passage.codecs import CODECS
from gateway.formats.request.prompt import decode_prompt
from gateway.telemetry.tracing import names
from gateway.telemetry.tracing.settings import TraceSettings, Value

_CUT = "forebay.content_cut"
_MOST_PARTS = 256
_LONGEST_CHARS = 4096
"""So long is the longest of what is redacted."""
_INSTRUCTIONS = frozenset({"system", "developer"})


class _Room:
    """How much may still be said; what is beyond it is left out, and `is_cut` tells that."""

    def __init__(self, settings: TraceSettings) -> None:
        self._left, self._redact = settings.content_chars, settings.redact
        self._parts_left = _MOST_PARTS
        self.is_cut = False

    def take(self, text: str) -> str:
        """Return what may be said of a text."""
        # Redacted before it is cut: of a card's number that is cut in two, neither half looks like one.
        clean = self._redact(text[: 2 * self._left + _LONGEST_CHARS])
        if len(text) > 2 * self._left + _LONGEST_CHARS:
            clean = clean[:-_LONGEST_CHARS]
        self.is_cut = self.is_cut or len(clean) > self._left
        taken = clean[: self._left]
        self._left -= len(taken)
        return taken

    def takes_part(self) -> bool:
        """Tell whether one more part of a message may be said."""
        self._parts_left -= 1
        takes = self._left > 0 and self._parts_left >= 0
        self.is_cut = self.is_cut or not takes
        return takes


def content_of(record: Record, settings: TraceSettings) -> dict[str, Value]:
    """Return what was asked and what the client was answered. What cannot be read is left out."""
    said: dict[str, Value] = {}
    room, answer_room = _Room(settings), _Room(settings)
    if record.call is not None:
        instructions, messages = _asked(record.call, room)
        if instructions:
            said[names.SYSTEM_INSTRUCTIONS] = _json(instructions)
        said[names.INPUT_MESSAGES] = _json(messages)
    answered = [attempt for attempt in record.attempts if not attempt.cause]
    if answered:
        said[names.OUTPUT_MESSAGES] = _json([_answer(answered[-1], answer_room)])
    if room.is_cut or answer_room.is_cut:
        said[_CUT] = True
    return said


def _asked(call: Call, room: _Room) -> tuple[list[Any], list[Any]]:
    """Return instructions and messages; of formats that have no turns, all words as one message."""
    codec = CODECS.get(call.format)
    try:
        turns = () if codec is None else codec.decode_request(call.members).turns
    except GatewayError:  # an upstream may take what we cannot read
        turns = ()
    if not turns:
        text, _ = decode_prompt(call.members)
        return [], [{"role": "user", "parts": [_words(text, room)]}]
    instructions = list[dict[str, Any]]()
    messages = list[dict[str, Any]]()
    for turn in turns:
        parts = [_part(part, room) for part in turn.parts if room.takes_part()]
        if turn.role in _INSTRUCTIONS:
            instructions += parts
        elif parts or not turn.parts:
            messages.append({"role": turn.role, "parts": parts})
    return instructions, messages


def _part(part: Part, room: _Room) -> dict[str, Any]:
    match part:
        case Text() | Refusal():
            return _words(part.text, room)
        case Reasoning():
            return {"type": "reasoning", "content": room.take(part.text or "\n".join(part.summary))}
        case ToolCall():
            named = {"type": "tool_call", "id": room.take(part.id), "name": room.take(part.name)}
            return named | {"arguments": room.take(part.arguments)}
        case ToolResult():
            text = "\n".join(one.text for one in part.parts if isinstance(one, Text))
            return {"type": "tool_call_response", "id": room.take(part.call_id), "response": room.take(text)}
        case Media():
            return {"type": "blob", "modality": part.kind, "mime_type": room.take(part.media_type)}
    return {"type": room.take(part.kind)}


def _words(text: str, room: _Room) -> dict[str, Any]:
    return {"type": "text", "content": room.take(text)}


def _answer(attempt: Attempt, room: _Room) -> dict[str, Any]:
    text = attempt.transcript() if attempt.transcript else ""
    return {"role": "assistant", "parts": [_words(text, room)], "finish_reason": attempt.finish}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
