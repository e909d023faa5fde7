"""Check whole relayed answers: is it one, what did it use, does it say anything.

Only the members that answer this are decoded. `Read` is the usage (None: it is not told), whether the
answer is empty, and what it tells of itself. Every reader raises BadAnswer for what is no answer, and the
error that an answer tells in place of itself; `refused` finds what such a one used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from gateway.errors import BadAnswer, UpstreamError
from gateway.exchange import Format, Usage
from gateway.formats.chat.usage import decode_usage as decode_openai_usage
from gateway.formats.cohere import types as cohere
from gateway.formats.cohere.usage import read_usage as read_cohere_usage
from gateway.formats.converse import types as converse
from gateway.formats.converse.usage import decode_usage as decode_aws_usage
from gateway.formats.converse.usage import read_tier
from gateway.formats.errors.told import fault_in
from gateway.formats.gemini import types as gemini
from gateway.formats.gemini.answer import blocked, read_finish
from gateway.formats.gemini.usage import billed_searches
from gateway.formats.gemini.usage import decode_usage as decode_google_usage
from gateway.formats.messages import types as messages
from gateway.formats.messages.answer import finish_of
from gateway.formats.messages.usage import decode_usage as decode_anthropic_usage
from gateway.formats.neutral.completion import MOST_CHARS, MUTE, NOTHING, About, Finish, in_tier, tier_of
from gateway.formats.neutral.reading import any_in, lenient, read_answer, value_in, without_halves
from gateway.formats.ollama import types as ollama
from gateway.formats.ollama.answer import read_usage as read_ollama_usage
from gateway.formats.passage.seam import Whole
from gateway.formats.responses import types as responses
from gateway.formats.responses.answer import CALLS, read_ending, read_error
from gateway.formats.responses.usage import SEARCH, is_billed, read_searches
from gateway.formats.responses.usage import read_usage as read_responses_usage
from gateway.formats.vectors.usage import VECTORS, read_vector_usage

T = TypeVar("T")
Read = tuple[Usage | None, bool, About]

_NULL = msgspec.Raw(b"null")
_NOTHING = frozenset({b"null", b'""', b"[]", b"{}"})
_SILENT = frozenset({"text", "output_text", "message", "reasoning"})
"""Kinds of blocks and items that may be there and say nothing."""


class _Block(msgspec.Struct):
    """A block of a message, or a part of a message of the Responses API."""

    type: str = ""
    text: msgspec.Raw = _NULL


class _Messages(msgspec.Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: messages.Usage | None = None
    model: msgspec.Raw = _NULL


class _Item(msgspec.Struct):
    type: str = ""
    content: list[_Block] | None = None
    status: msgspec.Raw = _NULL
    action: msgspec.Raw = _NULL
    summary: msgspec.Raw = _NULL
    encrypted_content: msgspec.Raw = _NULL


class _Responses(msgspec.Struct):
    output: list[_Item] | None = None
    status: str | None = None
    error: msgspec.Raw = _NULL
    usage: responses.UsageObject | None = None
    model: msgspec.Raw = _NULL
    service_tier: msgspec.Raw = _NULL
    incomplete_details: msgspec.Raw = _NULL
    tool_usage: msgspec.Raw = _NULL


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | int | None = None


class _Content(msgspec.Struct):
    parts: list[dict[str, msgspec.Raw]] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | int | None = None
    grounding_metadata: msgspec.Raw = _NULL


class _Gemini(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: gemini.UsageMetadata | None = None
    model_version: msgspec.Raw = _NULL


class _Whole(msgspec.Struct):
    """Any JSON object."""

    model: msgspec.Raw = _NULL


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Refused(msgspec.Struct):
    """Any JSON object: where it may tell what it used, and of which model it is."""

    usage: msgspec.Raw = _NULL
    usage_metadata: msgspec.Raw = msgspec.field(default=_NULL, name="usageMetadata")
    model: msgspec.Raw = _NULL
    model_version: msgspec.Raw = msgspec.field(default=_NULL, name="modelVersion")
    service_tier: msgspec.Raw = _NULL


_incomplete = msgspec.json.Decoder(_Incomplete | None)


def read_messages(body: bytes) -> Read:
    """Read an answer of the Messages API. One without blocks is empty: Anthropic sends such."""
    answer = read_answer(body, _Messages)
    if answer.content is None or not (answer.content or answer.stop_reason):
        raise _no(body, "content")
    finish = finish_of(answer.stop_reason) if answer.stop_reason else None
    usage = None if answer.usage is None else decode_anthropic_usage(answer.usage)
    about = _about(answer.model, finish, usage)
    return usage, finish in MUTE and not _speak(answer.content), about


def read_responses(body: bytes) -> Read:
    """Read a response. One that is still worked on says nothing yet, and is not empty."""
    answer = read_answer(body, _Responses)
    if answer.status == "failed":
        raise read_error(msgspec.json.decode(answer.error))
    if answer.output is None:
        raise _no(body, "output")
    empty = answer.status in {None, "completed"} and not any(map(_says, answer.output))
    tier = tier_of(value_in(answer.service_tier))
    usage = in_tier(read_responses_usage(answer.usage, _searches(answer)), tier)
    return usage, empty, _about(answer.model, _end_of_response(answer), usage, tier)


def _searches(answer: _Responses) -> int:
    items = [item for item in answer.output or () if item.type == SEARCH]
    if not items:
        return read_searches(answer.usage, 0)
    done = sum(is_billed(any_in(item.status), any_in(item.action)) for item in items)
    return read_searches(answer.usage, done, any_in(answer.tool_usage))


def _end_of_response(answer: _Responses) -> Finish | None:
    calls = refused = False
    for item in answer.output or ():
        calls = calls or item.type in CALLS
        refused = refused or any(block.type == "refusal" for block in item.content or ())
    try:
        told = _incomplete.decode(answer.incomplete_details)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    reason = (told and told.reason) or ""
    return read_ending(answer.status, reason, calls=calls, refused=refused)[0]


def read_gemini(body: bytes) -> Read:
    """Read an answer of Google's. A prompt that was not let through is told as an error."""
    answer = read_answer(body, _Gemini)
    if not answer.candidates:
        reason = answer.prompt_feedback and answer.prompt_feedback.block_reason
        raise _no(body, "candidates") if reason is None else blocked(reason)
    usage = _used_by(answer)
    about = _about(answer.model_version, _end_of_candidate(answer.candidates[0]), usage)
    return usage, not any(map(_says_as_candidate, answer.candidates)), about


