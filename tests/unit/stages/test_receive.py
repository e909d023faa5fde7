"""The body from the socket: whole, in time, within bounds."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from gateway.errors import BadRequest, ClientGone, GatewayError, ReadTimeout, TooLarge
from gateway.exchange import Arrival, Flight
from gateway.stages.receive import Intake, receive

INTAKE = Intake(max_body_bytes=100, body_timeout_s=0.1)


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
        return await asyncio.wait_for(receive(arrival, INTAKE), 1)

    return asyncio.run(scene())


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
