r"""All text of a request as one run of bytes: what goes upstream, with nothing hidden by how it is written.

Escapes of JSON are undone, also those of JSON inside of strings (arguments of tools), so that `\u0040` is
an @. Files of text in base64 are appended as the text that they are. The punctuation of JSON stays: it
separates what does not belong together. Must not know formats: every member counts, known or not.

Cost (4 KiB): about 10 us for prose, up to 50 us for code, whose escapes are nested.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

import msgspec

from gateway.exchange import Call
from gateway.texts.patterns import TooMany, compile_pattern, looked_at

_DEEPEST = 2
"""JSON, and JSON in its strings."""
_ESCAPES = ((b"\\n", b"\n"), (b'\\"', b'"'), (b"\\/", b"/"), (b"\\t", b"\t"), (b"\\r", b"\r"))
_CHARACTERS = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")
_MOST_ESCAPES = 400_000
_BLOB = compile_pattern(r"base64,[A-Za-z0-9+/_-]{8,}={0,2}|[A-Za-z0-9+/_-]{32,}={0,2}")
FILE_LIKE = r"base64,|[A-Za-z0-9+/_-]{32}"
"""What is in every text that holds a file."""
_GLIMPSE_CHARS = 400
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_NOT_CONTENT = frozenset({"model", "stream", "stream_options"})
_CONTAINERS = b'"[{'


def text_of(call: Call) -> bytes:
    """Return the whole text of a call."""
    return with_files(outer_text_of(call))


def outer_text_of(call: Call) -> bytes:
    """Return the text of a call's members, and of those fields of its form that are text."""
    pieces = _members(call)
    pieces += [field.content for field in call.form if _is_text(field.content)]
    return b"\n".join(pieces)


def with_files(text: bytes) -> bytes:
    """Add to a text those that stand in it as base64."""
    files = [decoded for decoded in map(_decoded, _blobs(text)) if decoded]
    return b"\n".join((text, *files)) if files else text


def _members(call: Call) -> list[bytes]:
    pieces = list[bytes]()
    for name, value in call.members.items():
        if name in _NOT_CONTENT:
            continue
        raw = bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)
        if raw[:1] in _CONTAINERS:
            pieces.append(_flat(raw) if b"\\" in raw else raw)
    return pieces


def _flat(raw: bytes) -> bytes:
    """Undo the escapes of a JSON value, and of the JSON that its strings may hold."""
    if b"\\u" in raw:
        if raw.count(b"\\u") > _MOST_ESCAPES:
            raise TooMany
        raw = _spelled_out(raw)
    for _ in range(_DEEPEST):
        raw = _unescaped(raw)
        if b"\\u" in raw:
            raw = _CHARACTERS.sub(_characters, raw)
        elif b'\\"' not in raw:
            break
    return raw


def _spelled_out(raw: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _CHARACTERS.sub(_characters, raw)


def _unescaped(raw: bytes) -> bytes:
    # NUL stands for a backslash that was escaped itself: it cannot stand in JSON.
    raw = raw.replace(b"\\\\", b"\0")
    for escaped, plain in _ESCAPES:
        raw = raw.replace(escaped, plain)
    return raw.replace(b"\0", b"\\")


def _characters(found: re.Match[bytes]) -> bytes:
    """Spell out a run of escapes at once: one by one they cost a hundred times as much."""
    written = found[0].decode("unicode_escape").encode("utf-16", "surrogatepass")
    return written.decode("utf-16", "replace").encode()


def _blobs(text: bytes) -> Iterator[bytes]:
    for found in looked_at(_BLOB.finditer(text)):
        yield found.group().removeprefix(b"base64,")


def _decoded(blob: bytes) -> bytes:
    """Return the text that `blob` is the base64 of; empty: it is something else."""
    if not _is_text(_bytes_of(blob[:_GLIMPSE_CHARS])):
        return b""
    whole = _bytes_of(blob)
    return whole if _is_text(whole) else b""


def _bytes_of(blob: bytes) -> bytes:
    bare = blob.rstrip(b"=")
    whole = bare[: len(bare) - (len(bare) % 4 == 1)]
    return b64decode(whole + b"=" * (-len(whole) % 4), altchars=b"-_" if _is_url_safe(blob) else None)


def _is_url_safe(blob: bytes) -> bool:
    return b"-" in blob or b"_" in blob


def _is_text(content: bytes) -> bool:
    try:
        text = content[:_GLIMPSE_CHARS].decode()
    except UnicodeDecodeError as error:
        if error.start < min(len(content), _GLIMPSE_CHARS) - 3:  # not merely cut inside a character
            return False
        text = content[: error.start].decode()
    return bool(text) and _NOT_IN_TEXT.search(text) is None
