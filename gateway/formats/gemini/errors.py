"""Errors in Google's dialect.

Sources: Google AI for Developers, "Gemini API troubleshooting"; Google Cloud APIs, "Errors", with the
details of `google/rpc/error_details.proto` (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.formats.errors.native import fits, own_or_written

_STATUSES: Mapping[int, str] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
"""The word that goes with an HTTP status; other 4xx are an INVALID_ARGUMENT, all others INTERNAL."""

_DOMAIN = "forebay"
_RPC = "type.googleapis.com/google.rpc."


class _ErrorObject(msgspec.Struct):
    code: int
    message: str
    status: str
    details: list[dict[str, Any]] = []


class _Native(msgspec.Struct):
    error: _ErrorObject


_native = msgspec.json.Decoder(_Native)


def encode_error(error: GatewayError) -> bytes:
    """Write an error as the JSON body that Google's SDKs read.

    The upstream's own body is passed on as it is when it already has that shape.
    """
    return own_or_written(error, is_native, _object)


def encode_error_event(error: GatewayError) -> bytes:
    """Write an error as an event inside a stream. No `finishReason` follows it: the stream is not whole."""
    return b"data: " + msgspec.json.encode(_object(error)) + b"\r\n\r\n"


def is_native(body: bytes) -> bool:
    """Tell whether a body is `{"error": {"code": ..., "message": ..., "status": ...}}`, the code a number."""
    return fits(_native, body)


def _object(error: GatewayError) -> _Native:
    status = _STATUSES.get(error.status) or ("INVALID_ARGUMENT" if error.status < 500 else "INTERNAL")
    return _Native(_ErrorObject(error.status, error.message, status, _details(error)))


def _details(error: GatewayError) -> list[dict[str, Any]]:
    """Say what Google's error object has no member for: the cause, the field at fault, the wait."""
    details: list[dict[str, Any]] = [
        {"@type": f"{_RPC}ErrorInfo", "reason": error.code.upper(), "domain": _DOMAIN}
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_RPC}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    return details
