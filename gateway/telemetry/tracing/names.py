"""What OpenTelemetry's conventions call the things that we trace.

Written down here, so that nothing is imported for it; a test compares them with the released package.
Source: opentelemetry-semantic-conventions 0.66b2 (schema 1.44.0): "GenAI spans", "HTTP spans".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
OUTPUT_TYPE: Final = "gen_ai.output.type"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"

ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"

ASKED: Mapping[str, str] = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "n": "gen_ai.request.choice.count",
}
"""Numbers at the top of a request, whatever its format, by what the conventions call them."""

WHOLE: Final = frozenset(
    {
        "gen_ai.request.max_tokens",
        "gen_ai.request.top_k",
        "gen_ai.request.seed",
        "gen_ai.request.choice.count",
    }
)
"""Those of them that are whole; the others are not, even where a client writes 1."""

OPERATIONS: Mapping[str, str] = {
    "chat": "chat",
    "responses": "chat",
    "messages": "chat",
    "converse": "chat",
    "cohere": "chat",
    "ollama": "chat",
    "gemini": "generate_content",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "gemini_embeddings": "embeddings",
    "cohere_embeddings": "embeddings",
    "titan_embeddings": "embeddings",
    "ollama_embeddings": "embeddings",
    "images": "generate_content",
    "image_edits": "generate_content",
    "speech": "generate_content",
    "count_tokens": "count_tokens",
    "gemini_count": "count_tokens",
    "converse_count": "count_tokens",
    "responses_count": "count_tokens",
    "voyage_rerank": "rerank",
}
"""By the format of a call. For the rest the conventions have no word: they are called as they are."""

OUTPUT_TYPES: Mapping[str, str] = {"images": "image", "image_edits": "image", "speech": "speech"}
