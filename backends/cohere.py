"""Cohere's own API: chat, embeddings and rankings of version 2.

Source: Cohere API reference, "Chat", "Embed", "Rerank" and "Errors" (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.host import Host, opening_headers
from gateway.errors import Filtered, Rejected, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.envelope import encode_request
from gateway.formats.errors.verdicts import Sign, judge

PATHS: Mapping[Format, str] = {
    "cohere": "/v2/chat",
    "cohere_embeddings": "/v2/embed",
    "rerank": "/v2/rerank",
}
SIGNS = (
    # Worded like a prompt that is too long, but it is `max_tokens` that exceeds what the model may write.
    Sign(Rejected, frozenset({400, 422}), message=re.compile("max tokens must be less", re.IGNORECASE)),
    # A status of Cohere's own: the request, or the answer, held a word on its deny list.
    Sign(Filtered, frozenset({498})),
)


class Cohere:
    """Cohere under its name; `base_url` is https://api.cohere.com, or that of a private deployment."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats that the host is configured to have, else all of this API."""
        return self.host.formats or tuple(PATHS)

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL, its authorization, the model's name in the body."""
        headers = opening_headers(self.host, call)
        if credential.secret:
            headers["authorization"] = f"Bearer {credential.secret}"
        body = encode_request(call.members, model, ask_usage=False)
        return Request(self.host.base_url + PATHS[call.format], headers, body)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body, SIGNS)
