"""The wire types of Amazon Bedrock's Converse and ConverseStream, as they are read.

Data only. A block has one field for each kind it may be of; a block of an unknown kind leaves all of
them empty. Fields have the API's names in snake case. What is opaque by nature is typed Any.

Sources: Amazon Bedrock Runtime API reference (2023-09-30), service model of botocore 1.44 (checked
2026-11); recorded traffic.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Wire(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """What all types of this API share: names in camel case, and nothing written that was not said."""


class TextBlock(Wire):
    """Words, in the lists that hold nothing else."""

    text: str = ""


class CachePoint(Wire):
    """Cache the prompt up to here; `ttl` is "5m" or "1h"."""

    type: str = ""
    ttl: str = ""


class S3Location(Wire):
    """An object in Amazon S3."""

    uri: str = ""
    bucket_owner: str = ""


class Source(Wire):
    """Where the content of a medium is: inline as base64, in S3, or as text (documents)."""

    bytes: str | None = None
    s3_location: S3Location | None = None
    text: str | None = None
    content: list[TextBlock] | None = None


class CitationsConfig(Wire):
    """Whether a document is to be cited."""

    enabled: bool = False


class MediaBlock(Wire):
    """An image, a document, a film or a sound; only documents have name, context and citations.

    A generated image comes in two events: its format first, then its source or its error.
    """

    format: str = ""
    name: str = ""
    source: Source | None = None
    context: str | None = None
    citations: CitationsConfig | None = None
    error: Any = None


class ToolUse(Wire):
    """A call of a tool; `type` is "server_tool_use" where Bedrock runs the tool itself."""

    tool_use_id: str = ""
    name: str = ""
    input: Any = None
    type: str = ""


class ResultBlock(Wire):
    """A piece of a tool's result."""

    text: str | None = None
    json: Any = msgspec.UNSET
    image: MediaBlock | None = None
    document: MediaBlock | None = None
    video: MediaBlock | None = None
    search_result: Any = None


class ToolResult(Wire):
    """What a tool gave back; `status` is "success" or "error"."""

    tool_use_id: str = ""
    content: list[ResultBlock] = []
    status: str = ""
    type: str = ""


class ReasoningText(Wire):
    """Thinking that can be read, with the proof of who wrote it."""

    text: str = ""
    signature: str = ""


class ReasoningContent(Wire):
    """Thinking: to be read, or base64 of what only its maker can read."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class Citation(Wire):
    """A source of generated text. `location` has one member, named after its kind."""

    title: str = ""
    source: str = ""
    source_content: list[TextBlock] = []
    location: Any = None


class CitationsContent(Wire):
    """Generated text with its sources."""

    content: list[TextBlock] = []
    citations: list[Citation] = []


class Block(Wire):
    """A piece of a message, or of the instructions."""

    text: str | None = None
    image: MediaBlock | None = None
    document: MediaBlock | None = None
    video: MediaBlock | None = None
    audio: MediaBlock | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    reasoning_content: ReasoningContent | None = None
    citations_content: CitationsContent | None = None
    cache_point: CachePoint | None = None
    guard_content: Any = None
    search_result: Any = None
    tool_addition: Any = None
    tool_removal: Any = None


class Message(Wire):
    """A turn of `user`, `assistant` or `system`."""

    role: str
    content: list[Block] = []


class InferenceConfig(Wire):
    """How to sample, and how long."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []


class InputSchema(Wire):
    """The JSON schema of a tool's input."""

    json: Any = None


class ToolSpec(Wire):
    """A tool of the client."""

    name: str
    description: str = ""
    input_schema: InputSchema | None = None
    strict: bool | None = None


class Tool(Wire):
    """A tool, or a cache point behind one."""

    tool_spec: ToolSpec | None = None
    system_tool: Any = None
    cache_point: CachePoint | None = None


class Named(Wire):
    """What is known by one word alone: the tool to call by its name, a service tier by its `type`."""

    name: str = ""
    type: str = ""


class ToolChoice(Wire):
    """Which tools may or must be called."""

    auto: Any = None
    any: Any = None
    tool: Named | None = None


