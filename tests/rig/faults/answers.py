"""Faults of whole bodies and of HTTP itself: heads that lie, bodies that are cut, 200s that are none."""

from __future__ import annotations

import json

from rig import chat
from rig.faults.fault import (
    GIVEN_UP,
    MAX_ANSWER_BYTES,
    Answered,
    Breaks,
    Case,
    Falls,
    Fault,
    Spare,
    Told,
    both,
)
from rig.faults.wire import (
    BEGUN,
    BEGUN_TEXT,
    BREATH,
    DONE,
    FINISH,
    HTML,
    JSON_TYPE,
    SSE_TYPE,
    STREAM,
    TEXT,
    USAGE,
    chunk,
    deltas,
    head,
    raw,
    said,
    stream,
    whole,
)
from rig.script import Answer, Cut, Pause, split_in_bytes

UNREACHABLE = Falls(Told(502, "upstream_unreachable"))
LATE = Falls(GIVEN_UP)
CUT = Falls(Told(502, "upstream_answer_cut"))
BAD = Falls(Told(502, "upstream_bad_answer"))
BROKEN = Breaks(BEGUN_TEXT, Told(502, "stream_broken"))

_BODY = said()
_STREAMED = b"".join(STREAM)
_BEGUN = b"".join(BEGUN)
_ACCENTED = said("Zürich lies by the lake")
_EMOJI = json.dumps(chat.completion(content="so it goes \U0001f30a on")).encode()


_REST = _STREAMED[len(_BEGUN) :]
_CHUNKED_JSON = head("content-type: application/json", "transfer-encoding: chunked")
_CHUNKED_EVENTS = head("content-type: text/event-stream", "transfer-encoding: chunked")
_POISON = said("an answer to somebody else")
_STRAY = head("content-type: application/json", f"content-length: {len(_POISON)}") + _POISON


def _headed(*steps: bytes | Cut | Pause) -> tuple[Answer, Answer]:
    """An answer that begins well and does this instead of its body: whole, and as a stream."""
    return Answer(200, JSON_TYPE, steps), Answer(200, SSE_TYPE, steps, "chunked")


def _after_head(name: str, verdict: Falls, *steps: bytes | Cut | Pause) -> Fault:
    plain, streamed = _headed(*steps)
    return Fault(name, Case(plain, verdict), Case(streamed, verdict))


def _whole_only(name: str, body: bytes, verdict: Falls = BAD) -> Fault:
    return Fault(name, Case(whole(body), verdict), None)


def _dribbled(data: bytes) -> list[bytes | Pause]:
    """Single bytes, each soon enough for any limit on pauses, all of them too late."""
    return [step for byte in split_in_bytes(data)[:40] for step in (byte, Pause(0.05))]


_HEAD = head("content-type: application/json", f"content-length: {len(_BODY)}")

HEADS = [
    both("reset_before_the_head", raw(Cut.RESET), UNREACHABLE, repeated=True),
    both("closed_before_the_head", raw(Cut.FIN), UNREACHABLE, repeated=True),
    both(
        "reset_in_the_head",
        raw(b"HTTP/1.1 200 OK\r\ncontent-", BREATH, Cut.RESET),
        UNREACHABLE,
        repeated=True,
    ),
    both("a_head_that_is_not_http", raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cut.FIN), UNREACHABLE),
    both("never_answers", raw(Cut.HANG), LATE),
    both("dribbles_its_head", raw(*_dribbled(_HEAD), Cut.HANG), LATE),
    both(
        "a_huge_header",
        raw(
            head("content-type: application/json", f"x-all: {'x' * 300_000}", "content-length: 2") + b"{}",
            Cut.FIN,
        ),
        UNREACHABLE,
    ),
    _after_head("reset_after_the_head", CUT, BREATH, Cut.RESET),
    _after_head("closed_after_the_head", CUT, Cut.FIN),
    _after_head("silence_after_the_head", LATE, Cut.HANG),
]

STATUSES = [
    both(
        "a_redirection",
        Answer(302, [("location", "http://127.0.0.1:9/v1/chat/completions"), *JSON_TYPE], [b"{}"]),
        BAD,
    ),
    both("200_with_html", whole(HTML, content_type="text/html"), BAD),
    both("200_with_html_called_json", whole(HTML), BAD),
    Fault(
        "an_empty_200",
        Case(whole(b""), BAD),
        Case(stream(), Falls(Told(502, "upstream_empty"))),
    ),
    both("204", raw(head("content-length: 0", status="204 No Content"), Cut.FIN), BAD),
    Fault(
        "an_error_called_200",
        Case(
            whole(chat.error("it burns", "server_error", "on_fire")),
            Falls(Told(502, "upstream_failed", words="it burns")),
        ),
        None,
    ),
]

