"""Whole answers of Ollama's chat in both directions, and what a stream's last line has of them.

Source: Ollama API reference, "Generate a chat message: response" (checked 2026-11), recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.errors import BadAnswer, BadRequest
from gateway.exchange import Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import believed, read_answer
from gateway.formats.ollama import types
from gateway.formats.ollama.messages import read_arguments, read_message

EXTRA = (
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "remote_model",
    "remote_host",
)
"""Members of an answer that only Ollama has."""

_WORDS: Mapping[Finish, str] = {"length": "length"}
_LAST_UNIX_S = 253402300799
"""The end of the year 9999: no date is written beyond it."""


def decode_answer(body: bytes) -> Completion:
    """Read an answer. Raises Failed when it is none."""
    seen = read_answer(body, types.Answer)
    if seen.message is None:
        raise BadAnswer(seen.error or "the upstream's answer has no message")
    parts = tuple(read_message(seen.message, seen.created_at))
    choice = Choice(
        parts,
        finish=read_finish(seen.done_reason, any(isinstance(part, ToolCall) for part in parts))
        if seen.done
        else None,
        finish_raw=seen.done_reason or "",
        logprobs=read_logprobs(seen.logprobs),
    )
    return Completion(
        (choice,),
        model=seen.model,
        created_unix_s=read_time(seen.created_at),
        usage=read_usage(seen),
        extra=read_extra(seen) | ({"created_at": seen.created_at} if seen.created_at else {}),
    )


def read_finish(word: str | None, calls: int) -> Finish:
    """Say why the model stopped, having made so many calls: `stop` is said of an answer that calls, too."""
    if word == "length":
        return "length"
    return "tool_calls" if calls else "stop"


def read_time(text: str) -> int:
    """Read an RFC 3339 time as seconds since 1970; 0 for anything else."""
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return 0


def read_usage(seen: types.Answer) -> Usage | None:
    """Read the counts; None where there are none, or nonsense. A prompt that was cached is not counted."""
    given = (seen.prompt_eval_count, seen.eval_count)
    if given == (None, None):
        return None
    return believed(Usage(seen.prompt_eval_count or 0, seen.eval_count or 0))


def read_extra(seen: types.Answer) -> dict[str, Any]:
    """Keep the durations, and where the cloud answered."""
    return {name: value for name in EXTRA if (value := getattr(seen, name)) is not None}


def read_logprobs(seen: Sequence[types.Logprob] | None) -> tuple[TokenLogprob, ...] | None:
    """Read the tokens' probabilities; None where none are told."""
    if not seen:
        return None
    return tuple(
        TokenLogprob(
            token.token,
            token.logprob,
            _bytes_of(token),
            tuple(TopLogprob(top.token, top.logprob, _bytes_of(top)) for top in token.top_logprobs or ()),
        )
        for token in seen
    )


def _bytes_of(token: types.Logprob | types.TopLogprob) -> tuple[int, ...] | None:
    return None if token.bytes is None else tuple(token.bytes)


def write_logprobs(tokens: Sequence[TokenLogprob] | None) -> list[dict[str, Any]] | None:
    """Write the tokens' probabilities; None where none are told."""
    return [_write_token(token) for token in tokens] if tokens else None


def _write_token(token: TokenLogprob) -> dict[str, Any]:
    members = {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": token.bytes,
        "top_logprobs": [msgspec.to_builtins(top) for top in token.top] or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write an answer: its first choice, for there is only one here."""
    choice = completion.choices[0] if completion.choices else Choice()
    made = completion.extra.get("created_at") or write_time(
        completion.created_unix_s or heading.created_unix_s
    )
    members = {
        "model": heading.model_of(completion.model),
        "created_at": made,
        "message": write_parts(choice.parts),
        "done": True,
        "done_reason": write_finish(choice.finish or "stop", choice.finish_raw, choice.parts),
        **write_end(completion.usage, completion.extra),
    }
    if logprobs := write_logprobs(choice.logprobs):
        members["logprobs"] = logprobs
    return msgspec.json.encode(members)


def write_finish(finish: Finish, raw: str, parts: Sequence[Part] = ()) -> str:
    """Choose Ollama's word: its own where it means that, else the nearest."""
    calls = finish == "tool_calls" or any(isinstance(part, ToolCall) for part in parts)
    if raw in {"stop", "length", "load", "unload"} and read_finish(raw, calls) == finish:
        return raw
    return _WORDS.get(finish, "stop")


def write_time(unix_s: int) -> str:
    """Write seconds since 1970 as RFC 3339."""
    return datetime.fromtimestamp(min(unix_s, _LAST_UNIX_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_end(usage: Usage | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Write the counts and the durations; what is 0 is not said, as Ollama does."""
    counts = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens} if usage else {}
    ended = counts | {name: extra.get(name) for name in EXTRA}
    return {name: value for name, value in ended.items() if value}


def write_parts(parts: Sequence[Part]) -> types.Message:
    """Write the message of an answer; media and the items of other formats have no place in it."""
    thinking = "".join(part.text for part in parts if isinstance(part, Reasoning))
    content = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    written = [write_call(call, i) for i, call in enumerate(calls)]
    return types.Message("assistant", content, thinking or None, tool_calls=written or None)


def write_call(call: ToolCall, index: int) -> types.ToolCall:
    """Write a call. Arguments that are no JSON object stand under the key `arguments` as a text.

    A model wrote them, and they cannot be said in another way: the answer is not to be lost for them.
    """
    try:
        arguments: dict[str, Any] = read_arguments(call.arguments, "arguments")
    except BadRequest:
        arguments = {"arguments": call.arguments}
    return types.ToolCall(types.Function(call.name, arguments, index), call.id or None)