class ToolConfig(Wire):
    """The tools, and which to call."""

    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None


class JsonSchema(Wire):
    """The form of a structured answer; `schema` is the JSON schema as text."""

    schema: str = ""
    name: str = ""
    description: str = ""


class FormatStructure(Wire):
    """What a structured answer is made after."""

    json_schema: JsonSchema | None = None


class TextFormat(Wire):
    """The form of the answer's text; `type` is "json_schema"."""

    type: str = ""
    structure: FormatStructure | None = None


class OutputConfig(Wire):
    """The form of the answer, and how much effort to take."""

    text_format: TextFormat | None = None
    effort: str = ""


class Request(Wire):
    """A request's body; the model's name stands in the path."""

    messages: list[Message] = []
    system: list[Block] = []
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    request_metadata: Any = None
    service_tier: Named | None = None
    additional_model_request_fields: Any = None
    additional_model_response_field_paths: Any = None
    guardrail_config: Any = None
    performance_config: Any = None
    prompt_variables: Any = None


class CacheDetail(Wire):
    """Tokens that were written to a cache, by how long they live there."""

    ttl: str = ""
    input_tokens: int = 0


class TokenUsage(Wire):
    """Tokens; `input_tokens` has neither those read from a cache nor those written to one.

    The two names that end in `Count` repeat the two without; the API reference does not know them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_read_input_token_count: int | None = None
    cache_write_input_token_count: int | None = None
    cache_details: list[CacheDetail] | None = None
    server_tool_usage: Any = None


class Output(Wire):
    """What was generated."""

    message: Message | None = None


class Answer(Wire):
    """A whole answer."""

    output: Output | None = None
    stop_reason: str = ""
    usage: TokenUsage | None = None
    additional_model_response_fields: Any = None
    metrics: Any = None
    trace: Any = None
    performance_config: Any = None
    service_tier: Named | None = None


class MessageStart(Wire):
    """The first event. `p`, here and in the others, is padding without meaning."""

    role: str = ""
    p: str = ""


class Start(Wire):
    """What is known at a block's beginning. Text and reasoning begin without one."""

    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    image: MediaBlock | None = None


class ContentBlockStart(Wire):
    """The beginning of a block."""

    content_block_index: int = 0
    start: Start | None = None
    p: str = ""


class ToolUseDelta(Wire):
    """More of the JSON text of a call's input."""

    input: str = ""


class ReasoningDelta(Wire):
    """More thinking."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(Wire):
    """More of a block. `tool_result` is a list of whole pieces."""

    text: str | None = None
    tool_use: ToolUseDelta | None = None
    reasoning_content: ReasoningDelta | None = None
    citation: Citation | None = None
    tool_result: Any = None
    image: MediaBlock | None = None


class ContentBlockDelta(Wire):
    """A block goes on."""

    content_block_index: int = 0
    delta: Delta | None = None
    p: str = ""


class ContentBlockStop(Wire):
    """A block is whole."""

    content_block_index: int = 0
    p: str = ""


class MessageStop(Wire):
    """The message is whole; the metadata follows."""

    stop_reason: str = ""
    additional_model_response_fields: Any = None
    p: str = ""


class Metadata(Wire):
    """The last event."""

    usage: TokenUsage | None = None
    metrics: Any = None
    trace: Any = None
    performance_config: Any = None
    service_tier: Named | None = None
    p: str = ""


class Fault(Wire):
    """An exception inside a stream; `original_...` are those of the model's own server."""

    message: str = ""
    original_message: str = ""
    original_status_code: int = 0


class Chunk(Wire):
    """An event of a stream. The wire names it in a frame's header; only its payload is JSON."""

    message_start: MessageStart | None = None
    content_block_start: ContentBlockStart | None = None
    content_block_delta: ContentBlockDelta | None = None
    content_block_stop: ContentBlockStop | None = None
    message_stop: MessageStop | None = None
    metadata: Metadata | None = None
    internal_server_exception: Fault | None = None
    model_stream_error_exception: Fault | None = None
    service_unavailable_exception: Fault | None = None
    throttling_exception: Fault | None = None
    validation_exception: Fault | None = None
