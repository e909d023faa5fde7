"""Cohere's own API: chat, embeddings and rankings of version 2.

Source: Cohere API reference, "Chat", "Embed", "Rerank" and "Errors" (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from backends.bearer import BearerBackend
from gateway.errors import Filtered, Rejected
from gateway.exchange import Format
from gateway.formats.errors.verdicts import Sign


class Cohere(BearerBackend):
    """Cohere under its name; `base_url` is https://api.cohere.com, or that of a private deployment."""

    paths: ClassVar[Mapping[Format, str]] = {
        "cohere": "/v2/chat",
        "cohere_embeddings": "/v2/embed",
        "rerank": "/v2/rerank",
    }
    signs = (
        # Worded like a prompt that is too long, but it is `max_tokens` that exceeds what the model may write.
        Sign(Rejected, frozenset({400, 422}), message=re.compile("max tokens must be less", re.IGNORECASE)),
        # A status of Cohere's own: the request, or the answer, held a word on its deny list.
        Sign(Filtered, frozenset({498})),
    )
