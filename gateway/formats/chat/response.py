"""Read and rename whole JSON answers of OpenAI's dialect, byte for byte where nothing has to change.

Must not know backends or HTTP.
"""

from __future__ import annotations

import re

import msgspec

from gateway.errors import Failed
from gateway.exchange import Usage
from gateway.formats.chat.usage import decode_usage


class _Answer(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw(b"")
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')
_OPEN, _CLOSE = (b"{", b"["), (b"}", b"]")


def decode_answer(body: bytes) -> Usage | None:
    """Check that `body` is one whole JSON object and read its usage; None when it has none.

    Raises Failed when the answer is truncated, HTML, empty, or no JSON object.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(
            f"the upstream's answer is not whole JSON: {error}", code="upstream_bad_answer"
        ) from None
    return decode_usage(answer.usage)


def rename_model(body: bytes, name: str) -> bytes:
    """Put `name` in place of the top-level `model` of an answer; every other byte stays.

    An object without `model` is returned as it is.
    """
    try:
        model = bytes(_decoder.decode(body).model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if not model:
        return body
    # Where the name stands once (nearly always), no walk through the object is needed. Inside of a
    # JSON string the quotes would be escaped, so this cannot match in a text.
    found = list(re.finditer(rb'"model"\s*:\s*(' + re.escape(model) + rb")", body))
    start, end = found[0].span(1) if len(found) == 1 else _span_of_model(body)
    return body[:start] + msgspec.json.encode(name) + body[end:]


def _span_of_model(body: bytes) -> tuple[int, int]:
    """Find the value of the last top-level `model` by walking over strings and brackets."""
    depth, key, span, last = 0, False, (0, 0), b""
    for token in _TOKEN.finditer(body):
        text = token.group()
        if text in _OPEN:
            depth += 1
        elif text in _CLOSE:
            depth -= 1
        elif depth == 1 and text == b":":
            key = msgspec.json.decode(last) == "model"
        elif depth == 1 and text == b",":
            key = False
        elif depth == 1 and key:
            span = token.span()
        last = text
    return span
