"""Compares JSON with the types that read it, and with what was written back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect


def unread(value: Any, kind: Any) -> set[str]:
    """The paths of members that no field of the type takes; `[*]` stands for any index, `{*}` for any key.

    What is typed Any (a schema, metadata) or Raw is taken whole.
    """
    return set(_unread(value, _type_info(kind), ""))


@cache
def _type_info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _unread(value: Any, kind: inspect.Type, path: str) -> Iterator[str]:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if isinstance(value, dict):
        yield from _unread_object(value, kinds, path)
    elif isinstance(value, list):
        lists = [one for one in kinds if isinstance(one, inspect.CollectionType)]
        for one in lists[:1]:
            for inner in value:
                yield from _unread(inner, one.item_type, f"{path}[*]")


def _unread_object(value: dict[str, Any], kinds: tuple[inspect.Type, ...], path: str) -> Iterator[str]:
    if any(isinstance(one, inspect.AnyType | inspect.RawType | inspect.CustomType) for one in kinds):
        return
    candidates = []
    for one in kinds:
        if isinstance(one, inspect.StructType):
            candidates.append(list(_unread_members(value, one, path)))
        elif isinstance(one, inspect.DictType):
            candidates.append(
                [p for inner in value.values() for p in _unread(inner, one.value_type, f"{path}{{*}}")]
            )
    if candidates:
        yield from min(candidates, key=len)


def _unread_members(value: dict[str, Any], kind: inspect.StructType, path: str) -> Iterator[str]:
    fields = {field.encode_name: field.type for field in kind.fields}
    for name, inner in value.items():
        place = f"{path}.{name}" if path else name
        if name in fields:
            yield from _unread(inner, fields[name], place)
        elif name != kind.tag_field:
            yield place


_NOTHING: tuple[Any, ...] = (None, "", [], {})
_UNLESS_SAID = {"stream": False, "is_error": False, "status": "success"}
_TEXT_KINDS = {"text", "input_text", "output_text"}


def normal(value: Any) -> Any:
    """One way to write what can be written in several.

    Null, empty and absent members are the same, and so are a few defaults; a list of one plain text part
    is its text; `type: "message"` may be left out where there is a role; numbers are compared by value.
    """
    if isinstance(value, list):
        items = [normal(item) for item in value]
        return items[0]["text"] if len(items) == 1 and _is_plain_text(items[0]) else items
    if not isinstance(value, dict):
        return value
    members = {name: normal(inner) for name, inner in value.items()}
    if "role" in members and members.get("type") == "message":
        del members["type"]
    return {
        name: inner
        for name, inner in members.items()
        if inner not in _NOTHING and not (name in _UNLESS_SAID and inner == _UNLESS_SAID[name])
    }


def _is_plain_text(part: Any) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("text"), str):
        return False
    return part.keys() == {"text"} or (part.keys() == {"type", "text"} and part["type"] in _TEXT_KINDS)


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ: `path` for a changed, `-path` a lost, `+path` a new one."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            place = f"{path}.{name}" if path else name
            if name not in after:
                yield f"-{place}"
            elif name not in before:
                yield f"+{place}"
            else:
                yield from differences(before[name], after[name], place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from differences(one, other, f"{path}[*]")
    elif before != after:
        yield path


_OWN_NAMES = {
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
}


def camel(value: Any) -> Any:
    """Google's names as its reference writes them: its servers take them with underscores too.

    What users name themselves (a schema's properties, arguments) stays.
    """
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {_camel(name): inner for name, inner in value.items()}
    return {name: inner if name in _OWN_NAMES else camel(inner) for name, inner in named.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def as_json(written: Any) -> Any:
    """The JSON value of what msgspec would write."""
    return msgspec.json.decode(msgspec.json.encode(written))
