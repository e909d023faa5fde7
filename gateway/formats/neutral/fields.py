"""What each format can say, and what becomes of what it cannot: the one table, as data.

A row is a thing that a request may ask for, with the name each format has for it. Where the target's
format has none, `loss` decides: "refuse" ends the call with Unsupported, because an answer without it
would be another answer; "drop" leaves it out and names it in the header `x-forebay-dropped`, because it
only steers how the answer is made. Nothing is left out in silence.

Sources: API references of OpenAI, Anthropic, Google, AWS, Cohere and Ollama, checked 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.exchange import Format

Loss = Literal["refuse", "drop"]


class Field(msgspec.Struct, frozen=True):
    """A row. `says` are the formats that can express it and how; `reads` those that only clients write."""

    loss: Loss
    says: Mapping[str, str]
    reads: Mapping[str, str] = {}

    def name_in(self, format_: Format) -> str:
        """Return what a format calls it; "" where it has no name for it."""
        return self.says.get(format_, "") or self.reads.get(format_, "")


FIELDS: Mapping[str, Field] = {
    "max_tokens": Field(
        "refuse",
        {
            "chat": "max_completion_tokens",
            "responses": "max_output_tokens",
            "messages": "max_tokens",
            "gemini": "generationConfig.maxOutputTokens",
            "converse": "inferenceConfig.maxTokens",
            "cohere": "max_tokens",
            "ollama": "options.num_predict",
        },
    ),
    "temperature": Field(
        "drop",
        {
            "chat": "temperature",
            "responses": "temperature",
            "messages": "temperature",
            "gemini": "generationConfig.temperature",
            "converse": "inferenceConfig.temperature",
            "cohere": "temperature",
            "ollama": "options.temperature",
        },
    ),
    "top_p": Field(
        "drop",
        {
            "chat": "top_p",
            "responses": "top_p",
            "messages": "top_p",
            "gemini": "generationConfig.topP",
            "converse": "inferenceConfig.topP",
            "cohere": "p",
            "ollama": "options.top_p",
        },
    ),
    "top_k": Field(
        "drop",
        {"messages": "top_k", "gemini": "generationConfig.topK", "cohere": "k", "ollama": "options.top_k"},
        reads={"chat": "top_k"},
    ),
    "min_p": Field("drop", {"ollama": "options.min_p"}, reads={"chat": "min_p"}),
    "seed": Field(
        "drop",
        {"chat": "seed", "gemini": "generationConfig.seed", "cohere": "seed", "ollama": "options.seed"},
    ),
    "presence_penalty": Field(
        "drop",
        {
            "chat": "presence_penalty",
            "gemini": "generationConfig.presencePenalty",
            "cohere": "presence_penalty",
            "ollama": "options.presence_penalty",
        },
    ),
    "frequency_penalty": Field(
        "drop",
        {
            "chat": "frequency_penalty",
            "gemini": "generationConfig.frequencyPenalty",
            "cohere": "frequency_penalty",
            "ollama": "options.frequency_penalty",
        },
    ),
    "repetition_penalty": Field(
        "drop", {"ollama": "options.repeat_penalty"}, reads={"chat": "repetition_penalty"}
    ),
    "stop": Field(
        "refuse",
        {
            "chat": "stop",
            "messages": "stop_sequences",
            "gemini": "generationConfig.stopSequences",
            "converse": "inferenceConfig.stopSequences",
            "cohere": "stop_sequences",
            "ollama": "options.stop",
        },
    ),
    "choices": Field("refuse", {"chat": "n", "gemini": "generationConfig.candidateCount"}),
    "logprobs": Field(
        "refuse",
        {
            "chat": "logprobs",
            "responses": "include",
            "gemini": "generationConfig.responseLogprobs",
            "cohere": "logprobs",
            "ollama": "logprobs",
        },
    ),
    "top_logprobs": Field(
        "refuse",
        {
            "chat": "top_logprobs",
            "responses": "top_logprobs",
            "gemini": "generationConfig.logprobs",
            "ollama": "top_logprobs",
        },
    ),
    "logit_bias": Field("refuse", {"chat": "logit_bias"}),
    "modalities": Field("refuse", {"chat": "modalities", "gemini": "generationConfig.responseModalities"}),
    "audio": Field("refuse", {"chat": "audio"}, reads={"gemini": "generationConfig.speechConfig"}),
    "json_object": Field(
        "refuse",
        {
            "chat": "response_format",
            "responses": "text.format",
            "gemini": "generationConfig.responseMimeType",
            "cohere": "response_format",
            "ollama": "format",
        },
    ),
    "json_schema": Field(
        "refuse",
        {
            "chat": "response_format",
            "responses": "text.format",
            "messages": "output_config.format",
            "gemini": "generationConfig.responseJsonSchema",
            "converse": "outputConfig.textFormat",
            "cohere": "response_format",
            "ollama": "format",
        },
    ),
    "thinking": Field(
        "drop",
        {
            "chat": "reasoning_effort",
            "responses": "reasoning",
            "messages": "thinking",
            "gemini": "generationConfig.thinkingConfig",
            "converse": "additionalModelRequestFields.thinking",
            "cohere": "thinking",
            "ollama": "think",
        },
    ),
    "verbosity": Field("drop", {"chat": "verbosity", "responses": "text.verbosity"}),
    "user": Field("drop", {"chat": "user", "responses": "user", "messages": "metadata.user_id"}),
    "metadata": Field(
        "drop",
        {"chat": "metadata", "responses": "metadata", "converse": "requestMetadata"},
        reads={"messages": "metadata", "gemini": "labels"},
    ),
    "service_tier": Field(
        "drop",
        {"chat": "service_tier", "responses": "service_tier"},
        reads={"converse": "serviceTier"},
    ),
    "cache_key": Field("drop", {"chat": "prompt_cache_key", "responses": "prompt_cache_key"}),
    "store": Field("drop", {"chat": "store", "responses": "store"}),
    "parallel_tool_calls": Field(
        "drop",
        {
            "chat": "parallel_tool_calls",
            "responses": "parallel_tool_calls",
            "messages": "tool_choice.disable_parallel_tool_use",
        },
    ),
    "tool_choice": Field(
        "refuse",
        {
            "chat": "tool_choice",
            "responses": "tool_choice",
            "messages": "tool_choice",
            "gemini": "toolConfig.functionCallingConfig",
            "converse": "toolConfig.toolChoice",
            "cohere": "tool_choice",
        },
    ),
    "strict_tool": Field(
        "drop",
        {
            "chat": "tools.function.strict",
            "responses": "tools.strict",
            "messages": "tools.strict",
            "converse": "toolConfig.tools.toolSpec.strict",
            "cohere": "strict_tools",
        },
    ),
    "custom_tool": Field("refuse", {"chat": "tools.custom", "responses": "tools.custom"}),
    "image": Field(
        "refuse",
        {
            "chat": "image_url",
            "responses": "input_image",
            "messages": "image",
            "gemini": "inlineData",
            "converse": "image",
            "cohere": "image_url",
            "ollama": "images",
        },
    ),
    "image_url": Field(
        "refuse",
        {
            "chat": "image_url",
            "responses": "input_image",
            "messages": "image",
            "gemini": "fileData",
            "cohere": "image_url",
        },
    ),
    "image_detail": Field(
        "drop",
        {"chat": "image_url.detail", "responses": "input_image.detail", "cohere": "image_url.detail"},
    ),
    "audio_in": Field("refuse", {"chat": "input_audio", "gemini": "inlineData", "converse": "audio"}),
    "audio_url": Field("refuse", {"gemini": "fileData"}, reads={"chat": "audio_url"}),
    "file": Field(
        "refuse",
        {
            "chat": "file",
            "responses": "input_file",
            "messages": "document",
            "gemini": "inlineData",
            "converse": "document",
        },
    ),
    "file_url": Field(
        "refuse",
        {"responses": "input_file", "messages": "document", "gemini": "fileData"},
        reads={"chat": "file"},
    ),
    "video": Field("refuse", {"chat": "video_url", "gemini": "inlineData", "converse": "video"}),
    "video_url": Field("refuse", {"chat": "video_url", "gemini": "fileData"}),
    "media_in_tool_result": Field(
        "refuse",
        {
            "responses": "function_call_output.output",
            "messages": "tool_result.content",
            "gemini": "functionResponse.parts",
            "converse": "toolResult.content",
            # Shown by the user, behind the results: see `lifting`.
            "chat": "messages.content",
            "cohere": "messages.content",
            "ollama": "messages.images",
        },
    ),
    "tool_error": Field("drop", {"messages": "tool_result.is_error", "converse": "toolResult.status"}),
    "citations": Field("refuse", {"messages": "document.citations", "converse": "document.citations"}),
    "cache_marks": Field(
        "drop", {"messages": "cache_control", "converse": "cachePoint"}, reads={"chat": "cache_control"}
    ),
    "message_name": Field("drop", {"chat": "messages.name"}),
    "prefill": Field(
        "refuse", {"messages": "messages", "converse": "messages", "gemini": "contents", "ollama": "messages"}
    ),
    "late_system": Field(
        "drop",
        {
            "chat": "messages.role",
            "responses": "input.role",
            "cohere": "messages.role",
            "ollama": "messages.role",
        },
    ),
    "reasoning_kept": Field(
        "drop",
        {},
        reads={
            "chat": "messages.reasoning_details",
            "responses": "input.reasoning",
            "messages": "messages.thinking",
            "gemini": "contents.thoughtSignature",
        },
    ),
}
"""`reasoning_kept` is reasoning of earlier turns that another provider made: nobody else can read it.
`late_system` are instructions after the beginning: they move to the others at the beginning."""

EXTRAS: Mapping[str, Mapping[str, Loss]] = {
    "chat": {
        "messages.annotations": "drop",
        "prediction": "drop",
        "safety_identifier": "drop",
        "prompt_cache_retention": "drop",
        "prompt_cache_options": "drop",
        "usage": "drop",
        "provider": "drop",
        "models": "drop",
        "transforms": "drop",
        "route": "drop",
        "plugins": "refuse",
        "web_search_options": "refuse",
        "safe_prompt": "refuse",
    },
    "responses": {
        "truncation": "drop",
        "max_tool_calls": "drop",
        "safety_identifier": "drop",
        "prompt_cache_retention": "drop",
        "context_management": "drop",
        "prompt_cache_options": "drop",
        "reasoning.context": "drop",
        "reasoning.mode": "drop",
        "stream_options": "drop",
        "include": "drop",
        "previous_response_id": "refuse",
        "conversation": "refuse",
        "background": "refuse",
        "prompt": "refuse",
    },
    "messages": {
        "context_management": "drop",
        "cache_control": "drop",
        "speed": "drop",
        "thinking": "drop",
        "output_config.task_budget": "drop",
        "messages.output_config": "drop",
        "messages.content.citations": "drop",
        "document.context": "refuse",
        "image.transformations": "drop",
        "tools.defer_loading": "drop",
        "tools.allowed_callers": "drop",
        "tools.eager_input_streaming": "drop",
        "tools.input_examples": "drop",
        "diagnostics": "drop",
        "anthropic_version": "drop",
        "anthropic_beta": "drop",
        "fallbacks": "drop",
        "fallback_credit_token": "drop",
        "user_profile_id": "drop",
        "container": "refuse",
        "mcp_servers": "refuse",
        "thread": "refuse",
        "compaction": "refuse",
        "billing_policy": "refuse",
        "inference_geo": "refuse",
    },
    "gemini": {
        "safetySettings": "drop",
        "generationConfig.mediaResolution": "drop",
        "generationConfig.routingConfig": "drop",
        "generationConfig.enableEnhancedCivicAnswers": "drop",
        "cachedContent": "refuse",
        "serviceTier": "drop",
        "generationConfig.speechConfig": "refuse",
        "modelArmorConfig": "refuse",
    },
}
"""Members that only one format has, in requests of its clients. One that is not here is refused."""
