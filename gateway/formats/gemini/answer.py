"""Whole answers of Google's generateContent, read and written.

What only Google says of a candidate stays in the choice's `raw`: the Candidate without what is said
otherwise. A prompt that was blocked has no candidates: it is one choice, stopped by a filter.

Sources: Gemini API reference, "GenerateContentResponse", "FinishReason"; Vertex AI reference, numbers of
its enum (checked 2026-11).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.errors import BadAnswer, Filtered
from gateway.exchange import Usage
from gateway.formats.errors.told import fault_in
from gateway.formats.gemini.citations import encode_citations, place, spans_of
from gateway.formats.gemini.parts import CallNames, PartValues, decode_part, encode_part, show_arguments
from gateway.formats.gemini.types import (
    Answer,
    Candidate,
    Content,
    LogprobsCandidate,
    LogprobsResult,
    TopCandidates,
)
from gateway.formats.gemini.usage import decode_usage, encode_usage, searches_of
from gateway.formats.neutral import parts as neutral
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.parts import Media, Text, ToolCall
from gateway.formats.neutral.reading import read_answer

_FINISHES: Mapping[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "CONTINUATION": "pause",
    "OTHER": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MALFORMED_RESPONSE": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "PUP_LIMITED_DISABLED": "error",
    "NO_IMAGE": "error",
    "IMAGE_OTHER": "error",
}
"""A word that is not here says that something failed."""

_CALLING = frozenset({"STOP", "UNEXPECTED_TOOL_CALL"})
"""Words that end an answer with calls. An unexpected one is of a function that nobody declared: it is there
all the same, and what to say to it is the client's."""

_NUMBERS = (
    *("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST"),
    *("PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR", "IMAGE_SAFETY"),
    *("IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL", "NO_IMAGE"),
)
"""Vertex's enum, by its numbers: the Gemini API writes words only."""

_WORDS: Mapping[Finish, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "error": "OTHER",
}
_NEVER = -9999.0
"""The logarithm of no probability at all, as OpenAI writes it: JSON has no number for it."""
_OWN_MEMBERS = ("promptFeedback", "usageMetadata", "createTime", "modelStatus")


def read_finish(told: str | int, *, calls: bool) -> tuple[Finish, str]:
    """Say what a finishReason means, and its word; `calls` tells whether the answer calls functions."""
    if isinstance(told, int):
        told = _NUMBERS[told] if 0 <= told < len(_NUMBERS) else _NUMBERS[0]
    if calls and told in _CALLING:
        return "tool_calls", told
    return _FINISHES.get(told, "error"), told


def word_of(finish: Finish, raw: str, *, calls: bool) -> str:
    """Choose the finishReason: the provider's own word where it means the same here."""
    return raw if raw in _FINISHES and read_finish(raw, calls=calls)[0] == finish else _WORDS[finish]


def rest_of(candidate: Candidate) -> Candidate:
    """Return what a choice cannot say of a candidate."""
    content, finish = candidate.content, candidate.finish_reason
    rest = msgspec.structs.replace(
        candidate,
        # Empty contents are written in three ways, a finish in words or numbers.
        content=Content(role=content.role) if content is not None and not content.parts else None,
        finish_reason=None if finish in _FINISHES else finish,
    )
    if rest.logprobs_result is not None and encode_logprobs(decode_logprobs(rest)) == rest.logprobs_result:
        rest.logprobs_result = None
    return rest


def extra_of(answer: Answer) -> dict[str, Any]:
    """Return the members of an answer that no field of a Completion says."""
    extra = dict[str, Any]()
    told = answer.usage_metadata
    if told is not None:
        usage = decode_usage(told)
        if usage is None or encode_usage(usage) != told:
            extra["usageMetadata"] = msgspec.to_builtins(told)
    if answer.prompt_feedback is not None:
        extra["promptFeedback"] = msgspec.to_builtins(answer.prompt_feedback)
    if answer.create_time is not None:
        extra["createTime"] = answer.create_time
    if answer.model_status is not None:
        extra["modelStatus"] = answer.model_status
    return extra


