"""Split an AWS event stream into its frames, whatever pieces the network makes, and write frames.

Pure: bytes in, headers and payloads out. Knows nothing of what the payloads say.

A frame is its length, the length of its headers and a checksum of these two (the prelude); its headers;
its payload; a checksum of all before. Both checksums are CRC-32 and are verified: damage is never read.
Source: Smithy 2.0, "Amazon Event Stream Specification" (checked 2026-11).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from zlib import crc32

from gateway.errors import Broken

HeaderValue = bool | int | bytes | str
Frame = tuple[Mapping[str, HeaderValue], bytes]
"""The headers of one frame by their names, and its payload."""

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_OVERHEAD_BYTES = _PRELUDE.size + _CHECKSUM.size

_FLAGS: Mapping[int, bool] = {0: True, 1: False}
"""The types of headers that are their own value."""
_FIXED: Mapping[int, struct.Struct] = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),  # a moment, in milliseconds since 1970
    9: struct.Struct("16s"),  # a UUID
}
_BYTES, _STRING = 6, 7
_LENGTH = struct.Struct(">H")


class FrameReader:
    """Holds back the unfinished frame at the end of what has arrived; at most `limit_bytes` of it."""

    __slots__ = ("_held", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes

    def feed(self, piece: bytes) -> list[Frame]:
        """Take the next piece, return all frames that are whole now.

        Raises Broken for a frame that is damaged, or longer than the limit.
        """
        held = self._held
        if not held:  # the usual case: whole frames, nothing copied
            frames, end = self._read(piece)
            held += piece[end:]
            return frames
        held += piece
        frames, end = self._read(held)
        del held[:end]
        return frames

    def close(self) -> None:
        """The stream has ended; raises Broken when it did within a frame."""
        if self._held:
            raise Broken("the upstream's stream ended within a frame")

    def _read(self, data: bytes | bytearray) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        start, size = 0, len(data)
        while size - start >= _PRELUDE.size:
            length, headers_length, checksum = _PRELUDE.unpack_from(data, start)
            if crc32(data[start : start + 8]) != checksum:
                raise Broken("the upstream sent a frame with a wrong checksum of its prelude")
            if length < _OVERHEAD_BYTES + headers_length:
                raise Broken("the upstream sent a frame that is shorter than its headers")
            if length > self._limit_bytes:
                raise Broken(f"the upstream sent one event of more than {self._limit_bytes} bytes")
            if size - start < length:
                break
            frames.append(_open(bytes(data[start : start + length]), headers_length))
            start += length
        return frames, start


def _open(frame: bytes, headers_length: int) -> Frame:
    if crc32(frame[:-4]) != _CHECKSUM.unpack_from(frame, len(frame) - 4)[0]:
        raise Broken("the upstream sent a frame with a wrong checksum")
    end = _PRELUDE.size + headers_length
    return decode_headers(frame[_PRELUDE.size : end]), frame[end:-4]


@lru_cache(64)  # a stream has few kinds of frames, and each repeats its headers byte for byte
def decode_headers(block: bytes) -> Mapping[str, HeaderValue]:
    """Read the headers of a frame; the last of duplicate names counts. Raises Broken."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = block[at + 1 : name_end].decode()
            headers[name], at = _value(block, name_end)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise Broken("the upstream sent a frame whose headers cannot be read") from None
    return headers


def _value(block: bytes, at: int) -> tuple[HeaderValue, int]:
    """Read the value whose type stands at `at`; returns it and where it ends."""
    kind, at = block[at], at + 1
    if kind in _FLAGS:
        return _FLAGS[kind], at
    if kind in _FIXED:
        value: HeaderValue = _FIXED[kind].unpack_from(block, at)[0]
        return value, at + _FIXED[kind].size
    if kind not in {_BYTES, _STRING}:
        raise Broken(f"the upstream sent a frame with a header of the unknown type {kind}")
    begin = at + _LENGTH.size
    end = begin + _LENGTH.unpack_from(block, at)[0]
    if end > len(block):
        raise Broken("the upstream sent a frame whose headers end too early")
    return (block[begin:end].decode() if kind == _STRING else block[begin:end]), end


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Write headers that are strings: all that a stream of events needs."""
    return b"".join(
        bytes([len(name.encode())])
        + name.encode()
        + bytes([_STRING])
        + _LENGTH.pack(len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )


def encode_frame(headers: bytes, payload: bytes) -> bytes:
    """Write a frame from headers that are already encoded, and its payload."""
    lengths = struct.pack(">II", _OVERHEAD_BYTES + len(headers) + len(payload), len(headers))
    frame = lengths + _CHECKSUM.pack(crc32(lengths)) + headers + payload
    return frame + _CHECKSUM.pack(crc32(frame))
