"""The shapes of Cohere's chat API, version 2: requests, whole answers, events of a stream.

Data only. Wide structs with optional fields: a kind that is not known here must not fail to decode.
Source: Cohere API reference, "Chat" and "Chat with Streaming" (checked 2026-11); 16 recorded exchanges,
which add `image_tokens`, `reasoning_tokens`, `content_index` and `error_type` to what is documented.
"""

from __future__ import annotations

from typing import Any

import msgspec

Number = int | float
"""Counts are typed as doubles in the reference, and come as integers."""


class ImageUrl(msgspec.Struct, omit_defaults=True):
    """An image by web URL or data URL."""

    url: str
    detail: str | None = None


class Part(msgspec.Struct, omit_defaults=True):
    """A content part: `text`, `thinking`, `image_url`, or in tool results `document`."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    image_url: ImageUrl | None = None
    document: Any = None


class Function(msgspec.Struct, omit_defaults=True):
    """The function that a call names; the arguments are JSON text."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, omit_defaults=True):
    """A call of a tool; in a delta of a stream only the arguments' next piece is there."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Citation(msgspec.Struct, omit_defaults=True):
    """Characters `start` to `end` of the content part `content_index`, and what they rest on.

    `type` is TEXT_CONTENT, THINKING_CONTENT or PLAN: which text of the message is meant.
    """

    start: int | None = None
    end: int | None = None
    text: str | None = None
    sources: Any = None
    type: str | None = None
    content_index: int | None = None


class Message(msgspec.Struct, omit_defaults=True):
    """A message of any role; in events of a stream, the part of it that grows: an object, not a list."""

    role: str = ""
    content: str | list[Part] | Part | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCall] | ToolCall | None = None
    tool_call_id: str | None = None
    citations: list[Citation] | Citation | None = None


class ToolFunction(msgspec.Struct, omit_defaults=True):
    """A declared function."""

    name: str
    description: str | None = None
    parameters: Any = None


class Tool(msgspec.Struct, omit_defaults=True):
    """A declared tool; `function` is the only kind there is."""

    type: str = ""
    function: ToolFunction | None = None


class ResponseFormat(msgspec.Struct, omit_defaults=True):
    """`text`, or `json_object` with or without a schema."""

    type: str
    schema: Any = None


class Thinking(msgspec.Struct, omit_defaults=True):
    """`enabled` or `disabled`, with a bound on the tokens spent."""

    type: str
    token_budget: int | None = None


class Request(msgspec.Struct, omit_defaults=True):
    """The body of POST /v2/chat."""

    messages: list[Message]
    model: str = ""
    stream: bool | None = None
    tools: list[Tool] | None = None
    strict_tools: bool | None = None
    tool_choice: str | None = None
    documents: Any = None
    citation_options: Any = None
    response_format: ResponseFormat | None = None
    safety_mode: str | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    k: int | None = None
    p: float | None = None
    logprobs: bool | None = None
    thinking: Thinking | None = None
    priority: int | None = None


class Tokens(msgspec.Struct, omit_defaults=True):
    """What the model read and wrote, with what Cohere itself put around the prompt."""

    input_tokens: Number | None = None
    output_tokens: Number | None = None
    image_tokens: Number | None = None
    reasoning_tokens: Number | None = None


class BilledUnits(msgspec.Struct):
    """What is on the invoice; members that are not here (classifications) are of other interfaces."""

    input_tokens: Number | None = None
    output_tokens: Number | None = None
    search_units: Number | None = None


class UsageObject(msgspec.Struct, omit_defaults=True):
    """`tokens` were used, `billed_units` are on the invoice."""

    tokens: Tokens | None = None
    billed_units: Any = None
    cached_tokens: Number | None = None


class Logprob(msgspec.Struct, omit_defaults=True):
    """A piece of text with the logarithm of the probability of each of its tokens."""

    text: str | None = None
    token_ids: list[int] | None = None
    logprobs: list[float] | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """The body of a whole answer."""

    message: Message | None = None
    id: str | None = None
    finish_reason: str | None = None
    usage: UsageObject | None = None
    logprobs: list[Logprob] | None = None


class Delta(msgspec.Struct, omit_defaults=True):
    """What an event adds: to the message, or at its end."""

    message: Message | None = None
    finish_reason: str | None = None
    usage: UsageObject | None = None
    error: str | None = None
    error_type: str | None = None


class Chunk(msgspec.Struct, omit_defaults=True):
    """The data of one event of a stream."""

    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: Delta | None = None
    logprobs: Logprob | None = None
