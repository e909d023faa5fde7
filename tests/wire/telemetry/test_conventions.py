"""The names that we write, against the released package of OpenTelemetry's conventions.

Its GenAI part is not stable: a new release may rename what we write. The last test says what moved.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
from opentelemetry.semconv import attributes, schemas
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from gateway.config.providers import FACTS
from gateway.telemetry.places import PROVIDERS, provider_name
from gateway.telemetry.tracing import names

ROOT = Path(__file__).resolve().parents[3]
OF_THE_CONVENTIONS = re.compile(r'"((?:gen_ai|error|server|http|url)\.[a-z_.]+)"')
OUTDATED = {
    "gen_ai.completion",
    "gen_ai.prompt",
    "gen_ai.system",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.prompt_tokens",
}
"""Names that the package has, and calls deprecated."""

PINNED = frozenset(
    {
        "gen_ai.agent.description",
        "gen_ai.agent.id",
        "gen_ai.agent.name",
        "gen_ai.agent.version",
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
        "gen_ai.completion",
        "gen_ai.conversation.id",
        "gen_ai.data_source.id",
        "gen_ai.embeddings.dimension.count",
        "gen_ai.evaluation.explanation",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.label",
        "gen_ai.evaluation.score.value",
        "gen_ai.input.messages",
        "gen_ai.openai.request.response_format",
        "gen_ai.openai.request.seed",
        "gen_ai.openai.request.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.openai.response.system_fingerprint",
        "gen_ai.operation.name",
        "gen_ai.output.messages",
        "gen_ai.output.type",
        "gen_ai.prompt",
        "gen_ai.prompt.name",
        "gen_ai.provider.name",
        "gen_ai.request.choice.count",
        "gen_ai.request.encoding_formats",
        "gen_ai.request.frequency_penalty",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.request.presence_penalty",
        "gen_ai.request.seed",
        "gen_ai.request.stop_sequences",
        "gen_ai.request.stream",
        "gen_ai.request.temperature",
        "gen_ai.request.top_k",
        "gen_ai.request.top_p",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_per_output_token",
        "gen_ai.server.time_to_first_token",
        "gen_ai.system",
        "gen_ai.system_instructions",
        "gen_ai.token.type",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.id",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "gen_ai.tool.description",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.completion_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.workflow.name",
    }
)
"""What the release we know has under gen_ai: attributes and metrics."""


def released(module: ModuleType) -> frozenset[str]:
    """The names that a module of the package defines."""
    return frozenset(
        value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)
    )


def all_released() -> frozenset[str]:
    found = frozenset[str]()
    for package in (attributes, importlib.import_module("opentelemetry.semconv._incubating.attributes")):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] in {
                "gen_ai_attributes",
                "error_attributes",
                "server_attributes",
                "http_attributes",
            }:
                found |= released(importlib.import_module(module.name))
    return found | released(gen_ai_metrics)


def written() -> dict[str, str]:
    """Every name of the conventions' that stands in our telemetry, with a place where it does."""
    return {
        name: str(path.relative_to(ROOT))
        for path in sorted((ROOT / "gateway" / "telemetry").rglob("*.py"))
        for name in OF_THE_CONVENTIONS.findall(path.read_text())
    }


def values_of(kind: type[Enum]) -> frozenset[str]:
    return frozenset(member.value for member in kind)


def test_every_name_that_we_write_is_in_the_released_package() -> None:
    found = written()
    assert {names.OPERATION, names.ERROR_TYPE, names.HTTP_STATUS, names.SERVER_PORT} <= found.keys()
    unknown = {name: place for name, place in found.items() if name not in all_released()}
    assert not unknown
    assert not OUTDATED & found.keys()


def test_the_version_of_the_conventions_that_we_name_is_the_released_one() -> None:
    assert max(
        schemas.Schemas, key=lambda each: tuple(map(int, each.value.rpartition("/")[2].split(".")))
    ).value == (names.SCHEMA_URL)


def test_operations_are_called_as_the_conventions_do_where_they_have_a_word() -> None:
    known = values_of(gen_ai_attributes.GenAiOperationNameValues)
    own = {"count_tokens", "rerank"}
    assert set(names.OPERATIONS.values()) - known == own


def test_kinds_of_output_are_those_of_the_conventions() -> None:
    assert set(names.OUTPUT_TYPES.values()) <= values_of(gen_ai_attributes.GenAiOutputTypeValues)


def test_providers_are_called_as_the_conventions_do() -> None:
    known = values_of(gen_ai_attributes.GenAiProviderNameValues)
    assert set(PROVIDERS.values()) - known == {"ollama"}
    ours = {"openai", "anthropic", "cohere", "groq", "deepseek", "perplexity", "mistral", "xai", "gemini"}
    assert {provider_name(name) for name in ours} <= known
    clouds = FACTS.keys() & {"azure", "bedrock", "vertex", "vertex_anthropic", "gemini", "mistral"}
    assert {provider_name(name) for name in clouds} <= known


def test_a_new_release_of_the_conventions_shows_what_moved() -> None:
    now = {
        name for name in released(gen_ai_attributes) | released(gen_ai_metrics) if name.startswith("gen_ai.")
    }
    came, went = sorted(now - PINNED), sorted(PINNED - now)
    if came or went:
        pytest.fail(
            f"the conventions for GenAI have moved. New: {came or 'nothing'}; gone: {went or 'nothing'}. "
            "Look at what we write (gateway/telemetry/tracing/names.py), then pin the new list here.",
            pytrace=False,
        )