def _used_by(answer: _Gemini) -> Usage | None:
    told, candidates = answer.usage_metadata, answer.candidates or ()
    usage = None if told is None else decode_google_usage(told)
    if usage is None or all(each.grounding_metadata is _NULL for each in candidates):
        return usage
    grounds = [any_in(each.grounding_metadata) for each in candidates]
    queries = [ground.get("webSearchQueries") for ground in grounds if isinstance(ground, dict)]
    searches = billed_searches(queries, value_in(answer.model_version) or "")
    return msgspec.structs.replace(usage, searches=searches)


def _end_of_candidate(candidate: _Candidate) -> Finish | None:
    if candidate.finish_reason is None:
        return None
    parts = (candidate.content or _Content()).parts or ()
    return read_finish(candidate.finish_reason, calls=any("functionCall" in part for part in parts))[0]


def read_free(body: bytes) -> Read:
    """Check an answer that costs no tokens."""
    return Usage(), False, _about(read_answer(body, _Whole).model)


def refused(error: UpstreamError, body: bytes, wire: Format) -> Whole:
    """Return what an answer that is none, because of `error`, tells of its usage: it is billed all the same.

    Raises `error` where it tells none.
    """
    usage, about = read_refusal(body, wire)
    if usage is None:
        raise error
    return Whole(b"", usage, refusal=error, about=about)


def read_refusal(body: bytes, wire: Format, finish: Finish | None = None) -> tuple[Usage | None, About]:
    """Return what an answer in the format `wire` tells beside the reason that it is none, and its tokens."""
    read = _BESIDE.get(wire)
    seen = None if read is None else _as(body, _Refused)
    if read is None or seen is None:
        return None, About("", finish or "")
    usage = in_tier(read(body, seen), tier_of(value_in(seen.service_tier)))
    return usage, _about(seen.model if seen.model is not _NULL else seen.model_version, finish, usage)


