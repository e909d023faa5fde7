"""A backend that answers from a script: for demos, fault tests and load tests.

The script is data; this module only reads it and picks the step of a call. Playing it, with its delays,
is `gateway.upstream.scripted_transport`'s.

    answers:                     # the n-th call gets the n-th answer, then from the start again
      - text: "Hello from a script."
        tokens_per_s: 50         # of a stream; 0: as fast as it goes
        first_token_ms: 200
      - status: 429
        headers: {retry-after: "1"}
        message: "slow down"
      - text: "Half an ans"
        fault: cut               # cut: ends in the middle; refuse: no connection; hang: never answers
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from gateway.exchange import Request
from gateway.upstream.scripted_transport import Scene

PLACE = "scripted:"
_WORDS = re.compile(r"\s*\S+\s*")
_CREATED_UNIX_S = 1_700_000_000
_EMBEDDING = [0.6, 0.8, 0.0]

Json = dict[str, Any]


class StepSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of a script. A token is a word here; rates and pauses apply to streams."""

    text: str = "This is a scripted answer."
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    message: str = "a scripted error"
    headers: dict[str, str] = {}
    first_token_ms: Annotated[float, Meta(ge=0)] = 0.0
    tokens_per_s: Annotated[float, Meta(ge=0)] = 0.0
    fault: Literal["", "refuse", "hang", "cut"] = ""


class ScriptSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script: its answers are given in turn, then from the start again."""

    answers: Annotated[tuple[StepSpec, ...], Meta(min_length=1)]


class Scripted(OpenAICompatible):
    """Speaks OpenAI's dialect to a script instead of a host; `play` is the script's side of it."""

    def __init__(self, name: str, script: ScriptSpec) -> None:
        super().__init__(name, Host(PLACE + name, ("chat", "completions", "embeddings")))
        self._steps = itertools.cycle(script.answers)

    def play(self, request: Request) -> Scene:
        """Give the scene that answers a request."""
        step = next(self._steps)
        asked = msgspec.json.decode(request.body)
        stream = bool(asked.get("stream")) and step.status == 200  # only a 200 streams
        headers = {"content-type": "text/event-stream" if stream else "application/json", **step.headers}
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        first_s = step.first_token_ms / 1000
        if stream:
            gap_s = 1 / step.tokens_per_s if step.tokens_per_s else 0.0
            pieces = [(gap_s, _event(chunk)) for chunk in _chunks(step, asked, request.url)]
            pieces = [(first_s, pieces[0][1]), *pieces[1:], (0.0, b"data: [DONE]\n\n")]
        else:
            body = msgspec.json.encode(_whole(step, asked, request.url))
            half = len(body) // 2
            pieces = [(first_s, body[:half]), (0.0, body[half:])]
        return Scene(step.status, lines, tuple(pieces), step.fault)


def _event(chunk: Json) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _usage(step: StepSpec, asked: Json) -> Json:
    prompt = len(str(asked.get("messages") or asked.get("prompt") or asked.get("input") or "").split())
    words = len(_WORDS.findall(step.text))
    return {"prompt_tokens": prompt, "completion_tokens": words, "total_tokens": prompt + words}


def _head(asked: Json, kind: str) -> Json:
    return {"id": "scripted-1", "object": kind, "created": _CREATED_UNIX_S, "model": asked.get("model", "")}


def _whole(step: StepSpec, asked: Json, url: str) -> Json:
    if step.status != 200:
        return {"error": {"message": step.message, "type": "scripted_error", "param": None, "code": None}}
    usage = _usage(step, asked)
    if url.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": _EMBEDDING}]
        return {"object": "list", "model": asked.get("model", ""), "data": data, "usage": usage}
    end = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if url.endswith("/chat/completions"):
        choice = {**end, "message": {"role": "assistant", "content": step.text}}
        return {**_head(asked, "chat.completion"), "choices": [choice], "usage": usage}
    return {**_head(asked, "text_completion"), "choices": [{**end, "text": step.text}], "usage": usage}


def _chunks(step: StepSpec, asked: Json, url: str) -> Iterator[Json]:
    chat = url.endswith("/chat/completions")
    head = _head(asked, "chat.completion.chunk" if chat else "text_completion")
    for word in _WORDS.findall(step.text):
        said: Json = {"delta": {"content": word}} if chat else {"text": word}
        yield {**head, "choices": [{"index": 0, "finish_reason": None, **said}]}
    if step.fault == "cut" and step.text:
        return
    last: Json = {"delta": {}} if chat else {"text": ""}
    yield {**head, "choices": [{"index": 0, "finish_reason": "stop", **last}]}
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(step, asked)}
