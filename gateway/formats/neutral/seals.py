"""Signatures and encrypted thoughts on their way through a client that speaks another format.

They are worth something only to the provider that made them, so on a translated call the name of the
format they came from travels along: `seal` puts it in front when an answer is written for the client,
`unseal` takes it off when the client sends it back in its next turn. A bare value was made by the format
it stands in.
"""

from __future__ import annotations

import re
from typing import cast, get_args

from gateway.exchange import Format

_SEALED = re.compile(r"forebay\.([a-z_]+)\.(.*)", re.DOTALL)
_FORMATS = frozenset(get_args(Format))

_SAME_MAKER: dict[str, frozenset[str]] = {
    "messages": frozenset({"messages", "converse"}),
    "converse": frozenset({"messages", "converse"}),
}
"""Claude's signatures hold on each platform that serves it (Anthropic, "Extended thinking", 2026-11)."""


def seal(value: str, origin: str, written_in: Format) -> str:
    """Mark a value made by `origin` for a client of the format `written_in`; "" stays ""."""
    return f"forebay.{origin}.{value}" if value and origin and origin != written_in else value


def unseal(value: str, found_in: Format) -> tuple[str, Format]:
    """Split a value that a client of `found_in` sent back into the bare value and who made it."""
    sealed = _SEALED.fullmatch(value)
    if sealed is None or sealed.group(1) not in _FORMATS:
        return value, found_in
    return sealed.group(2), cast("Format", sealed.group(1))


_MARK, _MARK_IN_BASE64 = b"forebay.", b"Zm9yZWJheS"
"""What every sealed value begins with, as it is and (Google's signatures) in base64."""


def may_hold(raw: bytes, found_in: Format) -> bool:
    """Tell whether JSON of a format may hold a sealed value: cheaply, and wrong only where it says yes."""
    return (_MARK_IN_BASE64 if found_in == "gemini" else _MARK) in raw


def accepts(target: Format, origin: str) -> bool:
    """Tell whether `target` can read what `origin` made."""
    return target == origin or origin in _SAME_MAKER.get(target, ())
