"""The JSON of chat completions: what OpenAI documents, and what its cousins add.

One struct holds all kinds of a part, told apart by `type`; a member is None where it was not sent. What
is typed Any is passed on as it came. `HostsOf...` have members that single hosts add and nobody else reads.

Sources: OpenAI API reference, "Chat Completions"; Mistral API reference, "Chat"; OpenRouter, "Reasoning
tokens"; DeepSeek, Groq, Perplexity and xAI API references (checked 2026-11); recorded traffic of 27 hosts.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Struct(msgspec.Struct, omit_defaults=True, gc=False):
    """What they have in common: nothing refers back, so that the collector need not look at them."""


class ImageUrl(Struct):
    """An address, or the thing itself as a data URL."""

    url: str = ""
    detail: str | None = None


class InputAudio(Struct):
    """A sound in base64; `format` is "wav", "mp3" and the like."""

    data: str = ""
    format: str = ""


class File(Struct):
    """A document: its id at the provider, or a data URL (OpenRouter: or an address)."""

    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None


class CacheControl(Struct):
    """Anthropic's mark, which OpenRouter and others take in chat completions."""

    type: str = ""
    ttl: str | None = None


class ContentPart(Struct):
    """A part of a message's content."""

    type: str = ""
    text: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: InputAudio | str | None = None
    file: File | None = None
    video_url: ImageUrl | str | None = None
    audio_url: ImageUrl | str | None = None
    document_url: str | None = None
    document_name: str | None = None
    refusal: str | None = None
    thinking: list[ContentPart] | str | None = None
    closed: bool | None = None
    signature: str | None = None
    cache_control: CacheControl | None = None


class Called(Struct):
    """A function with its arguments, JSON text (some hosts: the object itself), or a tool with its input."""

    name: str | None = None
    arguments: Any = None
    input: str | None = None


class ToolCall(Struct):
    """A tool call, or in a stream a piece of one."""

    id: str | None = None
    type: str | None = None
    function: Called | None = None
    custom: Called | None = None
    index: int | None = None
    extra_content: Any = None


class ReasoningDetail(Struct):
    """OpenRouter's form of a thought: `type` is reasoning.text, reasoning.summary or reasoning.encrypted."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class UrlCitation(Struct):
    """A page that the answer rests on, and the characters of the answer that it supports."""

    url: str = ""
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(Struct):
    """A source. `file` is OpenRouter's parsed document, to be sent back as it came."""

    type: str = ""
    url_citation: UrlCitation | None = None
    file: Any = None
    index: int | None = None


class Audio(Struct):
    """A spoken answer, or in a request only the id of an earlier one."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class HostsOfMessage(Struct):
    """Members of messages that are only passed on: Mistral's prefix, Groq's tools, Vercel's routing."""

    prefix: bool | None = None
    executed_tools: Any = None
    provider_metadata: Any = None


class Delta(HostsOfMessage):
    """What a chunk adds to a message."""

    role: str | None = None
    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Called | None = None
    refusal: str | None = None
    audio: Audio | None = None
    images: list[ContentPart] | None = None
    annotations: list[Annotation] | None = None


class Message(Delta):
    """A message of a request or an answer."""

    name: str | None = None
    tool_call_id: str | None = None
    extra_content: Any = None


class Declared(Struct):
    """A function with the JSON schema of its parameters, or a tool that takes text of a `format`."""

    name: str = ""
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None
    format: Any = None


class Tool(Struct):
    """A tool that may be called."""

    type: str = ""
    function: Declared | None = None
    custom: Declared | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Struct):
    """A choice that names a tool, or with `allowed_tools` some, of which any may or must be called."""

    type: str = ""
    function: Declared | None = None
    custom: Declared | None = None
    allowed_tools: ToolChoice | None = None
    mode: str = "auto"
    tools: list[ToolChoice] = []


class JsonSchema(Struct):
    """What structured output is to look like."""

    name: str | None = None
    description: str | None = None
    schema: Any = None
    strict: bool | None = None


class ResponseFormat(Struct):
    """`type` is "text", "json_object" or "json_schema"; Together puts `schema` beside "json_object"."""

    type: str = ""
    json_schema: JsonSchema | None = None
    schema: Any = None


class ThinkingOption(Struct):
    """How much to think: as OpenRouter says it, or (`type`, `budget_tokens`) Anthropic, DeepSeek and Z.ai."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: str | None = None
    type: str = ""
    budget_tokens: int | None = None


class HostsOfRequest(Struct):
    """Members of a request that are only passed on, like any that is not named here."""

    prediction: Any = None
    web_search_options: Any = None
    usage: Any = None
    provider: Any = None
    models: Any = None
    transforms: Any = None
    safe_prompt: Any = None
    search_settings: Any = None


class Request(HostsOfRequest):
    """A request for a chat completion."""

    messages: list[Message] = []
    model: str = ""
    stream: bool | None = None
    stream_options: Any = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Declared] | None = None
    function_call: str | Declared | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: ThinkingOption | None = None
    enable_thinking: bool | None = None
    thinking: ThinkingOption | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    random_seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Any = None
    modalities: list[str] | None = None
    audio: Any = None
    verbosity: str | None = None
    user: str | None = None
    metadata: Any = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    store: bool | None = None


class TopLogprob(Struct):
    """A token that could have stood there."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob] | None = None


class Logprobs(Struct):
    """The tokens of an answer or of its refusal."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class HostsOfChoice(Struct):
    """Members of a choice that are only passed on: Azure's filters, and the engines' own words.

    vLLM's `stop_reason` and SGLang's `matched_stop` are the stop sequence where they are texts.
    """

    content_filter_results: Any = None
    native_finish_reason: Any = None
    stop_reason: Any = None
    matched_stop: Any = None
    seed: Any = None
    token_ids: Any = None
    routed_experts: Any = None
    error: Any = None


class AnswerChoice(HostsOfChoice):
    """One of the answers. `delta` is sent by Perplexity beside the message, empty."""

    index: int = 0
    message: Message = msgspec.field(default_factory=Message)
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    delta: Any = None


class ChunkChoice(HostsOfChoice):
    """What a chunk adds to one of the answers."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class HostsOfAnswer(Struct):
    """Members of an answer or a chunk that are only passed on."""

    system_fingerprint: Any = None
    provider: Any = None
    citations: Any = None
    search_results: Any = None
    prompt_filter_results: Any = None
    usage_breakdown: Any = None
    x_groq: Any = None
    time_info: Any = None
    timings: Any = None
    latency_checkpoint: Any = None
    generation_id: Any = msgspec.field(default=None, name="generationId")
    request_id: Any = None
    prompt: Any = None
    prompt_text: Any = None
    prompt_logprobs: Any = None
    prompt_token_ids: Any = None
    kv_transfer_params: Any = None
    metrics: Any = None


class Told(HostsOfAnswer):
    """What an answer and a chunk have in common; `error` where a host reports one with a status of 200."""

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    service_tier: str | None = None
    error: Any = None


class Answer(Told):
    """A whole answer."""

    choices: list[AnswerChoice] | None = None


class Chunk(Told):
    """An event of a stream. SGLang writes `message`, `type` and `code` of an error without `error` around."""

    choices: list[ChunkChoice] | None = None
    message: Any = None
    type: Any = None
    code: Any = None
