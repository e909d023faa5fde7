"""What is told of backends beside their names.

Source: OpenTelemetry semantic conventions, `gen_ai.provider.name`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "gemini-openai": "gcp.gemini",
    "mistral": "mistral_ai",
    "ollama-openai": "ollama",
    "vertex": "gcp.vertex_ai",
    "vertex_anthropic": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""What the conventions call providers and presets that have another name with us: `gen_ai.provider.name`."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """A backend: its provider as OpenTelemetry's conventions name it, and where it is."""

    provider: str
    address: str = ""
    port: int = 0
    self_hosted: bool = False


def provider_name(name: str) -> str:
    """Name a provider, or a preset, as the conventions do; those that they do not know keep their name."""
    return PROVIDERS.get(name, name)
