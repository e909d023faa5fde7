"""Errors in OpenAI's dialect, and reading the error bodies of everyone who claims to speak it.

Source: OpenAI API reference, "Errors" (checked 2026-11); recorded errors of 20 hosts.
"""

from __future__ import annotations

import math

import msgspec

from gateway.errors import GatewayError, MethodNotAllowed, UpstreamError
from gateway.exchange import Reply
from gateway.formats.headers import relayed_headers

_MESSAGE_LIMIT_CHARS = 2000


class _ErrorObject(msgspec.Struct):
    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Native(msgspec.Struct):
    error: _ErrorObject


class _Loose(msgspec.Struct):
    """Other hosts: xAI and Ollama put a text into `error`, Cohere and Bedrock use `message`, Voyage `detail`.

    Gemini's OpenAI-compatible endpoint wraps its error object into a list.
    """

    error: msgspec.Raw = msgspec.Raw(b"null")
    message: msgspec.Raw = msgspec.Raw(b"null")
    detail: msgspec.Raw = msgspec.Raw(b"null")


_native = msgspec.json.Decoder(_Native)
_loose = msgspec.json.Decoder(_Loose | list[_Loose])


def encode_error(error: GatewayError) -> bytes:
    """Write an error as the JSON body that OpenAI's SDKs read.

    The upstream's own body is passed on as it is when it already has that shape.
    """
    if isinstance(error, UpstreamError) and error.raw and is_native(error.raw):
        return error.raw
    return msgspec.json.encode(_object(error))


def error_reply(error: GatewayError, call_id: str) -> Reply:
    """Build the reply that tells a client of an error, with the headers SDKs look at."""
    own = [
        (b"x-forebay-call-id", call_id.encode()),
        (b"x-forebay-error-source", error.source.encode()),
    ]
    upstream = error.headers if isinstance(error, UpstreamError) else ()
    headers = [line for line in relayed_headers(upstream, own) if line[0] != b"content-type"]
    headers.append((b"content-type", b"application/json"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    given = {name for name, _ in headers}
    if b"x-request-id" not in given:
        headers.append((b"x-request-id", call_id.encode()))
    if error.retry_after_s is not None and b"retry-after" not in given:
        headers.append((b"retry-after", str(math.ceil(error.retry_after_s)).encode()))
    return Reply(error.status, headers, encode_error(error))


def encode_error_event(error: GatewayError) -> bytes:
    """Write an error as an event inside a stream. No `[DONE]` follows it: the stream is not whole."""
    return b"data: " + msgspec.json.encode(_object(error)) + b"\n\n"


def _object(error: GatewayError) -> _Native:
    return _Native(_ErrorObject(error.message, error.kind, error.param, error.code))


def is_native(body: bytes) -> bool:
    """Tell whether a body is `{"error": {"message": ...}}`."""
    try:
        _native.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def decode_error_message(body: bytes, status: int) -> str:
    """Find the provider's message in an error body of whatever shape; never empty."""
    try:
        found = _loose.decode(body)
        for loose in found if isinstance(found, list) else (found,):
            for raw in (loose.error, loose.message, loose.detail):
                if text := _text_in(raw):
                    return text[:_MESSAGE_LIMIT_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"the upstream answered {status} without a readable error"
    return f"the upstream answered {status}"


def _text_in(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    if isinstance(value, dict):
        value = value.get("message")
    if isinstance(value, str):
        return value
    return "" if value is None else bytes(raw).decode(errors="replace")
