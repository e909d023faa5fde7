"""Take our own credential out of what an upstream says about it.

Providers quote the key they refuse, whole or with its middle masked ("sk-pr***wxyz"). Pure.
"""

from __future__ import annotations

import re

HIDDEN = b"[redacted]"
_MASKED = re.compile(rb"([A-Za-z0-9_\-]*)(?:\*{2,}|\.{3})([A-Za-z0-9_\-]*)")


def redact(text: bytes, secret: str) -> bytes:
    """Replace `secret`, and masked forms that show its beginning or end."""
    plain = secret.encode()
    if not plain:
        return text

    def hide(found: re.Match[bytes]) -> bytes:
        start, end = found.groups()
        shows_ours = (start or end) and plain.startswith(start) and plain.endswith(end)
        return HIDDEN if shows_ours else found.group()

    return _MASKED.sub(hide, text.replace(plain, HIDDEN))
