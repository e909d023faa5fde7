"""What all blocks have in common: where they stand, and whether the prompt is cached up to them.

Source: Anthropic API reference, "Prompt caching" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.formats.messages.types import Block, CacheControl
from gateway.formats.neutral.parts import CacheMark, Opaque

OWN: Final = "messages"


class Place:
    """Where in a body a block stands, and its JSON value there, untyped: decoded when first asked for."""

    __slots__ = ("_path", "_values")

    def __init__(self, values: Callable[[], Any], *path: str | int) -> None:
        self._values = values
        self._path = path

    def inner(self, *path: str | int) -> Place:
        """Go further in."""
        return Place(self._values, *self._path, *path)

    def value(self) -> Any:
        """Return the JSON value, with members that no struct names."""
        found = self._values()
        for step in self._path:
            found = found[step]
        return found

    def __str__(self) -> str:
        """Write the place as a JSON path."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._path)
        return "".join(steps).removeprefix(".")


def opaque(block: Block, place: Place) -> Opaque:
    """Keep a block as it is."""
    return Opaque(OWN, block.type, place.value())


def decode_mark(control: CacheControl | None) -> CacheMark:
    """Read a cache mark; "" for none."""
    return (control.ttl or "default") if control else ""


def encode_mark(mark: CacheMark) -> CacheControl | None:
    """Write a cache mark; None for none."""
    if not mark:
        return None
    return CacheControl("ephemeral", None if mark == "default" else mark)
