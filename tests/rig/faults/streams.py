"""Faults that only a stream can have: errors inside it, ends that are none, pauses, and too much of it."""

from __future__ import annotations

import json

from rig import chat
from rig.faults.answers import BAD, BROKEN, LATE
from rig.faults.fault import (
    GIVEN_UP,
    MAX_EVENT_BYTES,
    Answered,
    Breaks,
    Case,
    Falls,
    Fault,
    Limit,
    Told,
    Verdict,
)
from rig.faults.wire import (
    BEGUN,
    BEGUN_TEXT,
    BREATH,
    DONE,
    FINISH,
    ROLE,
    STREAM,
    TEXT,
    USAGE,
    WORDS,
    deltas,
    said,
    stream,
    whole,
)
from rig.script import Answer, Cut, Pause, Step, split_in_bytes, sse

_EXPLODED = sse(chat.error("the engine exploded", "server_error", "engine_exploded"), done=False)
_FULL = sse(
    {
        "error": {
            "object": "error",
            "message": "The request queue is full.",
            "type": "SERVICE_UNAVAILABLE",
            "param": None,
            "code": 503,
        }
    },
    done=False,
)
"""How SGLang turns a call away that has been streamed: inside a 200."""
_TOO_LONG = sse(
    chat.error("too many tokens for the window", "invalid_request_error", "context_length_exceeded"),
    done=False,
)
_PING = b": ping\n\n"
_HALF = b'data: {"id":"chatcmpl-1","choi\n\n'
_ACCENT = b"data: " + json.dumps(chat.chunk({"content": "Zürich"}), ensure_ascii=False).encode() + b"\n\n"
_WAVE = sse(chat.chunk({"content": "a wave \U0001f30a"}), done=False)[0]
_CALL = sse(*chat.tool_chunks("open_gate", '{"gate": "north", "by_cm": 40}'), done=False)
_FILTERED = sse(chat.chunk({}, "content_filter"), done=False)

_MANY = 2000
_LONG = "la " * _MANY
_BIG = "x" * (MAX_EVENT_BYTES // 2)
_TOO_BIG = "x" * 2 * MAX_EVENT_BYTES


def _flow(name: str, verdict: Verdict, *steps: Step | list[bytes], meets: Limit | None = None) -> Fault:
    return Fault(name, None, Case(stream(*steps), verdict), meets=meets)


def _at_once(*pieces: list[bytes]) -> bytes:
    """In one piece: between two of them a busy machine might make the pause that is to come after them."""
    return b"".join(piece for some in pieces for piece in some)


_stalled = Breaks(BEGUN_TEXT, GIVEN_UP)

ERRORS = [
    _flow("an_error_first", Falls(Told(502, "upstream_failed", words="the engine exploded")), _EXPLODED),
    _flow(
        "an_error_after_the_role",
        Falls(Told(502, "upstream_failed", words="the engine exploded")),
        ROLE,
        _EXPLODED,
    ),
    _flow(
        "a_full_queue_first",
        Falls(Told(503, "upstream_overloaded", words="The request queue is full.")),
        _FULL,
        DONE,
    ),
    _flow(
        "context_length_first",
        Falls(Told(400, "context_length_exceeded", words="too many tokens for the window"), to="large"),
        _TOO_LONG,
    ),
    _flow(
        "an_error_after_3_tokens",
        Breaks(BEGUN_TEXT, Told(502, "upstream_failed", "engine_exploded", "the engine exploded")),
        BEGUN,
        BREATH,
        _EXPLODED,
    ),
    _flow(
        "an_error_and_done_after_3_tokens",
        Breaks(BEGUN_TEXT, Told(502, "upstream_failed", "engine_exploded", "the engine exploded")),
        BEGUN,
        BREATH,
        _EXPLODED,
        DONE,
    ),
]

CUTS = [
    _flow("reset_after_3_tokens", BROKEN, BEGUN, BREATH, Cut.RESET),
    _flow("closed_after_3_tokens", BROKEN, BEGUN, BREATH, Cut.FIN),
    _flow("ends_in_order_after_3_tokens", BROKEN, BEGUN),
    Fault(
        "closed_without_a_length_after_3_tokens",
        None,
        Case(Answer(200, [("content-type", "text/event-stream")], BEGUN, "close"), BROKEN),
    ),
    _flow("cut_inside_an_event", BROKEN, BEGUN, STREAM[4][:40], BREATH, Cut.FIN),
    _flow("cut_inside_a_character", BROKEN, BEGUN, _ACCENT[: _ACCENT.index(b"\xbc")], BREATH, Cut.FIN),
    _flow("cut_inside_a_surrogate_pair", BROKEN, BEGUN, _WAVE[: _WAVE.index(b"\\udf0a")], BREATH, Cut.FIN),
    _flow("cut_inside_a_tool_call", Breaks("", Told(502, "stream_broken")), _CALL[:2], BREATH, Cut.FIN),
    _flow("cut_after_the_role", BAD, ROLE),
]

ENDS = [
    _flow("done_without_a_finish", Answered(TEXT, finish=""), deltas(*WORDS), DONE),
    _flow("a_finish_and_no_done", Answered(TEXT), deltas(*WORDS), FINISH, USAGE),
    _flow("a_finish_and_no_done_nor_usage", Answered(TEXT), deltas(*WORDS), FINISH),
    _flow(
        "a_finish_and_no_done_staying_open",
        Answered(TEXT),
        _at_once(deltas(*WORDS), FINISH, USAGE),
        Cut.HANG,
        meets="gap",
    ),
    _flow("done_staying_open", Answered(TEXT), STREAM, Cut.HANG),
    _flow("filtered_before_a_word", Answered("", finish="content_filter"), ROLE, _FILTERED, USAGE, DONE),
    Fault(
        "filtered_without_a_word",
        Case(
            whole(
                said(
                    choices=[
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": ""},
                            "finish_reason": "content_filter",
                        }
                    ]
                )
            ),
            Answered("", finish="content_filter"),
        ),
        None,
    ),
]