def _as(raw: bytes, kind: type[T]) -> T | None:
    """Decode what may be anything."""
    try:
        return lenient(msgspec.json.Decoder(kind).decode, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _openai_beside(_: bytes, seen: _Refused) -> Usage | None:
    return decode_openai_usage(seen.usage)


def _messages_beside(_: bytes, seen: _Refused) -> Usage | None:
    told = _as(seen.usage, messages.Usage)
    return None if told is None else decode_anthropic_usage(told)


def _responses_beside(body: bytes, seen: _Refused) -> Usage | None:
    answer = _as(body, _Responses) or _Responses(usage=_as(seen.usage, responses.UsageObject))
    return read_responses_usage(answer.usage, _searches(answer))


def _gemini_beside(body: bytes, seen: _Refused) -> Usage | None:
    answer = _as(body, _Gemini)
    return _used_by(answer or _Gemini(usage_metadata=_as(seen.usage_metadata, gemini.UsageMetadata)))


def _converse_beside(body: bytes, _: _Refused) -> Usage | None:
    told = _as(body, converse.Metadata)
    return None if told is None or told.usage is None else decode_aws_usage(told.usage, read_tier(told))[0]


def _cohere_beside(_: bytes, seen: _Refused) -> Usage | None:
    return read_cohere_usage(_as(seen.usage, cohere.UsageObject))


class _Counts(msgspec.Struct):
    prompt_eval_count: int | None = None
    eval_count: int | None = None


def _ollama_beside(body: bytes, _: _Refused) -> Usage | None:
    told = _as(body, _Counts) or _Counts()
    return read_ollama_usage(
        ollama.Answer(prompt_eval_count=told.prompt_eval_count, eval_count=told.eval_count)
    )


def _vectors_beside(wire: Format) -> Callable[[bytes, _Refused], Usage | None]:
    return lambda body, _: read_vector_usage(body, wire)[0]


_BESIDE: Mapping[Format, Callable[[bytes, _Refused], Usage | None]] = {
    "chat": _openai_beside,
    "completions": _openai_beside,
    "responses": _responses_beside,
    "messages": _messages_beside,
    "gemini": _gemini_beside,
    "converse": _converse_beside,
    "cohere": _cohere_beside,
    "ollama": _ollama_beside,
    **{wire: _vectors_beside(wire) for wire in VECTORS},
}


def read_vectors(body: bytes) -> Read:
    """Read what embeddings used."""
    read_answer(body, _Whole)
    usage, model = read_vector_usage(body, "embeddings")
    return usage, False, About(model) if model else NOTHING


def read_ranks(body: bytes) -> Read:
    """Read what a ranking used."""
    read_answer(body, _Whole)
    usage, model = read_vector_usage(body, "rerank")
    return usage, False, About(model) if model else NOTHING


def _about(
    name: msgspec.Raw, finish: Finish | None = None, usage: Usage | None = None, tier: str = ""
) -> About:
    model = (value_in(name) or "")[:MOST_CHARS]
    return About(model, finish or "", tier if usage is None else usage.tier)


def _no(body: bytes, member: str) -> UpstreamError:
    return fault_in(without_halves(body)) or BadAnswer(f"the upstream's answer has no {member}")


def _speak(blocks: Sequence[_Block]) -> bool:
    return any(block.type not in _SILENT or bytes(block.text) not in _NOTHING for block in blocks)


def _says(item: _Item) -> bool:
    if item.type not in _SILENT or _speak(item.content or ()):
        return True
    return bytes(item.summary) not in _NOTHING or bytes(item.encrypted_content) not in _NOTHING


def _says_as_candidate(candidate: _Candidate) -> bool:
    for part in (candidate.content or _Content()).parts or ():
        if any(bytes(value) not in _NOTHING for name, value in part.items() if name != "thought"):
            return True
    told = candidate.finish_reason
    return told is not None and read_finish(told, calls=False)[0] not in MUTE
