"""Where the frames of an AWS event stream end, and what is never read from a damaged one."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from rig import recordings
from rig.recordings import Recording, parameters

from gateway.errors import Broken
from gateway.formats.framing.event_stream import (
    Frame,
    FrameReader,
    decode_headers,
    encode_frame,
    encode_headers,
)

NAMES = st.text(min_size=1, max_size=20)
FRAMES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=50), max_size=4), st.binary(max_size=200))
)
EVENT = encode_headers({":event-type": "messageStart", ":message-type": "event"})
STREAMS = [r for r in recordings.load("bedrock.converse") if r.is_stream and r.status == 200]


def written(frames: list[tuple[dict[str, str], bytes]]) -> bytes:
    return b"".join(encode_frame(encode_headers(headers), payload) for headers, payload in frames)


def read(pieces: list[bytes], limit_bytes: int = 10_000) -> list[Frame]:
    reader = FrameReader(limit_bytes)
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    reader.close()
    return frames


def sealed(lengths: tuple[int, int], rest: bytes) -> bytes:
    """A frame with right checksums, whatever its lengths say."""
    prelude = struct.pack(">II", *lengths)
    frame = prelude + struct.pack(">I", crc32(prelude)) + rest
    return frame + struct.pack(">I", crc32(frame))


@given(FRAMES, st.data())
def test_frames_are_the_same_under_any_splitting(
    frames: list[tuple[dict[str, str], bytes]], data: st.DataObject
) -> None:
    stream = written(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(pieces) == frames
    assert read([stream[i : i + 1] for i in range(len(stream))]) == frames


@given(FRAMES.filter(bool), st.data())
def test_no_flipped_bit_passes(frames: list[tuple[dict[str, str], bytes]], data: st.DataObject) -> None:
    stream = bytearray(written(frames))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Broken):
        read([bytes(stream)], limit_bytes=len(stream))


@given(st.binary(max_size=300))
def test_noise_is_broken_and_nothing_worse(noise: bytes) -> None:
    if len(noise) == 0:
        assert read([noise]) == []
        return
    with pytest.raises(Broken):
        read([noise])


@given(st.binary(max_size=60))
def test_headers_of_any_bytes_are_read_or_broken(block: bytes) -> None:
    frame = sealed((16 + len(block), len(block)), block)
    try:
        headers = read([frame])[0][0]
    except Broken:
        return
    assert all(isinstance(name, str) for name in headers)


def test_each_type_of_header_is_read() -> None:
    block = b"".join(
        bytes([len(name)]) + name + value
        for name, value in [
            (b"yes", b"\x00"),
            (b"no", b"\x01"),
            (b"byte", b"\x02\xff"),
            (b"short", b"\x03\xff\xfe"),
            (b"int", b"\x04\x00\x00\x01\x00"),
            (b"long", b"\x05" + b"\x00" * 7 + b"\x07"),
            (b"bytes", b"\x06\x00\x02\xff\x00"),
            (b"text", b"\x07\x00\x03\xe2\x82\xac"),
            (b"moment", b"\x08" + b"\x00" * 6 + b"\x01\x00"),
            (b"uuid", b"\x09" + bytes(range(16))),
        ]
    )
    assert read([sealed((16 + len(block), len(block)), block)])[0][0] == {
        "yes": True,
        "no": False,
        "byte": -1,
        "short": -2,
        "int": 256,
        "long": 7,
        "bytes": b"\xff\x00",
        "text": "\u20ac",
        "moment": 256,
        "uuid": bytes(range(16)),
    }


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x01a\x0a", "unknown type 10"),
        (b"\x01a\x07\x00\x05abc", "end too early"),
        (b"\x01a\x07\x00", "cannot be read"),
        (b"\x01a\x05\x00", "cannot be read"),
        (b"\x05a", "cannot be read"),
        (b"\x01\xff\x00", "cannot be read"),
        (b"\x01a\x07\x00\x01\xff", "cannot be read"),
    ],
)
def test_headers_that_cannot_be_read_break_the_stream(block: bytes, reason: str) -> None:
    with pytest.raises(Broken, match=reason):
        decode_headers(block)


@pytest.mark.parametrize("lengths", [(15, 0), (0, 0), (16, 1), (100, 2**32 - 1)])
def test_lengths_that_cannot_be_break_the_stream_at_once(lengths: tuple[int, int]) -> None:
    with pytest.raises(Broken, match="shorter than its headers"):
        FrameReader(1000).feed(sealed(lengths, b"")[:12])


def test_a_frame_beyond_the_limit_breaks_the_stream_before_it_is_held() -> None:
    frame = encode_frame(EVENT, b"x" * 1000)
    assert FrameReader(len(frame)).feed(frame)[0][1] == b"x" * 1000
    with pytest.raises(Broken, match=f"more than {len(frame) - 1} bytes"):
        FrameReader(len(frame) - 1).feed(frame[:12])


@pytest.mark.parametrize("cut", [1, 11, 12, 40])
def test_a_stream_that_ends_within_a_frame_is_broken(cut: int) -> None:
    with pytest.raises(Broken, match="within a frame"):
        read([encode_frame(EVENT, b"{}"), encode_frame(EVENT, b"{}")[:cut]])


def test_a_large_frame_in_small_pieces_is_put_together_in_linear_time() -> None:
    payload = b"x" * 2_000_000
    frame = encode_frame(EVENT, payload)
    assert read([frame[i : i + 100] for i in range(0, len(frame), 100)], 3_000_000)[0][1] == payload


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_recorded_frames_are_read_and_written_as_another_reader_does(recording: Recording) -> None:
    other = EventStreamBuffer()
    other.add_data(recording.body)
    frames = read([recording.body], 1_000_000)
    assert frames == [(message.headers, message.payload) for message in other]
    assert written(frames) == recording.body
