"""The body from the socket: whole, in time, within bounds."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import brotli
import pytest
from backports import zstd
from unit.upstream import skipping

from gateway.errors import BadRequest, ClientGone, GatewayError, ReadTimeout, TooLarge
from gateway.exchange import Arrival, Flight
from gateway.stages.receive import Intake, receive

INTAKE = Intake(max_body_bytes=100, body_timeout_s=0.1)
ROOMY = Intake(max_body_bytes=32 << 20, body_timeout_s=5)
MIB = 1 << 20
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=5),
    "zstd": zstd.compress,
}
every_coding = pytest.mark.parametrize("coding", CODINGS)


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}
NOTHING: dict[str, Any] = {}
"""Nothing ever comes."""


def received(*messages: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    waiting = list(messages)

    async def next_message() -> dict[str, Any]:
        message = waiting.pop(0)
        if message is NOTHING:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return message

    async def scene() -> bytes:
        arrival = Arrival("call_1", "chat", headers or {}, Flight(lambda: None), next_message, never)
        return await asyncio.wait_for(receive(arrival, INTAKE), 30)

    # What is unfolded may be in a thread, for which a clock that jumps does not wait.
    return asyncio.run(scene()) if headers and "content-encoding" in headers else skipping.run(scene())


async def never(_reply: Any) -> None:
    raise AssertionError("receiving delivers nothing")


def refused(*messages: dict[str, Any], headers: dict[str, str] | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        received(*messages, headers=headers)
    return error.value


def test_a_body_in_one_piece_or_in_many() -> None:
    assert received(piece(b"abc")) == b"abc"
    assert received(piece(b"a", more=True), piece(b"", more=True), piece(b"bc")) == b"abc"
    assert received(piece(b"")) == b""
    assert received({"type": "http.request"}) == b""


def test_the_limit_is_the_last_size_that_passes() -> None:
    assert len(received(piece(b"x" * 100))) == 100
    assert len(received(piece(b"x" * 50, more=True), piece(b"x" * 50))) == 100
    assert isinstance(refused(piece(b"x" * 101)), TooLarge)
    assert isinstance(refused(piece(b"x" * 50, more=True), piece(b"x" * 51, more=True), NOTHING), TooLarge)


@pytest.mark.parametrize("declared", ["101", "9" * 30, "9" * 6000])
def test_a_body_that_says_it_is_too_large_is_not_read(declared: str) -> None:
    error = refused(headers={"content-length": declared})
    assert (type(error), error.status) == (TooLarge, 413)
    assert "100 bytes" in error.message


@pytest.mark.parametrize("declared", ["", "x", "-1", "\u00b2", "1e9"])
def test_a_length_that_is_no_number_decides_nothing(declared: str) -> None:
    assert received(piece(b"abc"), headers={"content-length": declared}) == b"abc"


def test_a_body_that_stops_in_the_middle_times_out() -> None:
    error = refused(piece(b"a", more=True), NOTHING)
    assert (type(error), error.status) == (ReadTimeout, 408)
    assert "0.1 s" in error.message


def test_a_body_that_never_begins_times_out() -> None:
    assert isinstance(refused(NOTHING), ReadTimeout)


def test_a_client_that_leaves_is_gone() -> None:
    assert isinstance(refused(GONE), ClientGone)
    assert isinstance(refused(piece(b"a", more=True), GONE), ClientGone)


def test_a_compressed_body_is_unfolded_within_the_same_limit() -> None:
    coded = {"content-encoding": "gzip"}
    assert received(piece(gzip.compress(b"abc")), headers=coded) == b"abc"
    assert isinstance(refused(piece(gzip.compress(b"x" * 101)), headers=coded), TooLarge)
    assert isinstance(refused(piece(b"abc"), headers=coded), BadRequest)


def unfolded(body: bytes, coding: str) -> tuple[bytes, int]:
    """Receive a compressed body; return it, and how often others had a turn meanwhile."""
    turns = 0

    async def next_message() -> dict[str, Any]:
        return piece(body)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scene() -> bytes:
        other = asyncio.create_task(others())
        headers = {"content-encoding": coding}
        arrival = Arrival("call_1", "chat", headers, Flight(lambda: None), next_message, never)
        try:
            return await receive(arrival, ROOMY)
        finally:
            other.cancel()

    return asyncio.run(scene()), turns


@every_coding
def test_others_go_on_while_a_large_body_is_unfolded(coding: str) -> None:
    body = os.urandom(160 << 10).hex().encode() * 20
    whole, turns = unfolded(CODINGS[coding](body), coding)
    assert whole == body
    assert turns > 0


@every_coding
def test_a_small_body_that_unfolds_large_does_not_hold_others_up_either(coding: str) -> None:
    body = b"word " * (MIB // 5)
    folded = CODINGS[coding](body)
    assert len(folded) < 5000
    whole, turns = unfolded(folded, coding)
    assert whole == body
    assert turns > 0


def test_nothing_of_brotli_is_unfolded_while_others_wait() -> None:
    # The first byte of 50 bytes that unfold to 16 MiB takes 7 ms, however little of them is asked for.
    for name in ("br", "BR", "gzip, Br"):
        folded = gzip.compress(b"{}") if "gzip" in name else b"{}"
        whole, turns = unfolded(brotli.compress(folded), name)
        assert whole == b"{}"
        assert turns > 0


@pytest.mark.parametrize("coding", sorted(CODINGS.keys() - {"br"}))
def test_a_small_body_is_unfolded_at_once(coding: str) -> None:
    body = json.dumps(list(range(9000))).encode()
    assert 50_000 < len(body) < 64 << 10
    whole, turns = unfolded(CODINGS[coding](body), coding)
    assert whole == body
    assert turns == 0


@every_coding
def test_a_body_may_unfold_to_a_mebibyte_or_a_hundred_times_what_was_sent(coding: str) -> None:
    assert len(unfolded(CODINGS[coding](bytes(MIB)), coding)[0]) == MIB
    for body in (bytes(MIB + 1), os.urandom(20_000) + bytes(3 * MIB)):
        with pytest.raises(TooLarge, match="more than 100 times what was sent") as refusal:
            unfolded(CODINGS[coding](body), coding)
        assert refusal.value.status == 413
    whole = os.urandom(40_000) + bytes(3 * MIB)
    assert unfolded(CODINGS[coding](whole), coding)[0] == whole


def test_a_hundred_times_is_counted_over_all_codings() -> None:
    # 100 times each would let 600 bytes become 3 MB, by way of 9,000.
    folded = gzip.compress(gzip.compress(bytes(3 * MIB)))
    with pytest.raises(TooLarge, match="more than 100 times what was sent"):
        unfolded(folded, "gzip, gzip")


def test_what_is_too_large_for_the_limit_too_is_told_of_the_limit() -> None:
    noise = os.urandom(MIB)
    with pytest.raises(TooLarge, match="limit of 33554432 bytes"):
        unfolded(gzip.compress(noise + bytes(32 * MIB)), "gzip")


def test_a_large_body_that_is_broken_is_the_clients_mistake() -> None:
    with pytest.raises(BadRequest, match="not valid gzip"):
        unfolded(gzip.compress(os.urandom(200_000))[:-9], "gzip")
