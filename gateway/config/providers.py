"""The providers: what each has to be told in routing.yaml, as data.

Knows nothing of how they are spoken to (`backends` does). `compose` has the code of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.exchange import Format

Provider = Literal[
    "openai_compatible",
    "azure",
    "anthropic",
    "gemini",
    "vertex",
    "vertex_anthropic",
    "bedrock",
    "cohere",
    "mistral",
    "ollama",
    "scripted",
]
AuthKind = Literal["service_account", "google_metadata", "entra", "azure_identity", "aws"]


class Facts(msgspec.Struct, frozen=True):
    """What holds for all backends of a provider.

    `formats` are those it has unless the configuration says otherwise, the preferred first; `key` the
    variable of its API key; `place` what its address is made from ({region} and so on are fields of the
    backend), empty where it has to be given, and `place_hint` how one looks; `fields` the settings that
    only it and some others have; `auths` how else than by a key it can be authenticated at;
    `needs_credential` whether it answers nobody without;
    `output_limit` what it calls the limit on generated tokens.
    """

    formats: tuple[Format, ...]
    key: str = ""
    place: str = ""
    place_hint: str = "give a preset or a base_url"
    fields: frozenset[str] = frozenset()
    auths: tuple[AuthKind, ...] = ()
    needs_credential: bool = False
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


_GOOGLE: tuple[AuthKind, ...] = ("service_account", "google_metadata")
_GOOGLE_PLACE = "https://{region}-aiplatform.googleapis.com/v1/projects/{project}/locations/{region}"

FACTS: Mapping[Provider, Facts] = {
    "openai_compatible": Facts(formats=("chat", "completions", "embeddings"), fields=frozenset({"launch"})),
    "azure": Facts(
        formats=(
            *("chat", "responses", "completions", "embeddings", "images", "image_edits", "speech"),
            *("transcriptions", "translations"),
        ),
        key="AZURE_OPENAI_API_KEY",
        place_hint="base_url: https://<resource>.openai.azure.com",
        fields=frozenset({"api_version", "auth"}),
        auths=("entra", "azure_identity"),
        output_limit="max_completion_tokens",
        needs_credential=True,
    ),
    "anthropic": Facts(formats=("messages", "count_tokens")),
    "gemini": Facts(formats=("gemini", "gemini_embeddings", "gemini_count")),
    "vertex": Facts(
        formats=("gemini", "gemini_count"),
        place=_GOOGLE_PLACE,
        fields=frozenset({"project", "auth"}),
        auths=_GOOGLE,
        needs_credential=True,
    ),
    "vertex_anthropic": Facts(
        formats=("messages", "count_tokens"),
        place=_GOOGLE_PLACE,
        fields=frozenset({"project", "auth"}),
        auths=_GOOGLE,
        needs_credential=True,
    ),
    "bedrock": Facts(
        formats=("converse", "converse_count", "titan_embeddings", "cohere_embeddings"),
        key="AWS_BEARER_TOKEN_BEDROCK",
        place="https://bedrock-runtime.{region}.amazonaws.com",
        fields=frozenset({"auth"}),
        auths=("aws",),
        needs_credential=True,
    ),
    "cohere": Facts(formats=("cohere", "cohere_embeddings", "rerank")),
    "mistral": Facts(formats=("chat", "embeddings")),
    "ollama": Facts(formats=("ollama", "ollama_embeddings")),
    "scripted": Facts(
        formats=("chat", "completions", "embeddings"),
        fields=frozenset({"script"}),
        place_hint="script: the file with its answers",
    ),
}
SPECIAL = frozenset().union(*(facts.fields for facts in FACTS.values()))
"""The settings of a backend that not every provider has."""
