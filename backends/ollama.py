"""Ollama's own API: chat and embeddings. Its OpenAI-compatible API is a host of `openai_compatible`.

Source: Ollama API reference, "Generate a chat message", "Generate embeddings", "Errors" (checked 2026-11);
the wording of its cloud's limits from reports of its users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from backends.bearer import BearerBackend
from gateway.errors import QuotaSpent
from gateway.exchange import Format
from gateway.formats.errors.verdicts import Sign

_LIMIT = re.compile("(?:hourly|session|weekly|monthly) usage limit", re.IGNORECASE)


class Ollama(BearerBackend):
    """One server under its name; `base_url` is http://HOST:11434, or https://ollama.com with a key."""

    paths: ClassVar[Mapping[Format, str]] = {"ollama": "/api/chat", "ollama_embeddings": "/api/embed"}
    signs = (
        # The account's share of the cloud is used up for hours or days: too long to wait for.
        Sign(QuotaSpent, frozenset({0, 429}), message=_LIMIT),
    )
