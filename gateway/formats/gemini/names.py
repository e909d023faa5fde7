"""Write the members of a request under one name each, and enums in words: clients may use two of either.

Google's servers take the JSON form of protobuf: each member in camelCase or under its name in the message,
in snake_case, and an object alone where a list of objects is meant. Names inside of values that are the
client's own (schemas, arguments, results) stay as they are. Must not know what members mean.

Source: Protocol Buffers, "ProtoJSON Format" (checked 2026-11); lone objects: recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin

import msgspec

from gateway.errors import BadRequest
from gateway.formats.gemini.types import Message


def canonical(value: Any, kind: type[Message]) -> Any:
    """Return a decoded JSON value with the names and lists of the messages of `kind`, all the way down."""
    if not isinstance(value, dict):
        return value
    members = _members(kind)
    named = {_camel(name): inner for name, inner in value.items()}
    return {
        name: _canonical_member(inner, members[name]) if name in members else inner
        for name, inner in named.items()
    }


def members_of(kind: type[Message]) -> frozenset[str]:
    """Return the names of the members of a message."""
    return frozenset(_members(kind))


def word_of_enum(value: str | int, numbers: Mapping[int, str], place: str) -> str:
    """Return the word of an enum's value. Raises BadRequest for a number that is none of `numbers`."""
    if isinstance(value, str):
        return value.upper()
    if value not in numbers:
        raise BadRequest(f"{place} has no value of the number {value}", param=place)
    return numbers[value]


_Shape = tuple[type[Message] | None, bool]
"""Which message a member holds, if one, and whether a list."""


def _canonical_member(value: Any, shape: _Shape) -> Any:
    kind, is_list = shape
    if is_list and isinstance(value, dict | str):
        value = [value]
    if kind is None:
        return value
    return [canonical(inner, kind) for inner in value] if isinstance(value, list) else canonical(value, kind)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if head else name


@cache
def _members(kind: type[Message]) -> dict[str, _Shape]:
    return {field.encode_name: _shape(field.type) for field in msgspec.structs.fields(kind)}


def _shape(type_: Any) -> _Shape:
    options = get_args(type_) or (type_,)
    for option in options:
        if get_origin(option) is list:
            return _shape(get_args(option)[0])[0], True
        if isinstance(option, type) and issubclass(option, Message):
            return option, False
    return None, False
