"""Say what an upstream's error means, whoever it is and however it puts it: the tables of signs.

Pure. What differs between providers is data: a backend brings `signs` of its own, read before the common
ones. Must not know what is done about an error: its class says what the rest decides on.

Sources: the error references of OpenAI, Azure OpenAI, Anthropic, Google AI and Vertex AI, Bedrock, Cohere,
Mistral, Groq, xAI, DeepSeek, OpenRouter, vLLM, SGLang, llama.cpp and Ollama (checked 2026-11); recorded
errors of 20 hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from gateway.errors import (
    ContextTooLong,
    Failed,
    Filtered,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    UnknownModel,
    UpstreamError,
)
from gateway.exchange import Headers
from gateway.formats.http.headers import retry_after_s


class Sign(msgspec.Struct, frozen=True):
    """A row: an answer that shows all that is given here is an `error`.

    `statuses` has 0 for an error inside a stream that told none. `codes` are compared, in lower case, with
    each code, type and reason that the body names; `message` is searched in its text.
    """

    error: type[UpstreamError]
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    message: re.Pattern[str] | None = None


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_UNTOLD = frozenset({0})
_ABOUT_THE_REQUEST = frozenset({0, 400, 413, 422})

_SIGNS = (
    # A request that alone exceeds a rate: no wait helps here, a place with higher limits may take it.
    Sign(ContextTooLong, frozenset({0, 413, 429}), message=_any_of("request too large for")),
    Sign(
        Filtered,
        codes=frozenset(
            {
                *("content_filter", "responsibleaipolicyviolation", "content_policy_violation"),
                *("image_content_policy_violation", "moderation_blocked", "invalid_prompt"),
                *("content_blocked", "data_inspection_failed", "prohibited_content", "safety"),
            }
        ),
    ),
    Sign(
        Filtered,
        frozenset({0, 400, 403, 422, 451}),
        message=_any_of(
            "content management policy",
            "content.?(?:filter|policy)",
            "content violates",
            "content exists risk",
            "inappropriate content",
            "flagged (?:as|for|by)",
            "safety system",
        ),
    ),
    Sign(QuotaSpent, frozenset({402})),
    Sign(
        QuotaSpent,
        codes=frozenset(
            {
                *("insufficient_quota", "billing_error", "billing_not_active", "billing_disabled"),
                *("billing_hard_limit_reached", "insufficient_credits", "insufficient_balance"),
                *("contract_spend_limit_reached", "enforced_spend_limit_reached"),
                *("servicequotaexceededexception", "quota_per_day"),
            }
        ),
    ),
    Sign(
        QuotaSpent,
        frozenset({0, 400, 403, 429}),
        message=_any_of(
            "credit balance is too low",
            "insufficient (?:balance|credits|funds)",
            "used all available credits",
            "out of credits",
            "spending limit",
            "api usage limits",  # Anthropic: the organisation's limit for the month
            "api calls / month",  # Cohere's trial keys
            "too many tokens per day",  # Bedrock
        ),
    ),
    Sign(
        ContextTooLong,
        codes=frozenset(
            {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
            | {"model_context_window_exceeded"}
        ),
    ),
    Sign(
        Overloaded,
        codes=frozenset(
            {
                *("overloaded_error", "overloaded", "server_overloaded", "engine_overloaded", "slow_down"),
                *("unavailable", "unavailable_error", "service_unavailable", "service_unavailable_error"),
                *("serviceunavailableexception", "modelnotreadyexception", "capacity_exceeded"),
                *("service_tier_capacity_exceeded", "serviceunavailableerror"),
            }
        ),
    ),
    Sign(
        RateLimited,
        codes=frozenset(
            {
                *("rate_limit_error", "rate_limit_exceeded", "ratelimitreached", "rate_limited"),
                *("rate_limit_reached", "ratelimiterror", "resource_exhausted", "throttlingexception"),
                *("too_many_requests", "toomanyrequests", "too_many_requests_error"),
            }
        ),
    ),
    Sign(
        ContextTooLong,
        _ABOUT_THE_REQUEST | {500},  # llama.cpp answers 500 to an embedding's input that is too large
        message=_any_of(
            "(?:prompt|input|request)(?: is)? too long",
            "maximum (?:context|model) length",
            "max context length",
            "model's context length",
            "exceeds? (?:the |this )?(?:model's |available |maximum )?context",
            "token count .{0,100}exceeds",
            "reduce the length",
            "too many tokens",
            r"input length .{0,60}exceeds",
            r"too large for model with .{0,40}context",
            r"\(\d+ tokens\) is too large to process",
            r"`inputs`.{0,60}must (?:be <=|have less than)",
        ),
    ),
    Sign(
        Refused,
        codes=frozenset(
            {
                *("api_key_invalid", "invalid_api_key", "authentication_error", "unauthenticated"),
                *("permission_denied", "permission_error", "unauthorized", "service_disabled"),
                *("accessdeniedexception", "expiredtokenexception", "unrecognizedclientexception"),
                *("invalidsignatureexception", "missingauthenticationtokenexception"),
            }
        ),
    ),
    Sign(
        Refused,
        frozenset({0, 400}),
        message=_any_of(
            "(?:incorrect|invalid) api key", "api key (?:not valid|expired)", "user location is not supported"
        ),
    ),
    Sign(
        UnknownModel,
        codes=frozenset(
            {
                *("model_not_found", "deploymentnotfound", "invalid_model", "unknown_model"),
                *("model_decommissioned", "model_deprecated", "model_not_available"),
            }
        ),
    ),
    Sign(UnknownModel, frozenset({404}), frozenset({"not_found", "resourcenotfoundexception"})),
    Sign(UnknownModel, frozenset({404}), message=_any_of(r"\bmodels?\b", r"\bdeployment\b")),
    # Azure's answer to a URL that names no deployment of the resource.
    Sign(UnknownModel, frozenset({404}), frozenset({"404"}), _any_of("resource not found")),
    Sign(UnknownModel, _UNTOLD, frozenset({"not_found_error", "notfounderror"}), _any_of(r"\bmodel\b")),
    Sign(
        UnknownModel,
        _ABOUT_THE_REQUEST,
        message=_any_of(
            "model identifier is invalid",
            r"(?:invalid|unknown) model\b",
            "not a valid model",
            r"model \S{1,200} (?:is not supported|not found|does not exist)",
            "model not exist",
            "on-demand throughput isn",
        ),
    ),
    # The model wrote what is not the call, or the JSON, that was asked for: the next try may do better.
    Sign(
        Failed,
        codes=frozenset(
            {
                *("tool_use_failed", "json_validate_failed", "output_parse_failed"),
                *("invalid_tool_generation", "modelerrorexception", "modelstreamerrorexception"),
            }
        ),
    ),
    Sign(
        TimedOut,
        codes=frozenset({"deadline_exceeded", "timeout_error", "timeouterror", "modeltimeoutexception"}),
    ),
    Sign(
        Rejected,
        _UNTOLD,
        frozenset(
            {
                *("invalid_request_error", "invalid_argument", "failed_precondition", "out_of_range"),
                *("badrequesterror", "badrequest", "validationexception", "request_too_large"),
                *("not_found_error", "notfounderror", "not_found"),
                *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
                *("image_too_large", "image_too_small", "image_parse_error", "invalid_image_mode"),
                *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
                *("failed_to_download_image", "image_file_not_found"),
            }
        ),
    ),
)
"""Read from the top, the first that fits counts: what is said exactly stands before what sounds alike."""

_KINDS: Mapping[int, type[UpstreamError]] = {
    401: Refused,
    403: Refused,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    522: TimedOut,
    524: TimedOut,
    529: Overloaded,
}
"""What a status means that no sign says more of; else 4xx is Rejected, all others Failed."""

_WORDS = ("code", "type", "status", "reason", "error_type", "error_code", "__type")
_MESSAGES = ("error", "message", "detail", "Message")
_MESSAGE_LIMIT_CHARS = 2000
_MOST_OBJECTS = 100
"""Enough for every error there is; a body may be a list of a million."""


def judge(status: int, headers: Headers, body: bytes, signs: Sequence[Sign] = ()) -> UpstreamError:
    """Say what an answer with an error status means; the error keeps status, message, body and headers.

    `retry_after_s` is what the headers say, else what Google's `RetryInfo` in the body says.
    """
    objects = _objects_in(body)
    words = {word for found in objects for word in _words_of(found)} | set(_words_of_headers(headers))
    message = _message_of(objects, status)
    text = "\n".join([message, *(raw for found in objects if (raw := _quoted(found)))])
    wait_s = retry_after_s(headers)
    if wait_s is None:
        wait_s = next((delay for found in objects if (delay := _delay_s(found)) is not None), None)
    error = _kind(status, words, text, signs)(message, status=status, retry_after_s=wait_s)
    error.raw, error.headers = body, headers
    return error


def fault(code: str, message: str, status: int = 0) -> UpstreamError:
    """Say what an error inside a stream means, from its type or code, its message, its status if told.

    A code of three digits is a status where none is told. An error that says nothing else is Failed.
    """
    if not status and len(code) == 3 and code.isascii() and code.isdecimal():
        status = int(code)
    status = status if 400 <= status < 600 else 0
    text = message[:_MESSAGE_LIMIT_CHARS] or "the upstream reports an error without saying which"
    return _kind(status, {code.lower()}, text, ())(text, status=status or None)


def _kind(status: int, words: set[str], text: str, signs: Sequence[Sign]) -> type[UpstreamError]:
    for sign in chain(signs, _SIGNS):
        if (
            (not sign.statuses or status in sign.statuses)
            and (not sign.codes or not sign.codes.isdisjoint(words))
            and (sign.message is None or sign.message.search(text))
        ):
            return sign.error
    return _KINDS.get(status) or (Rejected if 400 <= status < 500 else Failed)


def _objects_in(body: bytes) -> list[dict[str, Any]]:
    """List the JSON objects of an error that may say something, from the outside in; [] for other bodies.

    Google's OpenAI-compatible endpoint and its array streams wrap their error into a list.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    found = _dicts(value)
    for member in ("error", "innererror", "details", "metadata", "violations"):
        for outer in found[:_MOST_OBJECTS]:
            found += _dicts(outer.get(member))
    return found


