"""Names that others choose, cut to a length at which they can be kept."""

from __future__ import annotations

from hashlib import sha256

_MARK_CHARS = 16


def short_name(name: str, longest_chars: int) -> str:
    """Cut a name that is long, and mark it so that two of them stay two."""
    if len(name) <= longest_chars:
        return name
    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_CHARS]
    return f"{name[: longest_chars - _MARK_CHARS - 1]}~{mark}"
