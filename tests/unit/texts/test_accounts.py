"""What is an account number, and what only begins like one."""

from __future__ import annotations

from random import Random

import pytest

from gateway.texts.accounts import ibans, written_ibans

IBAN = b"DE89370400440532013000"
SPACED = b"DE89 3704 0044 0532 0130 00"


def found(text: bytes) -> list[bytes]:
    return [text[start:end] for start, end in written_ibans(text)]


def test_no_id_of_a_call_is_an_account() -> None:
    drawn = Random(20261121)
    for _ in range(200):
        ids = " ".join(f"call_{drawn.getrandbits(96):024x}" for _ in range(1000))
        assert found(ids.encode()) == []


@pytest.mark.parametrize(
    "text", [b"call_ba45eeb6b4f860e0fca3c776", IBAN + b"0", IBAN + b"x", SPACED + b"1", b"id_" + IBAN]
)
def test_what_goes_on_or_stands_in_an_id_is_no_account(text: bytes) -> None:
    assert found(text) == []


def test_what_goes_on_is_no_account_in_a_call_either() -> None:
    assert list(ibans(b"to " + IBAN + b"x")) == []
    assert list(ibans(b"to " + IBAN)) == [(3, 25)]


@pytest.mark.parametrize("after", [b"", b" now", b".", b",", b'"', b"\\n", b"/x", b"-1", b"_1", "é".encode()])
@pytest.mark.parametrize("before", [b"", b"to ", b"/", b"=", b'"', b"\\n"])
@pytest.mark.parametrize("iban", [IBAN, SPACED, IBAN.lower()])
def test_an_account_is_found_whatever_stands_around_it(before: bytes, iban: bytes, after: bytes) -> None:
    assert found(before + iban + after) == [iban]
