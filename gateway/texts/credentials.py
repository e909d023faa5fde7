"""Take our own credential out of what an upstream says about it.

Providers quote the key they refuse, whole or with its middle masked ("sk-pr***wxyz"). Pure, and linear
in the length of the text: a provider may well repeat megabytes of a request in its error.
"""

from __future__ import annotations

import re

HIDDEN = b"[redacted]"
_MASK = re.compile(rb"\*{2,}|\.{3,}|\xe2\x80\xa6|\\u2026")
_TELLING_CHARS = 3
"""Fewer shown characters of a masked key may as well be the end of a word, and tell nothing."""


def redact(text: bytes, secret: str) -> bytes:
    """Replace `secret`, as it is or escaped as in JSON, and masked forms that show its beginning or end."""
    plain = secret.encode()
    if not plain:
        return text
    for form in {plain, _escaped(plain), _escaped(plain).replace(b"/", b"\\/")}:
        text = text.replace(form, HIDDEN)
    return _hide_masked(text, plain)


def _escaped(plain: bytes) -> bytes:
    return plain.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _hide_masked(text: bytes, plain: bytes) -> bytes:
    pieces, done = list[bytes](), 0
    for mask in _MASK.finditer(text):
        before = _beginning_shown(text[max(done, mask.start() - len(plain)) : mask.start()], plain)
        after = _end_shown(text[mask.end() : mask.end() + len(plain)], plain)
        if before + after >= _TELLING_CHARS:
            pieces += [text[done : mask.start() - before], HIDDEN]
            done = mask.end() + after
    return b"".join([*pieces, text[done:]]) if pieces else text


def _beginning_shown(text: bytes, plain: bytes) -> int:
    """Count the characters at the end of `text` that are the beginning of `plain`."""
    at = text.find(plain[:1])
    while at >= 0 and not plain.startswith(text[at:]):
        at = text.find(plain[:1], at + 1)
    return len(text) - at if at >= 0 else 0


def _end_shown(text: bytes, plain: bytes) -> int:
    """Count the characters at the beginning of `text` that are the end of `plain`."""
    at = text.rfind(plain[-1:])
    while at >= 0 and not plain.endswith(text[: at + 1]):
        at = text.rfind(plain[-1:], 0, at)
    return at + 1