BODIES = [
    Fault(
        "dribbles_its_body",
        Case(Answer(200, JSON_TYPE, _dribbled(_BODY), length_bytes=len(_BODY)), LATE),
        Case(stream(*_dribbled(_STREAMED)), LATE),
    ),
    _whole_only("truncated_json", _BODY[: len(_BODY) // 2]),
    _whole_only("json_that_is_no_object", json.dumps([chat.completion()]).encode()),
    _whole_only("the_whole_answer_twice_in_a_body", _BODY * 2),
    _whole_only("cut_inside_a_character_of_a_body", _ACCENTED[: _ACCENTED.index(b"\xbc")]),
    _whole_only("cut_inside_a_surrogate_pair_of_a_body", _EMOJI[: _EMOJI.index(b"\\udf0a")]),
    _whole_only("bytes_that_are_no_text", _BODY.replace(b"Water", b"\xff\xfe\x00")),
    _whole_only(
        "a_huge_answer",
        said("x" * 2 * MAX_ANSWER_BYTES),
        Falls(Told(502, "upstream_answer_too_large")),
    ),
    Fault("empty_choices", Case(whole(said(choices=[])), BAD), Case(stream(USAGE, DONE), Spare())),
    Fault(
        "says_nothing", Case(whole(said("")), Spare()), Case(stream(deltas(), FINISH, USAGE, DONE), Spare())
    ),
    Fault(
        "malformed_usage",
        Case(whole(said(usage={"prompt_tokens": "many"})), Answered(TEXT)),
        Case(
            stream(STREAM[:-2], b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tok\n\n', DONE),
            Answered(TEXT),
        ),
    ),
    Fault("a_stream_for_a_whole_call", Case(stream(STREAM), Answered(TEXT)), None),
    Fault("a_broken_stream_for_a_whole_call", Case(stream(BEGUN), BAD), None),
    Fault("a_body_for_a_stream", None, Case(whole(_BODY), Answered(TEXT))),
    Fault("half_a_body_for_a_stream", None, Case(whole(_BODY[: len(_BODY) // 2]), BAD)),
    Fault(
        "a_body_in_tiny_pieces",
        Case(Answer(200, JSON_TYPE, split_in_bytes(_BODY), "chunked"), Answered(TEXT)),
        Case(stream(split_in_bytes(_STREAMED)), Answered(TEXT)),
    ),
]

FRAMING = [
    Fault(
        "content_length_too_long",
        Case(Answer(200, JSON_TYPE, [_BODY, BREATH, Cut.FIN], length_bytes=len(_BODY) + 9), CUT),
        # All has been said, and that it was all: what the head had promised beside it misses nobody.
        Case(Answer(200, SSE_TYPE, [*STREAM, BREATH, Cut.FIN]), Answered(TEXT)),
    ),
    Fault(
        "content_length_too_short",
        Case(
            Answer(200, JSON_TYPE, [_BODY[:-9], BREATH, _BODY[-9:], Cut.FIN], length_bytes=len(_BODY) - 9),
            BAD,
        ),
        Case(Answer(200, SSE_TYPE, [*BEGUN, BREATH, *STREAM[4:], Cut.FIN], length_bytes=len(_BEGUN)), BROKEN),
        "one_key",
        own_backend=True,
    ),
    Fault(
        "an_answer_that_nobody_asked_for",
        Case(Answer(200, JSON_TYPE, [_BODY, BREATH, _STRAY], length_bytes=len(_BODY)), Answered(TEXT)),
        Case(Answer(200, SSE_TYPE, [*STREAM, BREATH, _STRAY], length_bytes=len(_STREAMED)), Answered(TEXT)),
        "one_key",
        own_backend=True,
    ),
    Fault(
        "broken_chunks",
        Case(raw(_CHUNKED_JSON, BREATH, b"zz\r\n", BREATH, Cut.FIN), CUT),
        Case(raw(_CHUNKED_EVENTS + chunk(_BEGUN), BREATH, b"zz\r\n" + chunk(_REST), BREATH, Cut.FIN), BROKEN),
    ),
    Fault(
        "gzip_that_is_none",
        Case(whole(_BODY, headers=[("content-encoding", "gzip")]), CUT),
        Case(Answer(200, [*SSE_TYPE, ("content-encoding", "gzip")], STREAM, "chunked"), CUT),
    ),
]

FAULTS = [*HEADS, *STATUSES, *BODIES, *FRAMING]
