"""Errors under a good status, in all the shapes that hosts give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Failed, Overloaded, QuotaSpent, Rejected, UpstreamError
from gateway.formats.errors.told import fault_in

TOLD: list[tuple[Any, type[UpstreamError], str]] = [
    ({"error": {"message": "x", "code": 503}}, Overloaded, "x"),
    ({"error": {"message": "x", "status_code": 503, "code": "y"}}, Overloaded, "x"),
    ({"error": {"message": "x", "type": "insufficient_quota", "code": None}}, QuotaSpent, "x"),
    ({"error": "in a word"}, Failed, "in a word"),
    ({"object": "error", "message": "x", "code": 400}, Rejected, "x"),
    ({"object": "error", "message": 5}, Failed, "without saying which"),
]


@pytest.mark.parametrize(("body", "kind", "message"), TOLD)
def test_an_error_of_any_shape_is_told(body: Any, kind: type[UpstreamError], message: str) -> None:
    fault = fault_in(json.dumps(body).encode())
    assert type(fault) is kind
    assert message in fault.message


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b"{}", b'{"error": null}', b'{"message": "x"}', b'{"error": "\xff"}']
)
def test_what_tells_no_error_is_none(data: bytes) -> None:
    assert fault_in(data) is None


def test_an_event_may_say_by_its_name_that_it_is_one() -> None:
    assert isinstance(fault_in(b'{"message": "x", "code": "overloaded"}', named=True), Overloaded)
    assert isinstance(fault_in(b"{}", named=True), Failed)
    assert fault_in(b"{", named=True) is None
