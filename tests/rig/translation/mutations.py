"""Spoils JSON on purpose: strategies for what clients and upstreams should never send, and do."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["", "user", "assistant", "text", "tool", "function", "data:;base64,!", "\ud800", "\0", 1e308]
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "id", "index", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where something is, in a JSON value: all of it."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in inner:
        yield from places(below, (*path, name))


@st.composite
def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three members deleted, replaced, doubled or put elsewhere."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            return value
        *way, last = draw(st.sampled_from(found))
        holder = value
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["delete", "replace", "replace", "wrap", "double", "null"])):
            case "delete":
                del holder[last]
            case "replace":
                holder[last] = draw(VALUES)
            case "wrap":
                holder[last] = [holder[last]]
            case "null":
                holder[last] = None
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
    return value


def as_bytes(value: Any) -> bytes:
    """JSON as somebody careless writes it: a lone surrogate is escaped, not refused."""
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Bytes with a piece cut out, cut off, doubled or overwritten."""
    start = draw(st.integers(0, max(0, len(body) - 1)))
    length = draw(st.integers(1, 40))
    match draw(st.sampled_from(["cut off", "cut out", "overwrite", "double"])):
        case "cut off":
            return body[:start]
        case "cut out":
            return body[:start] + body[start + length :]
        case "overwrite":
            return body[:start] + draw(st.binary(min_size=1, max_size=4)) + body[start + 1 :]
        case _:
            return body[: start + length] + body[start:]
