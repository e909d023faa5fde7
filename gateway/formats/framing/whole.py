"""Tell an event whose data can be read from one that would break its reader.

All generative streams but Amazon's consist of events, each of which holds one JSON object. Pure, and on the
way of every event. Must not know what the objects say.
"""

from __future__ import annotations

import json

import msgspec

_walk = msgspec.json.Decoder(msgspec.Raw).decode  # goes over the whole value and builds nothing


def count_objects(events: bytes, at: int = 0) -> int:
    """Tell cheaply how many events these are, if all have, from `at` on, a JSON object on their only line.

    0 says only that they have to be looked at more closely. An object over several lines of which all but
    the first lack their `data:` is taken for one as well, if nobody broke the line right after its brace:
    to look for line feeds would cost half as much again.
    """
    if not events.startswith(b'data: {"', at):
        return 0
    count = 1
    try:
        _walk(events[at + 6 :])
    except (msgspec.DecodeError, RecursionError):  # several events, or a damaged one
        texts = events[6:].split(b"\n\ndata: ")
        if at or not _are_objects(texts):
            return 0
        count = len(texts)
    return count if events.isascii() or _is_text(events) else 0


def _are_objects(texts: list[bytes]) -> bool:
    try:
        for text in texts:
            if not text.startswith(b'{"'):
                return False
            _walk(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def is_damaged(event: bytes, data: bytes) -> bool:
    """Tell whether an event with this `data` breaks a reader that takes objects and `[DONE]`.

    A comment, or a name alone, is no damage.
    """
    if not data:
        return any(line.startswith(b"data:") for line in event.splitlines())
    return data.strip() != b"[DONE]" and not is_object(data)


def is_object(data: bytes) -> bool:
    """Tell whether this is one JSON object."""
    if data.lstrip()[:1] != b"{" or not _is_text(data):
        return False
    try:
        _walk(data)
    except RecursionError:
        return False
    except msgspec.DecodeError:
        return _is_lenient(data)
    return True


def _is_lenient(data: bytes) -> bool:
    """Tell whether clients read what msgspec does not: half a surrogate pair, whose rest comes later."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
