"""The shapes of the Responses API, as far as they are read; and what a translation keeps beside them.

An item and a part of its content is one wide struct for all kinds that have a neutral counterpart. Lists
of items are typed Any: an item of another kind must not fail to decode, it is kept whole. Members that no
struct names are kept too, in the `extra` of a request or answer and in the `Frame` of an item.

Source: OpenAI API reference, "Responses" and "Streaming events" (checked 2026-11); answers of 7 hosts.
"""

from __future__ import annotations

from typing import Any

import msgspec


class TopLogprob(msgspec.Struct):
    """A token that could have stood there."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class Logprob(msgspec.Struct):
    """A token of an answer's text."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: list[TopLogprob] | None = None


class Annotation(msgspec.Struct):
    """A source of a text: `url_citation`, `file_citation`, `container_file_citation` or `file_path`."""

    url: str | None = None
    title: str | None = None
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Content(msgspec.Struct):
    """A part of a message, of a tool's output or of reasoning: text, refusal, image or file."""

    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[Logprob] | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


class Item(msgspec.Struct):
    """An item of `input` or `output`: a message, a call, the output of a call, or reasoning."""

    id: str | None = None
    role: str | None = None
    content: str | list[Any] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    """Of a custom tool call: its free text."""
    output: str | list[Any] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None


class Tool(msgspec.Struct):
    """A function or a custom tool. The tools that the provider runs are kept whole."""

    name: str
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None
    format: Any = None


class TextFormat(msgspec.Struct):
    """`text.format`: "text", "json_object" or "json_schema"."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: Any = None
    strict: bool | None = None


class Request(msgspec.Struct):
    """The body of a request. What is typed Any after `text` is only kept for a call of the same format."""

    model: Any = None
    input: str | list[Any] | None = None
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Any = None
    include: list[str] | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    previous_response_id: Any = None
    conversation: Any = None
    background: Any = None
    prompt: Any = None
    truncation: Any = None
    max_tool_calls: Any = None
    safety_identifier: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    context_management: Any = None
    moderation: Any = None
    stream_options: Any = None


class InputDetails(msgspec.Struct):
    """What the input tokens were."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """What the output tokens were."""

    reasoning_tokens: int | None = None


class UsageObject(msgspec.Struct):
    """Tokens: the input includes what was cached, the output includes reasoning.

    The members typed Any are xAI's and OpenRouter's: costs and searches, kept as they are.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    context_details: Any = None
    cost: Any = None
    cost_details: Any = None
    cost_in_usd_ticks: Any = None
    is_byok: Any = None
    num_server_side_tools_used: Any = None
    num_sources_used: Any = None
    server_side_tool_usage_details: Any = None
    tool_calls_details: Any = None
    """Perplexity's."""


class IncompleteDetails(msgspec.Struct):
    """Why an answer is not complete: "max_output_tokens", "content_filter", or another word."""

    reason: str | None = None


class Answer(msgspec.Struct):
    """An answer, whole or as a stream's events tell it.

    What is typed Any after `service_tier` repeats the request, or is only kept for a client of the same
    format.
    """

    id: str | None = None
    object: Any = None
    created_at: float | None = None
    model: str | None = None
    status: str | None = None
    output: list[Any] | None = None
    usage: UsageObject | None = None
    error: Any = None
    incomplete_details: IncompleteDetails | None = None
    service_tier: str | None = None
    background: Any = None
    billing: Any = None
    completed_at: Any = None
    content_filters: Any = None
    conversation: Any = None
    frequency_penalty: Any = None
    instructions: Any = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    metadata: Any = None
    moderation: Any = None
    output_text: Any = None
    parallel_tool_calls: Any = None
    presence_penalty: Any = None
    previous_response_id: Any = None
    prompt: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    reasoning: Any = None
    safety_identifier: Any = None
    store: Any = None
    temperature: Any = None
    text: Any = None
    tool_choice: Any = None
    tool_usage: Any = None
    tools: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None
    user: Any = None


class Chunk(msgspec.Struct):
    """An event of a stream, of any kind. `item_id` says in words what `output_index` says in numbers."""

    type: str = ""
    sequence_number: int | None = None
    response: Any = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    annotation_index: int | None = None
    item_id: str | None = None
    item: Any = None
    part: Any = None
    annotation: Any = None
    delta: str = ""
    logprobs: list[Logprob] | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    code: Any = None
    message: Any = None
    param: Any = None
    error: Any = None


class Frame(msgspec.Struct, frozen=True):
    """What one item says that its neutral parts do not: the rest of its members, and of its content's.

    `parts` is how many neutral parts the item became; `contents` the leftover members of each part of its
    content, None where the content was a lone string. `whole` marks a string that stood for all of
    `input` or was the `instructions`: those are no items.
    """

    parts: int
    members: dict[str, Any]
    contents: tuple[dict[str, Any], ...] | None = None
    whole: str = ""


class Layout(msgspec.Struct, frozen=True):
    """The items that a turn or a choice was read from, in order: its `raw`."""

    frames: tuple[Frame, ...]