def created_unix_s(answer: Answer) -> int:
    """Read when an answer was made; 0 when that is not said."""
    try:
        return int(dt.datetime.fromisoformat(answer.create_time or "").timestamp())
    except (ValueError, OverflowError):
        return 0


def block_of(answer: Answer) -> Filtered | None:
    """Return why the prompt was not let through; None where it was."""
    feedback = answer.prompt_feedback
    reason = None if answer.candidates or feedback is None else feedback.block_reason
    return None if reason is None else blocked(reason)


def blocked(reason: object) -> Filtered:
    """Say that a prompt was not let through: no answer, whatever the status says."""
    return Filtered(f"the upstream did not let the prompt through: {reason}")


def decode_answer(body: bytes) -> Completion:
    """Read a whole answer; raises BadAnswer when it is none, or has neither a candidate nor a reason."""
    answer = read_answer(body, Answer)
    names, values = CallNames(answer.response_id or ""), PartValues(body)
    if block_of(answer) is not None:
        choices: tuple[Choice, ...] = (Choice(finish="content_filter"),)
    elif answer.candidates:
        try:
            choices = tuple(
                _decode_choice(each, names, (values, i)) for i, each in enumerate(answer.candidates)
            )
        except (UnicodeDecodeError, RecursionError) as error:  # in a part that only Google knows
            raise BadAnswer(f"the upstream's answer is malformed: {error}") from None
    else:
        raise fault_in(body) or BadAnswer("the upstream's answer has no candidates")
    return Completion(
        choices,
        id=answer.response_id or "",
        model=answer.model_version or "",
        created_unix_s=created_unix_s(answer),
        usage=read_metered(answer),
        extra=extra_of(answer),
    )


def read_metered(answer: Answer) -> Usage | None:
    """Read what a whole answer used; None where it does not tell."""
    told = answer.usage_metadata
    return None if told is None else decode_usage(told, searches_of(answer))


def _decode_choice(candidate: Candidate, names: CallNames, where: tuple[PartValues, int]) -> Choice:
    content = candidate.content or Content()
    values, index = where
    parts: list[neutral.Part] = [
        decode_part(part, names) or values.opaque(index, j) for j, part in enumerate(content.parts or [])
    ]
    _cite(parts, candidate)
    finish: Finish | None = None
    raw = ""
    if candidate.finish_reason is not None:
        calls = any(isinstance(part, ToolCall) for part in parts)
        finish, raw = read_finish(candidate.finish_reason, calls=calls)
    logprobs = decode_logprobs(candidate)
    return Choice(tuple(parts), finish, raw, logprobs=logprobs, raw=rest_of(candidate))


def _cite(parts: list[neutral.Part], candidate: Candidate) -> None:
    """Put the citations of a candidate on the texts they are about."""
    spans = spans_of(candidate)
    texts = [j for j, part in enumerate(parts) if isinstance(part, Text)]
    if not spans or not texts:
        return
    for j in texts:
        text = parts[j]
        about = [span for span in spans if (span.part if span.part in texts else texts[-1]) == j]
        if about and isinstance(text, Text):
            parts[j] = msgspec.structs.replace(text, citations=tuple(place(about, text.text)))


def decode_logprobs(candidate: Candidate) -> tuple[TokenLogprob, ...] | None:
    """Read the tokens of an answer with their probabilities; None where they are not told."""
    result = candidate.logprobs_result
    if result is None or not result.chosen_candidates:
        return None
    tops = [step.candidates or [] for step in result.top_candidates or []]
    return tuple(
        TokenLogprob(
            chosen.token or "",
            _logprob(chosen.log_probability),
            top=tuple(
                TopLogprob(each.token or "", _logprob(each.log_probability))
                for each in (tops[i] if i < len(tops) else ())
            ),
        )
        for i, chosen in enumerate(result.chosen_candidates)
    )


