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
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:]')
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
    old, new = _model_in(body), msgspec.json.encode(name)
    if old in (b"", new):
        return body
    found = list(re.finditer(rb'"model"\s*:\s*(' + re.escape(old) + rb")", body))
    if len(found) == 1:
        renamed = _spliced(body, found[0].start(1), old, new)
        if _model_in(renamed) == new:  # nearly always: the only match was the member itself
            return renamed
    return _spliced(body, _place_of_model(body), old, new)


def _model_in(body: bytes) -> bytes:
    """Return the value of `model` as written; empty when there is none, or no JSON object."""
    try:
        return bytes(_decoder.decode(body).model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def _spliced(body: bytes, start: int, old: bytes, new: bytes) -> bytes:
    return body[:start] + new + body[start + len(old) :]


def _place_of_model(body: bytes) -> int:
    """Find where the value of the last top-level `model` begins, walking over strings and brackets."""
    depth, place, last = 0, 0, b""
    for token in _TOKEN.finditer(body):
        text = token.group()
        if text in _OPEN:
            depth += 1
        elif text in _CLOSE:
            depth -= 1
        elif depth == 1 and text == b":" and msgspec.json.decode(last) == "model":
            place = token.end()
        last = text
    while body[place] in b" \t\r\n":
        place += 1
    return place
