"""Whole answers of Cohere's chat in both directions.

Source: Cohere API reference, "Chat: response" (checked 2026-11), recorded answers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from gateway.errors import BadAnswer, BadRequest
from gateway.formats.cohere import types
from gateway.formats.cohere.messages import read_message, write_assistant
from gateway.formats.cohere.usage import (
    read_extra,
    read_finish,
    read_logprob,
    read_usage,
    write_finish,
    write_logprob,
    write_usage,
)
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.reading import read_answer


def decode_answer(body: bytes) -> Completion:
    """Read an answer. Raises Failed when it is none."""
    seen = read_answer(body, types.Answer)
    if seen.message is None:
        raise BadAnswer("the upstream's answer has no message")
    try:
        parts, loose = read_message(seen.message, partial(_content_of, body), "message")
    except BadRequest as error:  # base64 that is none: here it is the upstream's
        raise BadAnswer(error.message) from None
    choice = Choice(
        parts=tuple(parts),
        finish=read_finish(seen.finish_reason) if seen.finish_reason else None,
        finish_raw=seen.finish_reason or "",
        logprobs=tuple(read_logprob(token) for token in seen.logprobs) if seen.logprobs else None,
        raw=loose,
    )
    return Completion((choice,), id=seen.id or "", usage=read_usage(seen.usage), extra=read_extra(seen.usage))


def _content_of(body: bytes) -> Any:
    value: Any = read_answer(body, Any)
    return value["message"]["content"]


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write an answer: its first choice, for there is only one here, without media, which it cannot hold."""
    choice = completion.choices[0] if completion.choices else Choice()
    usage = write_usage(completion.usage, completion.extra)
    members: dict[str, Any] = {
        "id": completion.id or heading.id,
        "message": write_assistant(choice.parts, choice.raw),
        "finish_reason": write_finish(choice.finish or "stop", choice.finish_raw),
    }
    if usage is not None:
        members["usage"] = usage
    if choice.logprobs:
        members["logprobs"] = [write_logprob(token) for token in choice.logprobs]
    return msgspec.json.encode(members)
