"""A whole answer of a chat completion, in both directions; how it ended, its tokens and their chances.

Members that only single hosts know are kept in `Completion.extra` and, of a choice, in `Choice.raw`; they
are written again by their names, so that those of other formats are left out.

Must not know requests or streams.
Source: OpenAI API reference, "The chat completion object" (checked 2026-11); recorded answers of 27 hosts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BadAnswer, BadRequest
from gateway.exchange import Usage
from gateway.formats.chat.message import cite_listed, read_listed, read_parts, read_raw, write_message
from gateway.formats.chat.types import (
    Answer,
    AnswerChoice,
    HostsOfAnswer,
    HostsOfChoice,
    Logprobs,
)
from gateway.formats.chat.types import TokenLogprob as WireLogprob
from gateway.formats.chat.usage import decode_usage
from gateway.formats.errors.told import fault_in
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import (
    Choice,
    Completion,
    Finish,
    TokenLogprob,
    TopLogprob,
    in_tier,
    tier_of,
)
from gateway.formats.neutral.parts import Citation, Part, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import lenient, read_answer

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "error": "error",
    "eos": "stop",  # Together
    "model_length": "length",  # Mistral: the context window is full
    "insufficient_system_resource": "error",  # DeepSeek
    "abort": "error",  # SGLang, vLLM
    "sensitive": "content_filter",  # Z.ai, as the next two
    "model_context_window_exceeded": "length",
    "network_error": "error",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
"""What the words for the end mean: OpenAI's, and those of hosts; one that is not here is "stop"."""

_WORDS: Mapping[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "error",
}

_CHOICE_MEMBERS = HostsOfChoice.__struct_fields__
_ANSWER_MEMBERS = tuple((field.name, field.encode_name) for field in msgspec.structs.fields(HostsOfAnswer))
_NULL = b"null"


