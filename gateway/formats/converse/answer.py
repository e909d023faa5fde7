"""Whole answers in Amazon Bedrock's Converse format, to and from the neutral completion.

Clients do not speak this format: answers are written for recorded ones to be compared with, and by the
upstreams of tests.
Source: Amazon Bedrock API reference, Converse (checked 2026-11); recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from gateway.errors import BadAnswer
from gateway.formats.converse import types
from gateway.formats.converse.content import (
    OWN,
    Unread,
    decode_parts,
    encode_reasoning,
    encode_text,
    redacted_block,
)
from gateway.formats.converse.media import MediaWriter
from gateway.formats.converse.usage import decode_usage, encode_usage, read_tier
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import read_answer
from gateway.formats.neutral.seals import seal

FINISHES: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
"""What Converse says of an end; a word that is not here is a plain stop."""
_WORDS: Mapping[Finish, str] = {
    "stop": "end_turn",
    "pause": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "content_filtered",
    "error": "malformed_model_output",
}
KEPT = ("metrics", "trace", "performanceConfig", "serviceTier")
"""The members that only Converse has; they go into `extra`."""
FIELDS = "additionalModelResponseFields"


def decode_answer(body: bytes) -> Completion:
    """Read a whole answer. Raises Failed for anything else."""
    answer = read_answer(body, types.Answer)
    message = answer.output.message if answer.output else None
    if message is None or not answer.stop_reason:
        raise BadAnswer("the upstream's answer has no message or no stopReason")
    unread = Unread(partial(read_answer, body, Any))
    parts = tuple(decode_parts(message.content, unread, "output", "message", "content", generated=True))
    usage, extra = decode_usage(answer.usage, read_tier(answer)) if answer.usage else (None, {})
    fields = answer.additional_model_response_fields
    choice = Choice(
        parts,
        finish=decode_finish(answer.stop_reason),
        finish_raw=answer.stop_reason,
        raw=None if fields is None else {FIELDS: fields},
    )
    return Completion((choice,), usage=usage, extra=extra | kept_of(answer))


def decode_finish(word: str) -> Finish:
    """Read why the model stopped."""
    return FINISHES.get(word, "stop")


def encode_finish(finish: Finish | None, raw: str) -> str:
    """Write why the model stopped: the word it came with where that means the same."""
    finish = finish or "stop"
    return raw if raw and decode_finish(raw) == finish else _WORDS[finish]


def kept_of(told: types.Answer | types.Metadata) -> dict[str, Any]:
    """Return the members that only Converse has, those of `KEPT`."""
    tier = told.service_tier
    kept = (told.metrics, told.trace, told.performance_config, {"type": tier.type} if tier else None)
    return {name: value for name, value in zip(KEPT, kept, strict=True) if value is not None}


def encode_answer(completion: Completion, _heading: Heading) -> bytes:
    """Write a whole answer: the first choice, Converse has no others, and says nothing of who answers."""
    choice = completion.choices[0] if completion.choices else Choice()
    writer = MediaWriter()
    content = [block for part in choice.parts for block in blocks_of(part, writer)]
    answer: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": encode_finish(choice.finish, choice.finish_raw),
    }
    if completion.usage is not None:
        answer["usage"] = encode_usage(completion.usage, completion.extra)
    if isinstance(choice.raw, dict) and FIELDS in choice.raw:
        answer[FIELDS] = choice.raw[FIELDS]
    answer |= {name: completion.extra[name] for name in KEPT if name in completion.extra}
    return msgspec.json.encode(answer)


def blocks_of(part: Part, media: MediaWriter) -> list[dict[str, Any]]:
    """Write a part of an answer; nothing for what only another format knows.

    A signature of another provider becomes thinking that only its maker can read, before what it signs.
    """
    blocks: list[dict[str, Any]] = []
    match part:
        case Text():
            blocks = [*_signed(part.signature, "gemini"), encode_text(part.text, part.citations)]
        case Refusal():
            blocks = [{"text": part.text}]
        case Reasoning():
            blocks = encode_reasoning(part, lambda value: seal(value, part.origin, OWN))
        case ToolCall():
            call = {"toolUseId": part.id, "name": part.name, "input": input_of(part.arguments)}
            blocks = [*_signed(part.signature, part.origin or "gemini"), {"toolUse": call}]
        case Media():
            blocks = [media.encode(part, "output")]
        case Opaque(format="converse"):
            blocks = [part.value]
    return blocks


def _signed(signature: str, origin: str) -> list[dict[str, Any]]:
    return [redacted_block(seal(signature, origin, OWN))] if signature else []


def input_of(arguments: str) -> Any:
    """Return the arguments as a value; text that is no JSON stays text, for there is no place beside it."""
    try:
        return msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        return arguments