def _logprob(told: object) -> float:
    """Read a logarithm of a probability; 0.0 where it is not told, or none: protobuf writes NaN as a word."""
    if told == "-Infinity":
        return _NEVER
    return float(told) if isinstance(told, int | float) else 0.0


def encode_logprobs(logprobs: tuple[TokenLogprob, ...] | None) -> LogprobsResult | None:
    """Write the tokens of an answer with their probabilities."""
    if not logprobs:
        return None
    tops = [
        TopCandidates(
            candidates=[
                LogprobsCandidate(token=each.token, log_probability=each.logprob) for each in token.top
            ]
        )
        for token in logprobs
    ]
    return LogprobsResult(
        chosen_candidates=[
            LogprobsCandidate(token=token.token, log_probability=token.logprob) for token in logprobs
        ],
        top_candidates=tops if any(token.top for token in logprobs) else None,
    )


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write a whole answer for a client."""
    answer = msgspec.to_builtins(head_of(completion.id, completion.model, heading))
    silent = not any(choice.parts or choice.raw for choice in completion.choices)
    if not (silent and is_unanswered(completion.extra)):
        answer["candidates"] = [_encode_choice(choice, i) for i, choice in enumerate(completion.choices)]
    if completion.usage is not None:
        answer["usageMetadata"] = encode_usage(completion.usage)
    answer |= own_members(completion.extra)
    return msgspec.json.encode(answer)


def head_of(id_: str, model: str, heading: Heading) -> Answer:
    """Begin an answer: who answers."""
    return Answer(model_version=heading.model_of(model), response_id=id_ or heading.id)


def own_members(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what of an answer's extras is Google's."""
    return {name: extra[name] for name in _OWN_MEMBERS if name in extra}


def is_unanswered(extra: Mapping[str, Any]) -> bool:
    """Tell whether an answer's extras say that its prompt was not let through."""
    feedback = extra.get("promptFeedback")
    return isinstance(feedback, dict) and "blockReason" in feedback


def block_in(extra: Mapping[str, Any]) -> Filtered | None:
    """Return why the prompt of a decoded answer was not let through; None where it was."""
    return blocked(extra["promptFeedback"]["blockReason"]) if is_unanswered(extra) else None


def _with_words(parts: tuple[neutral.Part, ...]) -> Iterator[neutral.Part]:
    """Give what a sound says after it, as text: Google's sounds come without their words."""
    for part in parts:
        yield part
        if isinstance(part, Media) and part.transcript:
            yield Text(part.transcript)


def _encode_choice(choice: Choice, index: int) -> Candidate:
    choice = msgspec.structs.replace(choice, parts=tuple(_with_words(choice.parts)))
    encoded = [encode_part(part, show_arguments) for part in choice.parts]
    parts = [part for part in encoded if part is not None]
    candidate = said_of(choice.raw, index)
    if parts or not isinstance(choice.raw, Candidate):
        candidate.content = Content(parts=parts, role="model")
    if choice.finish is not None and candidate.finish_reason is None:
        calls = any(isinstance(part, ToolCall) for part in choice.parts)
        candidate.finish_reason = word_of(choice.finish, choice.finish_raw, calls=calls)
    if candidate.logprobs_result is None:
        candidate.logprobs_result = encode_logprobs(choice.logprobs)
    if candidate.grounding_metadata is None and candidate.citation_metadata is None:
        candidate.grounding_metadata = encode_citations(list(_texts(encoded, choice)))
    return candidate


def _texts(encoded: list[Any], choice: Choice) -> Iterator[tuple[int, Text]]:
    """Give the texts of a choice with the numbers of their parts among those that were written."""
    number = 0
    for part, written in zip(choice.parts, encoded, strict=True):
        if isinstance(part, Text):
            yield number, part
        number += written is not None


def said_of(raw: Any, index: int) -> Candidate:
    """Begin a candidate with what Google itself said of it, or else with its number."""
    return msgspec.structs.replace(raw) if isinstance(raw, Candidate) else Candidate(index=index)
