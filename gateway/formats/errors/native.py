"""Tell whether an upstream's error can be passed on as it is, and how to write one that cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.errors import GatewayError, UpstreamError


def fits(shape: msgspec.json.Decoder[Any], body: bytes) -> bool:
    """Tell whether a body is JSON of a shape."""
    try:
        shape.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def own_or_written(
    error: GatewayError, is_native: Callable[[bytes], bool], written: Callable[[GatewayError], Any]
) -> bytes:
    """Return the upstream's own body where it is of the client's dialect, else the error written in it."""
    if isinstance(error, UpstreamError) and error.raw and is_native(error.raw):
        return error.raw
    return msgspec.json.encode(written(error))