def decode_answer(body: bytes) -> Completion:
    """Read a whole answer; raises Failed when it is not one, or what it says where it reports an error."""
    wire = read_answer(body, Answer)
    if not wire.choices:
        raise fault_in(body) or BadAnswer("the upstream's answer has no choices")
    try:
        return _read_completion(wire, wire.choices, body)
    except (BadRequest, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the upstream's answer is malformed: {error}") from None


def _read_completion(wire: Answer, choices: Sequence[AnswerChoice], body: bytes) -> Completion:
    in_order = sorted(enumerate(choices), key=lambda pair: pair[1].index)
    extra, sources = read_extra(wire), read_listed(wire)
    if bytes(wire.usage) != _NULL:
        extra["usage"] = msgspec.json.decode(wire.usage)
    return Completion(
        tuple(_read_choice(choice, position, body, sources) for position, choice in in_order),
        id=wire.id or "",
        model=wire.model or "",
        created_unix_s=int(wire.created or 0),
        usage=in_tier(decode_usage(wire.usage), tier_of(wire.service_tier)),
        service_tier=wire.service_tier or "",
        extra=extra,
    )


def _read_choice(choice: AnswerChoice, position: int, body: bytes, sources: tuple[Citation, ...]) -> Choice:
    values: list[Any] = []

    def value_at(j: int) -> Any:
        if not values:
            values.append(lenient(msgspec.json.decode, body)["choices"][position]["message"]["content"])
        return values[0][j]

    parts = read_parts(choice.message, f"choices[{position}].message", value_at, "function_call_0")
    stopped_by = read_stop(choice)
    logprobs = read_logprobs(choice.logprobs)
    raw = read_choice_raw(choice)
    if message := read_raw(choice.message):
        raw["message"] = message
    return Choice(
        cite_listed(parts, sources),
        finish=read_finish(choice.finish_reason, said(parts), stopped_by),
        finish_raw=choice.finish_reason or "",
        stop_sequence=stopped_by,
        logprobs=logprobs,
        raw=raw or None,
    )


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write a whole answer for a client."""
    answer: dict[str, Any] = {
        "id": completion.id or f"chatcmpl-{heading.id}",
        "object": "chat.completion",
        "created": completion.created_unix_s or heading.created_unix_s,
        "model": heading.model_of(completion.model),
        "choices": [_write_choice(choice, index) for index, choice in enumerate(completion.choices)],
    }
    if completion.usage is not None:
        answer["usage"] = write_usage(completion.usage, completion.extra.get("usage"))
    if completion.service_tier:
        answer["service_tier"] = completion.service_tier
    return msgspec.json.encode(answer | write_extra(completion.extra))


def _write_choice(choice: Choice, index: int) -> dict[str, Any]:
    raw = choice.raw if isinstance(choice.raw, dict) else {}
    deeds = said(choice.parts)
    message = write_message(choice.parts, raw.get("message"), answer=True)
    return {
        "index": index,
        "message": {"role": "assistant", "refusal": None, **message},
        "logprobs": write_logprobs(choice.logprobs, deeds),
        "finish_reason": write_finish(choice.finish, choice.finish_raw, deeds),
        **write_choice_raw(raw),
    }


def said(parts: Sequence[Part]) -> frozenset[type[Part]]:
    """Return which kinds of parts an answer has."""
    return frozenset(type(part) for part in parts)


def read_finish(word: str | None, kinds: frozenset[type[Part]], stopped_by: str = "") -> Finish | None:
    """Read why a choice ended, from its word and from what it did; None where it did not end.

    A forced call ends with "stop" (OpenAI), a call with "" (Snowflake), a refusal with "stop".
    """
    if not word:
        return "tool_calls" if word == "" and ToolCall in kinds else None
    finish = _FINISHES.get(word.lower(), "stop")
    if finish != "stop":
        return finish
    if ToolCall in kinds:
        return "tool_calls"
    if Refusal in kinds:
        return "refusal"
    return "stop_sequence" if stopped_by else "stop"


def write_finish(finish: Finish | None, raw: str, kinds: frozenset[type[Part]]) -> str:
    """Write why a choice ended: in the host's word where it is one of ours and means the same."""
    if raw.lower() in _FINISHES and finish in {read_finish(raw, kinds), read_finish(raw, kinds, "?")}:
        return raw
    if finish == "refusal" and Refusal in kinds:
        return "stop"
    return _WORDS[finish or "stop"]


def read_stop(choice: HostsOfChoice) -> str:
    """Return the stop sequence that ended a choice; "" where none did, or nobody said which."""
    return next((stop for stop in (choice.stop_reason, choice.matched_stop) if isinstance(stop, str)), "")


def read_choice_raw(choice: HostsOfChoice) -> dict[str, Any]:
    """Return the members of a choice that only its host knows."""
    return {name: value for name in _CHOICE_MEMBERS if (value := getattr(choice, name)) is not None}


def write_choice_raw(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `raw` that a choice has here."""
    return {name: raw[name] for name in _CHOICE_MEMBERS if name in raw}


def read_extra(wire: HostsOfAnswer) -> dict[str, Any]:
    """Return the members of an answer or a chunk that only its host knows."""
    return {shown: value for name, shown in _ANSWER_MEMBERS if (value := getattr(wire, name)) is not None}


def write_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `extra` that an answer has here."""
    return {shown: extra[shown] for _, shown in _ANSWER_MEMBERS if shown in extra}


def write_usage(usage: Usage, as_it_came: Any = None) -> dict[str, Any]:
    """Write a usage object; the upstream's own where it says the same, because it says more."""
    if isinstance(as_it_came, dict):
        counted = decode_usage(msgspec.Raw(msgspec.json.encode(as_it_came)))
        if in_tier(counted, usage.tier) == usage:
            return as_it_came
    given = {"cached_tokens": usage.cached_tokens, "audio_tokens": usage.audio_input_tokens}
    taken = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_output_tokens}
    if usage.cache_write_tokens:
        given["cache_write_tokens"] = usage.cache_write_tokens
    if usage.image_input_tokens:
        given["image_tokens"] = usage.image_input_tokens
    if usage.image_output_tokens:
        taken["image_tokens"] = usage.image_output_tokens
    written: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": given,
        "completion_tokens_details": taken,
    }
    if usage.audio_s:
        written["prompt_audio_seconds"] = usage.audio_s
    return written


def read_logprobs(logprobs: Logprobs | None) -> tuple[TokenLogprob, ...] | None:
    """Read the tokens with their chances, those of a refusal after those of the content."""
    if logprobs is None or not (logprobs.content or logprobs.refusal):
        return None
    return tuple(map(_token, [*(logprobs.content or ()), *(logprobs.refusal or ())]))


def _token(token: WireLogprob) -> TokenLogprob:
    top = tuple(TopLogprob(t.token, t.logprob, _bytes(t.bytes)) for t in token.top_logprobs or ())
    return TokenLogprob(token.token, token.logprob, _bytes(token.bytes), top)


def _bytes(values: list[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)


def write_logprobs(logprobs: Sequence[TokenLogprob] | None, kinds: frozenset[type[Part]]) -> Any:
    """Write the tokens: as those of a refusal where nothing else was said."""
    if logprobs is None:
        return None
    tokens = [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": token.bytes,
            "top_logprobs": [
                {"token": top.token, "logprob": top.logprob, "bytes": top.bytes} for top in token.top
            ],
        }
        for token in logprobs
    ]
    refused = Refusal in kinds and Text not in kinds
    return {"content": None if refused else tokens, "refusal": tokens if refused else None}
