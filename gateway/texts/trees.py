"""Take out of JSON what nobody may read: of values, of whole bodies, of the errors inside a stream.

The shape stays: what was JSON is JSON afterwards, and a client's SDK reads an error as before. Pure. Must not
know what is taken out, nor whose JSON it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

Clean = Callable[[str], str]
"""Takes it out of one text; gives back the very same text where there is nothing."""

_LEAST_NUMBER = 10**11
"""A smaller number is no card's and no account's."""
ERROR = b'"error"'
"""Is in all events that `clean_errors` changes, and in few others."""
_ERROR = re.compile(ERROR + rb"(?!\s*:\s*null)")
_LINE = re.compile(rb"[^\r\n]+")
_DATA = re.compile(rb"\s*(?:data:\s*)?(?=\{)")


def clean_tree(value: Any, clean: Clean) -> Any:
    """Return a JSON value without it. What a member is called counts: `{"password": "x1y2z3"}`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(name)): _clean_member(str(name), inner, clean) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean_tree(inner, clean) for inner in value]
    if isinstance(value, int | float) and abs(value) >= _LEAST_NUMBER:
        text = f"{value:.0f}" if isinstance(value, float) else str(value)
        return value if (cleaned := clean(text)) == text else cleaned
    return value


def _clean_member(name: str, value: Any, clean: Clean) -> Any:
    if not isinstance(value, str):
        return clean_tree(value, clean)
    told = f"{name}="
    both = clean(told + value)
    return both[len(told) :] if both.startswith(told) else clean(value)


def clean_body(body: bytes, clean: Clean) -> bytes:
    """Return a body, JSON or not, without it; the very same bytes where there is nothing.

    Cost: `clean` of all of it once, or twice where something is found, or escaped.
    """
    text = body.decode(errors="replace")
    told = clean(text)
    if told == text and b"\\" not in body:  # what is escaped may hide what it says
        return body
    try:
        value = msgspec.json.decode(body)
        cleaned = clean_tree(value, clean)
        return body if cleaned == value and told == text else msgspec.json.encode(cleaned)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return told.encode(errors="replace")


def clean_errors(events: bytes, clean: Clean) -> bytes:
    """Return whole events of a stream, lines of JSON or of server-sent events, with their errors cleaned.

    What is said in an answer is not touched. Cost: 0.1 us where no event speaks of an error.
    """
    if ERROR not in events or _ERROR.search(events) is None:
        return events
    return _LINE.sub(lambda line: _clean_line(line.group(), clean), events)


def _clean_line(line: bytes, clean: Clean) -> bytes:
    data = _DATA.match(line)
    if data is None or _ERROR.search(line) is None:
        return line
    try:
        value = msgspec.json.decode(line[data.end() :])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return line
    cleaned = _clean_error(value, clean)
    return line if cleaned == value else data.group() + msgspec.json.encode(cleaned)


def _clean_error(event: Any, clean: Clean) -> Any:
    """Clean an event that is an error, or the error that an event or its response has."""
    if not isinstance(event, dict):
        return event
    if "error" in (event.get("type"), event.get("object")):
        return clean_tree(event, clean)
    return {
        name: clean_tree(inner, clean)
        if name == "error"
        else _clean_error(inner, clean)
        if name == "response"
        else inner
        for name, inner in event.items()
    }
