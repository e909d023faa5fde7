"""Read the error that stands in place of an answer, or of an event of a stream, under a status that is good.

Must not know what the words mean: `verdicts` does.
Source: as there; recorded errors of OpenAI, Groq, OpenRouter, xAI and SGLang.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import UpstreamError
from gateway.formats.errors.verdicts import fault


class _Told(msgspec.Struct):
    error: Any = None
    object: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


_told = msgspec.json.Decoder(_Told)


def fault_in(data: bytes, *, named: bool = False) -> UpstreamError | None:
    """Return the error that this JSON tells; None where it tells none.

    `named`: the event says by its name that it is one. SGLang writes its errors flat, without `error` around.
    """
    try:
        told = _told.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if told.error:
        return fault(*read_error(told.error))
    if named or told.object == "error":
        return fault(*read_error({"code": told.code or told.type, "message": told.message}))
    return None


def read_error(error: Any) -> tuple[str, str, int]:
    """Return code, message and status (0: untold) of an error inside an answer, whatever its shape."""
    if not isinstance(error, dict):
        return "", str(error), 0
    code = error.get("code") or error.get("type") or ""
    status = error.get("status_code") or code
    message = error.get("message")
    return str(code), message if isinstance(message, str) else "", status if isinstance(status, int) else 0