MISSHAPEN = [
    _flow("one_malformed_event", Answered(TEXT), STREAM[:3], _HALF, STREAM[3:]),
    _flow("a_malformed_event_first", Answered(TEXT), _HALF, STREAM),
    _flow("an_event_that_is_no_object", Answered(TEXT), STREAM[:3], b"data: 17\n\n", STREAM[3:]),
    _flow(
        "a_malformed_event_inside_a_tool_call",
        Breaks("", Told(502, "stream_broken")),
        _CALL[:2],
        BREATH,
        _HALF,
        _CALL[2:],
        DONE,
    ),
    _flow("all_events_malformed", BAD, [_HALF] * 9),
    _flow("all_events_malformed_and_done", BAD, [_HALF] * 9, DONE),
    _flow("html_called_a_stream", BAD, b"<html><body>Bad Gateway</body></html>"),
    _flow(
        "first_and_last_chunks_twice",
        Answered(TEXT),
        ROLE,
        deltas(*WORDS),
        FINISH,
        FINISH,
        USAGE,
        USAGE,
        DONE,
        DONE,
    ),
    _flow("the_whole_answer_twice", Answered(TEXT), STREAM, STREAM),
    _flow("the_whole_answer_twice_before_done", Answered(TEXT), STREAM[:-1], STREAM),
]

PAUSES = [
    _flow("a_gap_too_long", _stalled, _at_once(BEGUN), Cut.HANG),
    _flow("a_gap_full_of_pings", _stalled, _at_once(BEGUN, [_PING]), Cut.HANG),
    _flow("pings_for_ever", LATE, *[step for _ in range(100) for step in (_PING, Pause(0.05))]),
    _flow("the_role_and_then_nothing", LATE, ROLE, Cut.HANG),
    _flow(
        "the_role_and_then_pings", LATE, ROLE, *[step for _ in range(100) for step in (_PING, Pause(0.05))]
    ),
    _flow(
        "dribbles_without_end",
        _stalled,
        _at_once(BEGUN),
        *[step for byte in split_in_bytes(b": " + b"." * 98) for step in (byte, Pause(0.05))],
        meets="deadline",
    ),
    _flow(
        "slow_within_its_limits",
        Answered(TEXT),
        *[step for piece in STREAM for step in (piece[:9], Pause(0.04), piece[9:])],
        meets="first_token",
    ),
]

SIZES = [
    _flow("a_huge_event", Answered(_BIG), deltas(_BIG), FINISH, USAGE, DONE),
    _flow("an_event_over_the_limit", Falls(Told(502, "upstream_answer_cut")), deltas(_TOO_BIG), FINISH, DONE),
    _flow("an_event_over_the_limit_later", BROKEN, BEGUN, BREATH, deltas(_TOO_BIG), FINISH, DONE),
    _flow("thousands_of_chunks", Answered(_LONG), deltas(*["la "] * _MANY), FINISH, USAGE, DONE),
]

FAULTS = [*ERRORS, *CUTS, *ENDS, *MISSHAPEN, *PAUSES, *SIZES]
