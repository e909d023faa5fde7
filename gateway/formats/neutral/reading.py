"""Decode JSON into typed structs, and say of bad input where it is bad."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from gateway.errors import BadAnswer, BadRequest
from gateway.exchange import Usage

T = TypeVar("T")
MOST_TOKENS = 10**12
"""A report of more, or of less than none, is no count."""
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_ESCAPE = re.compile(
    rb"\\(?:[^u]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
"""What a backslash begins in JSON; a whole pair is one, and the group is half of one."""


def read_members(members: Mapping[str, msgspec.Raw], kind: type[T]) -> T:
    """Decode the members of a request's body as `kind`; raises BadRequest naming the place at fault."""
    return read_request(msgspec.json.encode(members), kind)


def read_request(body: bytes, kind: type[T]) -> T:
    """Decode a client's JSON as `kind`; raises BadRequest naming the place at fault."""
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PLACE.search(text)
        place = found.group(1) if found else None
        what = text[: found.start()] if found else text
        raise BadRequest(
            f"{place}: {what}" if place else what, param=place or None, code="invalid_type"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply", code="invalid_json") from None


def read_answer(body: bytes, kind: type[T]) -> T:
    """Decode an upstream's JSON as `kind`; raises BadAnswer when it is something else."""
    try:
        return lenient(_decoder(kind).decode, body)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the upstream's answer is not what its format promises: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(body, error) from None


def lenient(decode: Callable[[bytes], T], body: bytes) -> T:
    """Decode an upstream's JSON that may hold half of a surrogate pair: an answer cut amid a character.

    msgspec refuses one; clients do not. U+FFFD is read in its place. Raises what `decode` raises.
    """
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        readable = without_halves(body)
        if readable == body:
            raise
        return decode(readable)


def without_halves(body: bytes) -> bytes:
    """Put U+FFFD in the place of each half of a surrogate pair; every other byte stays where it is."""
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)


def not_json(body: bytes, error: Exception) -> BadAnswer:
    """Say what came instead of a whole answer, `error` being what its decoder says of it."""
    if not body or body.isspace():
        return BadAnswer("the upstream's answer is empty")
    if body.lstrip()[:1] == b"<":
        return BadAnswer("the upstream answered with an HTML page")
    return BadAnswer(f"the upstream's answer is not whole JSON: {error}")


def believed(told: Usage, *parts: float | None) -> Usage | None:
    """Return what an upstream tells that it used; None where an amount is nonsense: it has not counted.

    `parts` are numbers of its that are in sums alone. Every format ends its reading of usage with this: what
    passes is charged, and given back, as it is. The comparisons are written out because streams tell usage
    with each word: a loop takes twice as long.
    """
    for part in parts:
        if part is not None and not 0 <= part <= MOST_TOKENS:
            return None
    text = (
        0 <= told.input_tokens <= MOST_TOKENS
        and 0 <= told.output_tokens <= MOST_TOKENS
        and 0 <= told.cached_tokens <= MOST_TOKENS
        and 0 <= told.cache_write_tokens <= MOST_TOKENS
        and 0 <= told.cache_write_1h_tokens <= MOST_TOKENS
        and 0 <= told.reasoning_tokens <= MOST_TOKENS
        and 0 <= told.tool_use_tokens <= MOST_TOKENS
    )
    media = (
        0 <= told.audio_input_tokens <= MOST_TOKENS
        and 0 <= told.audio_output_tokens <= MOST_TOKENS
        and 0 <= told.image_input_tokens <= MOST_TOKENS
        and 0 <= told.image_output_tokens <= MOST_TOKENS
        and 0 <= told.searches <= MOST_TOKENS
        and 0 <= told.characters <= MOST_TOKENS
        and 0 <= told.audio_s <= MOST_TOKENS
    )
    return told if text and media else None


def count_in(value: object) -> int:
    """Return a count that stands where anything may: 0 for what is none, and for what nobody counted."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return int(value) if 0 < value <= MOST_TOKENS else 0


def searches_in(told: object) -> int:
    """Read Anthropic's `server_tool_use`, which others have, too: how often the web was searched."""
    return count_in(told.get("web_search_requests")) if isinstance(told, dict) else 0


_any: msgspec.json.Decoder[object] = msgspec.json.Decoder(Any)


def value_in(raw: msgspec.Raw) -> str | None:
    """Read a text that was left undecoded; None for whatever is none."""
    value = any_in(raw)
    return value if type(value) is str else None


def any_in(raw: msgspec.Raw) -> object:
    """Read a value that was left undecoded; None for what cannot be read."""
    try:
        return _any.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_decoders: dict[Any, Any] = {}


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a type, built once. The types are those of our own modules: few."""
    found: msgspec.json.Decoder[T] | None = _decoders.get(kind)
    if found is None:
        found = _decoders[kind] = msgspec.json.Decoder(kind, strict=True)
    return found


def check_base64(data: str, where: str) -> str:
    """Return `data`; raises BadRequest when it is not base64."""
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{where} is not valid base64", param=where, code="invalid_base64") from None
    return data


_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?);base64,", re.IGNORECASE)


def split_data_url(url: str, where: str) -> tuple[str, str] | None:
    """Split `data:TYPE;base64,DATA` into type and data; None for any other URL.

    Raises BadRequest for a data URL that is not base64.
    """
    if url[:5].lower() != "data:":
        return None
    head = _DATA_URL.match(url)
    if head is None:
        raise BadRequest(f"{where} is a data URL that is not base64", param=where, code="invalid_base64")
    return head.group(1), check_base64(url[head.end() :], where)
