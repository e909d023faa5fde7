"""Ollama's own API: chat and embeddings. Its OpenAI-compatible API is a host of `openai_compatible`.

Source: Ollama API reference, "Generate a chat message", "Generate embeddings", "Errors" (checked 2026-11);
the wording of its cloud's limits from reports of its users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.host import Host, opening_headers
from gateway.errors import QuotaSpent, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.envelope import encode_request
from gateway.formats.errors.verdicts import Sign, judge

PATHS: Mapping[Format, str] = {"ollama": "/api/chat", "ollama_embeddings": "/api/embed"}
_LIMIT = re.compile("(?:hourly|session|weekly|monthly) usage limit", re.IGNORECASE)
SIGNS = (
    # The account's share of the cloud is used up for hours or days: too long to wait for.
    Sign(QuotaSpent, frozenset({0, 429}), message=_LIMIT),
)


class Ollama:
    """One server under its name; `base_url` is http://HOST:11434, or https://ollama.com with a key."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats that the host is configured to have, else all of this API."""
        return self.host.formats or tuple(PATHS)

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL, its authorization where there is one, the model's name in the body."""
        headers = opening_headers(self.host, call)
        if credential.secret:
            headers["authorization"] = f"Bearer {credential.secret}"
        body = encode_request(call.members, model, ask_usage=False)
        return Request(self.host.base_url + PATHS[call.format], headers, body)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the server's message, status and body."""
        return judge(status, headers, body, SIGNS)
