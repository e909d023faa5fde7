"""The JSON of Anthropic's Messages API: requests, answers, and the events of a stream.

Shapes only; what they mean is said in request, answer and stream. Blocks, citations and deltas are wide:
one struct has the members of all kinds, because a kind that is not known yet must not fail a call.
Source: Anthropic API reference, "Messages", "Streaming", "Count tokens" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ABSENT = msgspec.Raw(b"")


class CacheControl(msgspec.Struct, omit_defaults=True):
    """A request to cache the prompt up to here."""

    type: str
    ttl: Literal["5m", "1h"] | None = None


class Source(msgspec.Struct, omit_defaults=True):
    """Where the content of an image or a document is: base64, text, content, url, or file."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Block] | None = None


class Citation(msgspec.Struct, omit_defaults=True):
    """The place that a statement rests on, or (`enabled`) whether a document is to be cited."""

    type: str | None = None
    cited_text: str | None = None
    document_index: int | None = None
    document_title: str | None = None
    file_id: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None
    url: str | None = None
    title: str | None = None
    encrypted_index: str | None = None
    source: str | None = None
    search_result_index: int | None = None
    enabled: bool | None = None


class Block(msgspec.Struct, omit_defaults=True):
    """One block of a message's content. `citations` is a list in text, one object in a document."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    caller: Any = None
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    is_error: bool | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    citations: list[Citation] | Citation | None = None
    transformations: Any = None
    cache_control: CacheControl | None = None
    # Of blocks that are opaque here: tools that the provider runs, and their results.
    file_id: str | None = None
    url: str | None = None
    page_age: str | None = None
    encrypted_content: str | None = None
    tool_name: str | None = None
    server_name: str | None = None
    toolset_name: str | None = None


class Message(msgspec.Struct, omit_defaults=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]
    output_config: Any = None
    """From this turn on: an effort of its own."""


class Tool(msgspec.Struct, omit_defaults=True):
    """A tool of the client; one with another `type` than "custom" is Anthropic's, and opaque here."""

    name: str | None = None
    description: str | None = None
    input_schema: Any = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    type: str | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Any] | None = None
    eager_input_streaming: bool | None = None
    input_examples: Any = None
    # Of tools that Anthropic runs or defines.
    max_uses: Any = None
    allowed_domains: Any = None
    blocked_domains: Any = None
    user_location: Any = None
    citations: Any = None
    display_width_px: Any = None
    display_height_px: Any = None


class ToolChoice(msgspec.Struct, omit_defaults=True):
    """Whether tools must be called."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct, omit_defaults=True):
    """Whether and how to think: "enabled" with a budget, "adaptive", "disabled", "between_tools"."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct, omit_defaults=True):
    """The JSON schema that the answer follows."""

    type: str
    schema: Any = None


class OutputConfig(msgspec.Struct, omit_defaults=True):
    """How the answer is to be made."""

    effort: str | None = None
    format: OutputFormat | None = None
    task_budget: Any = None


class Request(msgspec.Struct, omit_defaults=True):
    """A request. Members typed Any that no other format knows go back as they came."""

    messages: list[Message]
    model: str | None = None
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    """The name that `output_config.format` had while it was in beta."""
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    cache_control: Any = None
    container: Any = None
    context_management: Any = None
    mcp_servers: Any = None
    inference_geo: Any = None
    speed: Any = None
    diagnostics: Any = None
    fallbacks: Any = None
    compaction: Any = None
    anthropic_version: Any = None
    anthropic_beta: Any = None


class CacheCreation(msgspec.Struct, omit_defaults=True):
    """Tokens written to the cache, by how long they stay there."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, omit_defaults=True):
    """What output tokens were used for."""

    thinking_tokens: int | None = None


class Usage(msgspec.Struct, omit_defaults=True):
    """Tokens. `input_tokens` are those that were neither read from the cache nor written to it."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    server_tool_use: Any = None
    inference_geo: Any = None
    speed: Any = None
    iterations: Any = None


class Answer(msgspec.Struct, omit_defaults=True):
    """A whole answer, or the head of a streamed one."""

    content: list[Block]
    id: str = ""
    type: str = ""
    role: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    stop_details: Any = None
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    input_transformations: Any = None


class Delta(msgspec.Struct, omit_defaults=True):
    """What a block gets longer by, or how the message ended."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Citation | None = None
    content: Any = None
    encrypted_content: Any = None
    estimated_tokens: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Any = None
    container: Any = None


class ErrorObject(msgspec.Struct, omit_defaults=True):
    """What went wrong in mid-stream."""

    type: str = ""
    message: str = ""
    details: Any = None


class Chunk(msgspec.Struct, omit_defaults=True):
    """One event of a stream."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Answer | None = None
    usage: Usage | None = None
    error: ErrorObject | None = None
    context_management: Any = None
    input_transformations: Any = None
    request_id: str | None = None
