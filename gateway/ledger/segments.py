"""The files of the spool: records behind each other, each with its length and checksum.

A segment is a file of fixed size that is written through a memory map, and truncated to what it holds once
it is closed. What is not written yet is nought. A record that was torn or damaged is stepped over: the next
one is found by its mark. It must not know what records hold. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

MAGIC = b"FBSPOOL1"
_MARK = 0xFB1E_D6E5
_HEAD = struct.Struct("<III")
"""Of a record: the mark, the length of what follows, and the checksum of both."""
_MARK_BYTES = struct.pack("<I", _MARK)
_NOTHING = bytes(4)
END = struct.pack("<III", 0xFFFF_FFFF, 0, 0)
"""Behind the last record of a segment that is closed."""

HEAD_BYTES = _HEAD.size


class Record(NamedTuple):
    """A record, and where it begins and ends in its segment."""

    start: int
    end: int
    payload: bytes


class Damage(NamedTuple):
    """A stretch of a segment that holds no record."""

    start: int
    end: int


class Part(NamedTuple):
    """What was found from a place on: `end` is where to go on; `closed`: nothing follows it."""

    records: list[Record]
    damages: list[Damage]
    end: int
    closed: bool


def write_record(segment: memoryview, at: int, payload: bytes) -> int:
    """Write a record, its head last: who reads meanwhile sees all of it or nothing. Returns its end."""
    start = at + HEAD_BYTES
    end = start + len(payload)
    segment[start:end] = payload
    _HEAD.pack_into(segment, at, _MARK, len(payload), crc32(payload, len(payload)))
    return end


def read_part(text: bytes, at: int, *, is_final: bool, most_bytes: int) -> Part:
    """Read the records from a place on, at most so many bytes of them (but one record at least).

    `is_final`: nobody writes it any more, so what is incomplete stays so.
    """
    records: list[Record] = []
    damages: list[Damage] = []
    first = at
    while at - first < most_bytes:
        found = _record_at(text, at)
        if found is not None:
            records.append(found)
            at = found.end
        elif _is_end(text, at):
            return Part(records, damages, at, closed=True)
        elif _is_blank(text, at):
            return Part(records, damages, at, closed=is_final)
        else:
            following = _next_record(text, at + 1)
            if following is None and not is_final:  # it may be under way
                return Part(records, damages, at, closed=False)
            damages.append(Damage(at, _end_of_all(text, at) if following is None else following))
            at = len(text) if following is None else following
    return Part(records, damages, at, closed=False)


def _record_at(text: bytes, at: int) -> Record | None:
    if len(text) - at < HEAD_BYTES:
        return None
    mark, length, checksum = _HEAD.unpack_from(text, at)
    end = at + HEAD_BYTES + length
    if mark != _MARK or not length or end > len(text):
        return None
    payload = text[at + HEAD_BYTES : end]
    return Record(at, end, payload) if crc32(payload, length) == checksum else None


def _is_end(text: bytes, at: int) -> bool:
    return text[at : at + len(END)] == END


def _is_blank(text: bytes, at: int) -> bool:
    return not text[at : at + HEAD_BYTES].strip(b"\0") and not any(_marks(text, at))


def _end_of_all(text: bytes, at: int) -> int:
    """Return where what was written ends: behind it there are noughts, or the end."""
    return max(len(text.rstrip(b"\0").removesuffix(END[:4])), at + 1)


def _marks(text: bytes, at: int) -> Iterator[int]:
    while (at := text.find(_MARK_BYTES, at)) >= 0:
        yield at
        at += 1


def _next_record(text: bytes, at: int) -> int | None:
    return next((place for place in _marks(text, at) if _record_at(text, place) is not None), None)
