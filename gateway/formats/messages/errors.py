"""Errors in Anthropic's dialect.

Source: Anthropic API reference, "Errors" (checked 2026-11); the classes of its Python SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.errors import GatewayError, Unsupported
from gateway.formats.errors.native import fits, own_or_written

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The `type` that goes with a status; other 4xx are an invalid_request_error, all others an api_error."""


_DETAILS: Mapping[str | None, Mapping[str, Any]] = {
    "thread": {"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
}
"""What an SDK acts on when a field is refused, by the field: Anthropic's tool runner asks for a conversation
to be kept by the provider, and sends all of it each time once it is told that nobody does."""


class _ErrorObject(msgspec.Struct, omit_defaults=True):
    type: str
    message: str
    details: Mapping[str, Any] | None = None


class _Native(msgspec.Struct):
    type: Literal["error"]
    error: _ErrorObject


_native = msgspec.json.Decoder(_Native)


def encode_error(error: GatewayError) -> bytes:
    """Write an error as the JSON body that Anthropic's SDKs read.

    The upstream's own body is passed on as it is when it already has that shape.
    """
    return own_or_written(error, is_native, _object)


def encode_error_event(error: GatewayError) -> bytes:
    """Write an error as an event inside a stream. No `message_stop` follows it: the stream is not whole."""
    return b"event: error\ndata: " + msgspec.json.encode(_object(error)) + b"\n\n"


def is_native(body: bytes) -> bool:
    """Tell whether a body is `{"type": "error", "error": {"type": ..., "message": ...}}`."""
    return fits(_native, body)


def _object(error: GatewayError) -> _Native:
    kind = _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    details = _DETAILS.get(error.param) if isinstance(error, Unsupported) else None
    return _Native("error", _ErrorObject(kind, _message(error), details))


def _message(error: GatewayError) -> str:
    """Put the field at fault in front, as Anthropic does: the dialect has no member for it."""
    if error.param is None or error.param in error.message:
        return error.message
    return f"{error.param}: {error.message}"
