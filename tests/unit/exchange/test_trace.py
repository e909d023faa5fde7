"""Ids of traces and spans, and the headers that carry them."""

from __future__ import annotations

import re

import pytest

from gateway.exchange.trace import Trace, new_span_id, told_by, trace_id_of

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("parent", "sampled"),
    [
        (f"00-{TRACE_ID}-{PARENT_ID}-01", True),
        (f"00-{TRACE_ID}-{PARENT_ID}-00", False),
        (f"00-{TRACE_ID}-{PARENT_ID}-ff", True),
        (f"  00-{TRACE_ID}-{PARENT_ID}-02 ", False),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01", True),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-what-the-future-will-be-like", True),
    ],
)
def test_a_client_s_span_is_read(parent: str, sampled: bool) -> None:
    assert told_by(parent, "a=1") == Trace(TRACE_ID, PARENT_ID, "", sampled, "a=1")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-01-more",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"00-{TRACE_ID}-{PARENT_ID}",
        f"00-{TRACE_ID.upper()}-{PARENT_ID}-01",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"cc-{TRACE_ID}-{PARENT_ID}-01.more",
        f"00-{TRACE_ID}-{PARENT_ID}-01\n00",
        f"0x-{TRACE_ID}-{PARENT_ID}-01",
    ],
)
def test_what_is_malformed_is_not_read(parent: str) -> None:
    assert told_by(parent) is None


def test_a_state_that_is_longer_than_anybody_has_to_pass_on_is_left_out() -> None:
    parent = f"00-{TRACE_ID}-{PARENT_ID}-01"
    kept, left_out = told_by(parent, "a=" + "x" * 510), told_by(parent, "a=" + "x" * 511)
    assert kept is not None
    assert left_out is not None
    assert (len(kept.state), left_out.state) == (512, "")


def test_a_place_below_tells_an_upstream_of_itself() -> None:
    above = Trace(TRACE_ID, PARENT_ID, "", sampled=True, state="a=1")
    below = above.child()
    assert (below.trace_id, below.parent_id) == (TRACE_ID, PARENT_ID)
    assert below.headers() == {"traceparent": f"00-{TRACE_ID}-{below.span_id}-01", "tracestate": "a=1"}
    assert told_by(below.headers()["traceparent"], "a=1") == Trace(
        TRACE_ID, below.span_id, "", sampled=True, state="a=1"
    )
    unsampled = Trace(TRACE_ID, PARENT_ID).headers()
    assert unsampled == {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}


def test_ids_are_of_their_length_and_no_two_are_the_same() -> None:
    spans = {new_span_id() for _ in range(1000)}
    traces = {trace_id_of("call_a3ce929d0e0e4736a3ce929d") for _ in range(1000)}
    assert len(spans) == len(traces) == 1000
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in spans)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in traces)
    assert {each[8:] for each in traces} == {"a3ce929d0e0e4736a3ce929d"}
