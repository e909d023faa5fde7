"""Check whole relayed answers: is it one, what did it use, does it say anything.

Only the members that answer this are decoded. `Read` is the usage (None: it is not told), whether the
answer is empty, and what it tells of itself. Every reader raises BadAnswer for what is no answer, and the
error that an answer tells in place of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from gateway.errors import BadAnswer, UpstreamError
from gateway.exchange import Usage
from gateway.formats.errors.told import fault_in
from gateway.formats.gemini import types as gemini
from gateway.formats.gemini.answer import blocked, read_finish
from gateway.formats.gemini.usage import billed_searches
from gateway.formats.gemini.usage import decode_usage as decode_google_usage
from gateway.formats.messages import types as messages
from gateway.formats.messages.answer import finish_of
from gateway.formats.messages.usage import decode_usage as decode_anthropic_usage
from gateway.formats.neutral.completion import MOST_CHARS, MUTE, NOTHING, About, Finish, in_tier, tier_of
from gateway.formats.neutral.reading import any_in, read_answer, value_in
from gateway.formats.responses import types as responses
from gateway.formats.responses.answer import CALLS, read_ending, read_error
from gateway.formats.responses.usage import SEARCH, is_billed, read_searches
from gateway.formats.responses.usage import read_usage as read_responses_usage
from gateway.formats.vectors.usage import read_vector_usage

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


class _Refused(msgspec.Struct, rename="camel"):
    usage_metadata: gemini.UsageMetadata | None = None
    model_version: msgspec.Raw = _NULL


_refused = msgspec.json.Decoder(_Refused)
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
    told = answer.usage_metadata
    usage = None if told is None else decode_google_usage(told)
    if usage is not None and any(each.grounding_metadata is not _NULL for each in answer.candidates):
        usage = _grounded(usage, answer)
    about = _about(answer.model_version, _end_of_candidate(answer.candidates[0]), usage)
    return usage, not any(map(_says_as_candidate, answer.candidates)), about


def _grounded(usage: Usage, answer: _Gemini) -> Usage:
    grounds = [any_in(each.grounding_metadata) for each in answer.candidates or ()]
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


def read_refusal(body: bytes) -> tuple[Usage | None, About]:
    """Return what is told beside the refusal of a prompt, and its tokens. Only Google answers with such."""
    try:
        refused = _refused.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, About("", "content_filter")
    told = refused.usage_metadata
    usage = None if told is None else decode_google_usage(told)
    return usage, _about(refused.model_version, "content_filter", usage)


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
    return fault_in(body) or BadAnswer(f"the upstream's answer has no {member}")


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
