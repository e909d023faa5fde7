"""Errors in OpenAI's dialect.

Source: OpenAI API reference, "Errors" (checked 2026-11).
"""

from __future__ import annotations

import msgspec

from gateway.errors import GatewayError
from gateway.formats.errors.native import own_or_written


class _ErrorObject(msgspec.Struct):
    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Native(msgspec.Struct):
    error: _ErrorObject


class _ToldObject(_ErrorObject):
    status: msgspec.Raw = msgspec.Raw(b"")


class _Told(msgspec.Struct):
    """An error that may be another provider's: Anthropic's has a `type` beside it, Google's a `status`."""

    error: _ToldObject
    type: msgspec.Raw = msgspec.Raw(b"")


_told = msgspec.json.Decoder(_Told)


def encode_error(error: GatewayError) -> bytes:
    """Write an error as the JSON body that OpenAI's SDKs read.

    The upstream's own body is passed on as it is when it already has that shape.
    """
    return own_or_written(error, is_native, _object)


def encode_error_event(error: GatewayError) -> bytes:
    """Write an error as an event inside a stream. No `[DONE]` follows it: the stream is not whole."""
    return b"data: " + msgspec.json.encode(_object(error)) + b"\n\n"


def _object(error: GatewayError) -> _Native:
    return _Native(_ErrorObject(error.message, error.kind, error.param, error.code))


def is_native(body: bytes) -> bool:
    """Tell whether a body is `{"error": {"message": ...}}`, and of OpenAI's dialect."""
    try:
        told = _told.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not bytes(told.type) and not bytes(told.error.status)
