"""Anthropic's own API: messages, and counting their tokens.

Source: Anthropic API reference, "Authentication", "Versions", "Messages", "Count tokens" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backends.host import Host, left_out, opening_headers
from gateway.errors import UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.envelope import encode_request
from gateway.formats.errors.verdicts import judge
from gateway.formats.messages.sampling import fit_sampling
from gateway.formats.messages.thinking import fit_thinking

PATHS: Mapping[Format, str] = {
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
}
FORWARDED_HEADERS = ("anthropic-version", "anthropic-beta")
VERSION = "2023-06-01"
"""Asked for where the client names none. The next one, 2026-10-21, takes no sampling parameters at all."""


class Anthropic:
    """Anthropic under a name; `base_url` is without the version, https://api.anthropic.com."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = msgspec.structs.replace(host, headers={"anthropic-version": VERSION, **host.headers})

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats of the host, or all that this API has; for every model alike."""
        return self.host.formats or tuple(PATHS)

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL, its key, its version, its name of the model."""
        headers = opening_headers(self.host, call, FORWARDED_HEADERS)
        if credential.secret:
            name, value = _authorization(credential)
            headers[name] = value
        members = members_for(call, model)
        body = encode_request(dict(members), model, ask_usage=False)
        dropped = left_out(call.members, members, MODEL_DEPENDENT)
        return Request(self.host.base_url + PATHS[call.format], headers, body, dropped=dropped)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body)


MODEL_DEPENDENT = ("thinking", "temperature", "top_p", "top_k")
"""What a model of Claude's may refuse that another takes."""


def members_for(call: Call, model: str) -> Mapping[str, Any]:
    """Return the members of a call as its model takes them; what a client wrote itself stays as it is."""
    return fit_sampling(fit_thinking(call.members, model), model) if call.translated else call.members


def _authorization(credential: Credential) -> tuple[str, str]:
    if credential.kind == "token":
        return ("authorization", f"Bearer {credential.secret}")
    return ("x-api-key", credential.secret)
