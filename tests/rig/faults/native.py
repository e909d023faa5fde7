"""A sample of faults as upstreams have them that speak Anthropic's, Google's and OpenAI's newer dialect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rig import chat, messages
from rig.faults.answers import BAD, BROKEN, CUT, LATE
from rig.faults.fault import (
    GIVEN_UP,
    Answered,
    Breaks,
    Case,
    Falls,
    Fault,
    Limit,
    Spare,
    Told,
    Verdict,
    both,
)
from rig.faults.wire import BEGUN_TEXT, BREATH, HTML, TEXT, WORDS, stream, whole
from rig.script import Cut, Pause, Step, plain, sse

_WORDS_OF_THE_ERROR = "the pond froze"


@dataclass(frozen=True)
class Speech:
    """What an upstream of one dialect says: whole, and event by event."""

    name: str
    whole: dict[str, Any]
    wordless: dict[str, Any]
    start: Sequence[bytes]
    words: Sequence[bytes]
    finish: Sequence[bytes]
    """Up to the reason of the end."""
    end: Sequence[bytes]
    """What says that this was all."""
    error: bytes
    """Inside a stream."""
    refusal: dict[str, Any]
    """The body of a 503."""
    ping: bytes = field(default=b": ping\n\n")


def _event(value: dict[str, Any]) -> bytes:
    return messages.event(value)


def _anthropic() -> Speech:
    start, opened, _, closed, finish, end = messages.streamed({"type": "text", "text": ""})
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}} for w in WORDS
    ]
    error = messages.error("overloaded_error", _WORDS_OF_THE_ERROR)
    return Speech(
        "native_messages",
        messages.message({"type": "text", "text": TEXT}),
        messages.message() | {"content": []},
        [start, opened],
        [_event(delta) for delta in deltas],
        [closed, finish],
        [end],
        _event(error),
        error,
        _event({"type": "ping"}),
    )


def _google() -> Speech:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    common = {"usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}

    def said(text: str | None, finish: str = "") -> dict[str, Any]:
        parts = [] if text is None else [{"text": text}]
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        return {"candidates": [candidate | ({"finishReason": finish} if finish else {})]} | common

    error = {"error": {"code": 503, "message": _WORDS_OF_THE_ERROR, "status": "UNAVAILABLE"}}
    return Speech(
        "native_gemini",
        said(TEXT, "STOP"),
        said(None, "STOP"),
        [],
        sse(*(said(word) for word in WORDS), done=False),
        sse(said(None, "STOP"), done=False),
        [],
        sse(error, done=False)[0],
        error,
    )


def _openai() -> Speech:
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    full = part | {"text": TEXT}
    done = item | {"status": "completed", "content": [full]}
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": chat.UPSTREAM_MODEL,
        "output": [done],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 12,
        },
    }
    begun = answer | {"status": "in_progress", "output": [], "usage": None}
    values: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", "part": part, **place},
        *({"type": "response.output_text.delta", "delta": w, "logprobs": [], **place} for w in WORDS),
        {"type": "response.output_text.done", "text": TEXT, "logprobs": [], **place},
        {"type": "response.content_part.done", "part": full, **place},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": answer},
    ]
    events = [_event(value | {"sequence_number": number}) for number, value in enumerate(values)]
    told = {"type": "server_error", "code": "server_error", "message": _WORDS_OF_THE_ERROR, "param": None}
    error = {**told, "type": "error", "error": told, "sequence_number": 8}
    return Speech(
        "native_responses",
        answer,
        answer | {"output": []},
        events[:3],
        events[3:8],
        events[8:11],
        events[11:],
        _event(error),
        {"error": told},
    )


def _faults(speech: Speech, in_stream: Told, refused: Told) -> list[Fault]:
    """The sample in one dialect; `in_stream` is what its error event means, `refused` its 503."""
    begun = [*speech.start, *speech.words[:3]]
    spoken = [*speech.start, *speech.words]
    all_of_it = [*spoken, *speech.finish, *speech.end]
    body = json.dumps(speech.whole).encode()
    pings: list[Step] = [step for _ in range(100) for step in (speech.ping, Pause(0.05))]

    def flow(name: str, verdict: Verdict, *steps: Step, meets: Limit | None = None) -> Fault:
        case = Case(stream(*steps), verdict)
        return Fault(f"{speech.name}_{name}", None, case, speech.name, meets=meets)

    def same(name: str, answer: Any, verdict: Verdict) -> Fault:
        return both(f"{speech.name}_{name}", answer, verdict, backend=speech.name)

    def body_only(name: str, answer: Any, verdict: Verdict) -> Fault:
        return Fault(f"{speech.name}_{name}", Case(whole(answer), verdict), None, speech.name)

    return [
        same("503", plain(speech.refusal, 503), Falls(refused)),
        same("html", whole(HTML, content_type="text/html"), BAD),
        body_only("truncated_json", body[: len(body) // 2], BAD),
        body_only("says_nothing", speech.wordless, Spare()),
        flow("error_first", Falls(replace(in_stream, own="")), *speech.start, speech.error),
        flow("error_after_3_tokens", Breaks(BEGUN_TEXT, in_stream), *begun, BREATH, speech.error),
        flow("closed_before_a_token", CUT, *speech.start, BREATH, Cut.FIN),
        flow("closed_after_3_tokens", BROKEN, *begun, BREATH, Cut.FIN),
        flow("ends_in_order_after_3_tokens", BROKEN, *begun),
        flow("all_words_and_no_finish", Breaks(TEXT, Told(502, "stream_broken")), *spoken),
        # In one piece: between two of them a busy machine might make the pause.
        flow("a_gap_too_long", Breaks(BEGUN_TEXT, GIVEN_UP), b"".join(begun), Cut.HANG),
        flow("pings_for_ever", LATE, *speech.start, *pings),
        flow(
            "one_malformed_event", Answered(TEXT), *begun, b'data: {"type":"con\n\n', *all_of_it[len(begun) :]
        ),
        # Where the dialect has no other end than silence, that is what has to come.
        flow(
            "staying_open",
            Answered(TEXT),
            b"".join(all_of_it),
            Cut.HANG,
            meets=None if speech.end else "gap",
        ),
    ]


_MESSAGES, _GEMINI, _RESPONSES = _anthropic(), _google(), _openai()
_FROZEN = Told(503, "upstream_overloaded", words=_WORDS_OF_THE_ERROR)
_FAILED = Told(502, "upstream_failed", "server_error", _WORDS_OF_THE_ERROR)

FAULTS = [
    *_faults(_MESSAGES, _FROZEN, _FROZEN),
    *_faults(_GEMINI, _FROZEN, _FROZEN),
    *_faults(_RESPONSES, _FAILED, Told(503, "upstream_overloaded", "server_error", _WORDS_OF_THE_ERROR)),
    Fault(
        "native_messages_a_stop_reason_and_no_end",
        None,
        Case(
            stream(*_MESSAGES.start, *_MESSAGES.words, *_MESSAGES.finish),
            Answered(TEXT),
        ),
        "native_messages",
    ),
]

CLIENTS = {
    "native_messages": ("messages", "chat"),
    "native_gemini": ("gemini", "responses"),
    "native_responses": ("responses", "messages"),
}
"""Who asks these upstreams: one of their own dialect, and one whose calls are translated."""
