"""The place of a call in a trace, and whether those below are asked to keep theirs."""

from __future__ import annotations

import pytest

from gateway.telemetry.tracing.head import Head

CALL = "call_a3ce929d0e0e4736a3ce929d"
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def parent(flags: str) -> dict[str, str]:
    return {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-{flags}", "tracestate": "vendor=1"}


def test_a_call_without_a_trace_begins_one_that_ends_in_its_own_id() -> None:
    trace = Head(enabled=True, sample=1.0).begin(CALL, {})
    assert trace is not None
    assert trace.trace_id.endswith(CALL.removeprefix("call_"))
    assert (trace.parent_id, trace.sampled, trace.state) == ("", True, "")


def test_where_traces_are_off_a_client_s_own_is_passed_on_as_it_came() -> None:
    head = Head(enabled=False, sample=1.0)
    assert head.begin(CALL, {}) is None
    trace = head.begin(CALL, parent("01"))
    assert trace is not None
    assert (trace.trace_id, trace.span_id, trace.sampled) == (TRACE_ID, PARENT_ID, True)
    assert trace.child().headers() == parent("01"), "no span of ours stands between"


@pytest.mark.parametrize(
    ("flags", "follows", "sample", "sampled"),
    [
        ("01", True, 0.0, True),
        ("00", True, 1.0, False),
        ("03", True, 0.0, True),
        ("01", False, 0.0, False),
        ("00", False, 1.0, True),
    ],
)
def test_a_client_s_decision_counts_where_it_is_followed(
    flags: str, follows: bool, sample: float, sampled: bool
) -> None:
    trace = Head(enabled=True, sample=sample, follows=follows).begin(CALL, parent(flags))
    assert trace is not None
    assert (trace.trace_id, trace.parent_id, trace.state) == (TRACE_ID, PARENT_ID, "vendor=1")
    assert trace.sampled is sampled
    assert trace.span_id != PARENT_ID


def test_a_malformed_parent_is_none() -> None:
    trace = Head(enabled=True, sample=1.0).begin(CALL, {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}"})
    assert trace is not None
    assert (trace.parent_id, trace.trace_id == TRACE_ID) == ("", False)


def test_the_share_is_drawn_by_the_trace_s_id_alike_in_every_process() -> None:
    heads = [Head(enabled=True, sample=0.1, follows=False) for _ in range(2)]
    drawn = []
    for number in range(4000):
        headers = {"traceparent": f"00-{number * 0x9E3779B97F4A7C15 % (1 << 128) + 1:032x}-{PARENT_ID}-00"}
        both = {trace.sampled for head in heads if (trace := head.begin(CALL, headers)) is not None}
        assert len(both) == 1
        drawn.append(both.pop())
    assert 300 < sum(drawn) < 500
