"""Bodies unfolded within a limit, whatever they claim."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd

from gateway.errors import BadRequest, TooLarge
from gateway.formats.http.compression import decompress

BODY = b'{"model": "a", "messages": []}' * 50
LIMIT_BYTES = 64 * 1024

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
every_coding = pytest.mark.parametrize("coding", CODINGS)


@every_coding
@pytest.mark.parametrize("body", [b"", b"{}", BODY])
def test_a_coding_is_undone(coding: str, body: bytes) -> None:
    assert decompress(CODINGS[coding](body), coding, LIMIT_BYTES) == body


@pytest.mark.parametrize("name", ["identity", "", " ", "Identity", ","])
def test_identity_changes_nothing(name: str) -> None:
    assert decompress(BODY, name, LIMIT_BYTES) == BODY


@pytest.mark.parametrize("name", ["GZIP", " gzip ", "identity, gzip", "gzip,"])
def test_a_name_may_be_written_in_any_way(name: str) -> None:
    assert decompress(gzip.compress(BODY), name, LIMIT_BYTES) == BODY


def test_a_chain_is_undone_from_its_end() -> None:
    assert (
        decompress(brotli.compress(zstd.compress(gzip.compress(BODY))), "gzip, zstd, br", LIMIT_BYTES) == BODY
    )


def test_a_chain_that_is_long_for_the_sake_of_work_is_refused() -> None:
    folded = BODY
    for _ in range(4):
        folded = gzip.compress(folded)
    with pytest.raises(BadRequest, match="at most 3") as refusal:
        decompress(folded, "gzip, gzip, gzip, gzip", LIMIT_BYTES)
    assert refusal.value.status == 415


@pytest.mark.parametrize("coding", ["compress", "snappy", "x" * 100])
def test_an_unknown_coding_is_an_unsupported_media_type(coding: str) -> None:
    with pytest.raises(BadRequest, match="use one of gzip, deflate, br, zstd") as refusal:
        decompress(BODY, coding, LIMIT_BYTES)
    assert refusal.value.status == 415


@every_coding
@pytest.mark.parametrize("kept", [0, 1, 5, -1])
def test_a_body_that_ends_too_early_is_refused(coding: str, kept: int) -> None:
    with pytest.raises(BadRequest, match=f"not valid {coding}"):
        decompress(CODINGS[coding](BODY)[:kept], coding, LIMIT_BYTES)


@every_coding
def test_a_body_in_no_coding_at_all_is_refused(coding: str) -> None:
    with pytest.raises(BadRequest, match=f"not valid {coding}"):
        decompress(BODY, coding, LIMIT_BYTES)


@every_coding
@pytest.mark.parametrize("rest", [b"x", b"\x00", "again"])
def test_what_follows_the_end_is_not_dropped_in_silence(coding: str, rest: bytes | str) -> None:
    folded = CODINGS[coding](BODY)
    with pytest.raises(BadRequest, match=f"not valid {coding}"):
        decompress(folded + (folded if isinstance(rest, str) else rest), coding, LIMIT_BYTES)


@every_coding
def test_the_limit_is_the_last_size_that_passes(coding: str) -> None:
    exact = b"x" * LIMIT_BYTES
    assert decompress(CODINGS[coding](exact), coding, LIMIT_BYTES) == exact
    with pytest.raises(TooLarge, match=str(LIMIT_BYTES)):
        decompress(CODINGS[coding](exact + b"x"), coding, LIMIT_BYTES)


@every_coding
def test_a_bomb_takes_no_more_memory_than_the_limit_and_a_step(coding: str) -> None:
    bomb = CODINGS[coding](bytes(64 * 1024 * 1024))
    assert len(bomb) < 128 * 1024
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(bomb, coding, LIMIT_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * 1024 * 1024


def test_a_bomb_within_a_chain_is_seen_where_it_unfolds() -> None:
    bomb = gzip.compress(gzip.compress(bytes(16 * 1024 * 1024)))
    with pytest.raises(TooLarge):
        decompress(bomb, "gzip, gzip", LIMIT_BYTES)
