"""Tell an event whose data can be read from one that would break its reader.

All generative streams but Amazon's consist of events, each of which holds one JSON object. Pure, and on the
way of every event. Must not know what the objects say.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import msgspec

_BEGINNINGS = {b'{"'}
_walk = msgspec.json.Decoder(msgspec.Raw).decode  # goes over the whole value and builds nothing

T = TypeVar("T")


def decode_events(events: bytes, decode: Callable[[bytes], T]) -> list[T] | None:
    """Decode events that all have a JSON object on their only line; None: they are to be looked at closely.

    `decode` takes objects only. One over several lines of which all but the first lack their `data:` is
    taken as well, if nobody broke the line right after its brace: to look for line feeds would cost half as
    much again.
    """
    if not events.startswith(b'data: {"') or not (events.isascii() or _is_text(events)):
        return None
    texts = events[6:].split(b"\n\ndata: ")
    if {text[:2] for text in texts} != _BEGINNINGS:
        return None
    try:
        return list(map(decode, texts))
    except (msgspec.DecodeError, RecursionError):
        return None


def is_whole_event(event: bytes, at: int) -> bool:
    """Tell cheaply whether an event has, from `at` on, a JSON object on its only line, and nothing else."""
    if not event.startswith(b'data: {"', at) or not (event.isascii() or _is_text(event)):
        return False
    try:
        _walk(event[at + 6 :])
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def is_damaged(event: bytes, data: bytes) -> bool:
    """Tell whether an event with this `data` breaks a reader that takes objects and `[DONE]`.

    A comment, or a name alone, is no damage. An event with empty data breaks most readers, though it only
    keeps the line alive: nothing is lost with it.
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