def _dicts(value: object) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value]
    return (
        [each for each in value[:_MOST_OBJECTS] if isinstance(each, dict)] if isinstance(value, list) else []
    )


def _words_of(found: Mapping[str, Any]) -> Iterator[str]:
    for member in _WORDS:
        value = found.get(member)
        if isinstance(value, str | int):
            yield str(value).rpartition("#")[2].lower()  # Amazon puts a namespace in front
    # Google names the quota that is used up: a minute's, or a day's that no wait brings back soon.
    if "PerDay" in str(found.get("quotaId", "")):
        yield "quota_per_day"


def _words_of_headers(headers: Headers) -> Iterator[str]:
    for name, value in headers:
        if name.lower() == b"x-amzn-errortype":
            yield value.decode("latin-1").partition(":")[0].rpartition("#")[2].lower()


def _message_of(objects: Sequence[Mapping[str, Any]], status: int) -> str:
    if not objects:
        return f"the upstream answered {status} without a readable error"
    for found in objects:
        for member in _MESSAGES:
            if text := _text_of(found.get(member)):
                return text[:_MESSAGE_LIMIT_CHARS]
    return f"the upstream answered {status}"


def _text_of(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("message")
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _quoted(found: Mapping[str, Any]) -> str:
    """Return what OpenRouter quotes of the provider behind it: its own message says only that one failed."""
    raw = found.get("raw")
    return raw[:_MESSAGE_LIMIT_CHARS] if isinstance(raw, str) else ""


def _delay_s(found: Mapping[str, Any]) -> float | None:
    """Read the `retryDelay` of Google's RetryInfo, such as "48s"; None for any other object."""
    delay = found.get("retryDelay")
    if not isinstance(delay, str):
        return None
    try:
        seconds = float(delay.removesuffix("s"))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e6 else None
