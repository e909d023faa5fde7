"""The JSON of Google's generateContent, as far as it is understood: requests, answers, chunks of streams.

Data only. Structs are wide: every member may be missing, and what is opaque by nature is Any. Members are
written in camelCase; requests may come in snake_case too (see `names`). At the end stand what a client said
in Google's own words, kept beside what it means, so that it can be said again in the same words.

Sources: Gemini API reference, "Generating content"; Vertex AI reference, "GenerateContentResponse" (checked
2026-11); recorded traffic of both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.formats.neutral.conversation import FunctionTool, JsonOutput, Thinking


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A protobuf message in its JSON form."""


class Blob(Message):
    """Bytes inline: base64, of either alphabet in requests."""

    mime_type: str | None = None
    data: str | None = None
    display_name: str | None = None


class FileData(Message):
    """Bytes elsewhere: an https or gs URL, or the URI of an uploaded file."""

    file_uri: str | None = None
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(Message):
    """A call of a function of the client. Older models give it no `id`."""

    id: str | None = None
    name: str | None = None
    args: Any = None


class ResultPart(Message):
    """A part of a function's result that is no JSON."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Message):
    """The result of a function."""

    id: str | None = None
    name: str | None = None
    response: Any = None
    parts: list[ResultPart] | None = None


class Part(Message):
    """A part of a content: one of the payloads, and what is said about it."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None
    thought: bool | None = None
    thought_signature: str | None = None
    video_metadata: Any = None
    media_resolution: Any = None


class Content(Message):
    """One message: `role` is "user" or "model", in older clients "function" too."""

    parts: list[Part] | None = None
    role: str | None = None


class FunctionDeclaration(Message):
    """A function of the client; its parameters in Google's subset of OpenAPI, or as a JSON schema."""

    name: str | None = None
    description: str | None = None
    parameters: Any = None
    parameters_json_schema: Any = None
    response: Any = None
    response_json_schema: Any = None
    behavior: Any = None


class Tool(Message):
    """Functions of the client, or a tool that Google runs."""

    function_declarations: list[FunctionDeclaration] | None = None
    google_search: Any = None
    google_search_retrieval: Any = None
    code_execution: Any = None
    url_context: Any = None
    file_search: Any = None
    google_maps: Any = None
    computer_use: Any = None
    enterprise_web_search: Any = None
    retrieval: Any = None
    mcp_servers: Any = None


class FunctionCallingConfig(Message):
    """Which functions may or must be called; `mode` is an enum, by its name or its number."""

    mode: str | int | None = None
    allowed_function_names: list[str] | None = None
    stream_function_call_arguments: bool | None = None


class ToolConfig(Message):
    """How tools are to be used."""

    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: Any = None
    include_server_side_tool_invocations: bool | None = None


class ThinkingConfig(Message):
    """How much to think: a budget in tokens (-1: as the model likes), or a level; never both."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | int | None = None


class GenerationConfig(Message):
    """How to generate. What is not here is passed on under the name that it has."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: Any = None
    response_json_schema: Any = None
    response_modalities: list[str | int] | None = None
    thinking_config: ThinkingConfig | None = None


class Request(Message):
    """The body of generateContent. `model` and `stream` stand in its URL."""

    model: Any = None
    stream: bool | None = None
    contents: list[Content] | None = None
    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: Any = None
    cached_content: Any = None
    labels: Any = None
    model_armor_config: Any = None


class ModalityCount(Message):
    """The tokens of one kind of input or output."""

    modality: str | int | None = None
    token_count: int | None = None


class UsageMetadata(Message):
    """The tokens of a call: total = prompt + tool use prompt + candidates + thoughts."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    total_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    cache_tokens_details: list[ModalityCount] | None = None
    tool_use_prompt_tokens_details: list[ModalityCount] | None = None
    traffic_type: Any = None
    service_tier: Any = None


class LogprobsCandidate(Message):
    """A token with the natural logarithm of its probability: a number, or a word as protobuf's NaN."""

    token: str | None = None
    token_id: int | None = None
    log_probability: Any = None


class TopCandidates(Message):
    """The most probable tokens of one step."""

    candidates: list[LogprobsCandidate] | None = None


class LogprobsResult(Message):
    """The tokens that were chosen, and those that could have been, step by step."""

    chosen_candidates: list[LogprobsCandidate] | None = None
    top_candidates: list[TopCandidates] | None = None
    log_probability_sum: Any = None


class Source(Message):
    """Where a statement comes from: a page, a place on a map, a document of the client."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None
    domain: str | None = None
    file_search_store: str | None = None
    document_name: str | None = None
    rag_chunk: Any = None
    place_id: str | None = None


class GroundingChunk(Message):
    """A source, under the kind it has."""

    web: Source | None = None
    retrieved_context: Source | None = None
    maps: Source | None = None
    image: Any = None


class Segment(Message):
    """A stretch of a part's text, in bytes of UTF-8."""

    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class GroundingSupport(Message):
    """Which sources support a stretch of the answer."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None
    confidence_scores: Any = None
    rendered_parts: list[int] | None = None


class GroundingMetadata(Message):
    """The sources of an answer."""

    web_search_queries: list[str] | None = None
    image_search_queries: list[str] | None = None
    retrieval_queries: list[str] | None = None
    search_entry_point: Any = None
    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    retrieval_metadata: Any = None
    source_flagging_uris: Any = None
    google_maps_widget_context_token: str | None = None


class CitationSource(Message):
    """A source that the answer may recite; positions are in bytes."""

    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None
    license: str | None = None
    publication_date: Any = None


class CitationMetadata(Message):
    """Recited sources, under the name of the Gemini API or of Vertex."""

    citation_sources: list[CitationSource] | None = None
    citations: list[CitationSource] | None = None


class Candidate(Message):
    """One of the alternative answers, or what a chunk adds to it."""

    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: Any = None
    citation_metadata: CitationMetadata | None = None
    grounding_metadata: GroundingMetadata | None = None
    url_context_metadata: Any = None
    avg_logprobs: Any = None
    logprobs_result: LogprobsResult | None = None
    token_count: int | None = None
    grounding_attributions: Any = None
    continuation_token: str | None = None


class PromptFeedback(Message):
    """Why a prompt was not answered."""

    block_reason: str | int | None = None
    block_reason_message: str | None = None
    safety_ratings: Any = None


class Status(Message):
    """An error, as Google's APIs put it."""

    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: Any = None


class Answer(Message):
    """A whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    model_status: Any = None


class Chunk(Answer):
    """An event of a stream: an answer as far as it is new, or an error."""

    error: Status | None = None


class Seam(msgspec.Struct, frozen=True):
    """Where a turn stood: the role of its content as written, and whether it is the content's first turn."""

    role: str | None = None
    begins: bool = True


class MediaWords(msgspec.Struct, frozen=True):
    """What only Google says of media; `url_safe` is the other alphabet of base64."""

    media_resolution: Any = None
    url_safe: bool = False


class DeclaredTool(FunctionTool, frozen=True, gc=False):
    """A function as it was declared."""

    said: FunctionDeclaration | None = None


class SaidThinking(Thinking, frozen=True, gc=False):
    """How much to think, as it was said: nothing else tells a level from a budget."""

    said: ThinkingConfig | None = None


class SaidOutput(JsonOutput, frozen=True, gc=False):
    """JSON asked for by a schema in Google's subset of OpenAPI."""

    said: Any = None
