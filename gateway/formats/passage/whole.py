"""Check whole relayed answers: is it one, what did it use, does it say anything.

Only the members that answer this are decoded. `Read` is the usage (None: it is not told) and whether the
answer is empty. Every reader raises BadAnswer for what is no answer, and the error that an answer tells
in place of itself.
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
from gateway.formats.gemini.usage import decode_usage as decode_google_usage
from gateway.formats.messages import types as messages
from gateway.formats.messages.answer import finish_of
from gateway.formats.messages.usage import decode_usage as decode_anthropic_usage
from gateway.formats.neutral.completion import MUTE
from gateway.formats.neutral.reading import read_answer
from gateway.formats.responses import types as responses
from gateway.formats.responses.answer import read_error
from gateway.formats.responses.usage import read_usage as read_responses_usage
from gateway.formats.vectors.usage import read_vector_usage

T = TypeVar("T")
Read = tuple[Usage | None, bool]

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


class _Item(msgspec.Struct):
    type: str = ""
    content: list[_Block] | None = None
    summary: msgspec.Raw = _NULL
    encrypted_content: msgspec.Raw = _NULL


class _Responses(msgspec.Struct):
    output: list[_Item] | None = None
    status: str | None = None
    error: msgspec.Raw = _NULL
    usage: responses.UsageObject | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | int | None = None


class _Content(msgspec.Struct):
    parts: list[dict[str, msgspec.Raw]] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | int | None = None


class _Gemini(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: gemini.UsageMetadata | None = None


class _Whole(msgspec.Struct):
    """Any JSON object."""


def read_messages(body: bytes) -> Read:
    """Read an answer of the Messages API. One without blocks is empty: Anthropic sends such."""
    answer = read_answer(body, _Messages)
    if answer.content is None or not (answer.content or answer.stop_reason):
        raise _no(body, "content")
    finish = finish_of(answer.stop_reason) if answer.stop_reason else None
    usage = None if answer.usage is None else decode_anthropic_usage(answer.usage)
    return usage, finish in MUTE and not _speak(answer.content)


def read_responses(body: bytes) -> Read:
    """Read a response. One that is still worked on says nothing yet, and is not empty."""
    answer = read_answer(body, _Responses)
    if answer.status == "failed":
        raise read_error(msgspec.json.decode(answer.error))
    if answer.output is None:
        raise _no(body, "output")
    empty = answer.status in {None, "completed"} and not any(map(_says, answer.output))
    return read_responses_usage(answer.usage), empty


def read_gemini(body: bytes) -> Read:
    """Read an answer of Google's. A prompt that was not let through is told as an error."""
    answer = read_answer(body, _Gemini)
    if not answer.candidates:
        reason = answer.prompt_feedback and answer.prompt_feedback.block_reason
        raise _no(body, "candidates") if reason is None else blocked(reason)
    usage = answer.usage_metadata
    return (
        None if usage is None else decode_google_usage(usage),
        not any(map(_says_as_candidate, answer.candidates)),
    )


def read_free(body: bytes) -> Read:
    """Check an answer that costs no tokens."""
    read_answer(body, _Whole)
    return Usage(), False


def read_vectors(body: bytes) -> Read:
    """Read what embeddings used."""
    read_answer(body, _Whole)
    return read_vector_usage(body, "embeddings"), False


def read_ranks(body: bytes) -> Read:
    """Read what a ranking used."""
    read_answer(body, _Whole)
    return read_vector_usage(body, "rerank"), False


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
