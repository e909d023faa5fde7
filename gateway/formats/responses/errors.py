"""Errors in the dialect of OpenAI's Responses API: the bodies of chat completions, events of its own.

Source: OpenAI API reference, "Responses: streaming events" (checked 2026-11).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.errors import GatewayError
from gateway.formats.chat.errors import encode_error as encode_openai_error


class _ErrorObject(msgspec.Struct):
    type: str
    code: str
    message: str
    param: str | None


class _ErrorEvent(msgspec.Struct):
    type: Literal["error"]
    code: str
    message: str
    param: str | None
    error: _ErrorObject
    """The same once more: the reference has it above, OpenAI sends it here, and its SDK raises only this."""
    sequence_number: int


def encode_error(error: GatewayError) -> bytes:
    """Write an error as the JSON body that OpenAI's SDKs read: all of OpenAI's APIs have the same."""
    return encode_openai_error(error)


def encode_error_event(error: GatewayError, sequence_number: int = 0) -> bytes:
    """Write an error as an event inside a stream, `sequence_number` being that of the event.

    No `response.completed` follows it: the stream is not whole.
    """
    told = _ErrorObject(error.kind, error.code, error.message, error.param)
    event = _ErrorEvent("error", error.code, error.message, error.param, told, sequence_number)
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
