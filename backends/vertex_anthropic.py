"""Claude on Google's Vertex AI: Anthropic's bodies under Google's paths and tokens.

The model stands in the path and the version in the body, the other way round than at Anthropic.
Source: Google Cloud, "Use Anthropic's Claude models", "Count tokens for Claude models"; Anthropic, "Claude
on Vertex AI" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from backends.anthropic import MODEL_DEPENDENT, PATHS, VERSION, members_for
from backends.host import Host, left_out, opening_headers
from gateway.errors import BadRequest, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.errors.verdicts import judge

_MODELS = "/publishers/anthropic/models/"
_OWN_VERSION = "vertex-2023-10-16"
"""What Vertex calls Anthropic's version 2023-06-01; later ones have one name everywhere."""

_FORWARDED_HEADERS = ("anthropic-beta",)


class VertexAnthropic:
    """One project and place: https://LOCATION-aiplatform.googleapis.com/v1/projects/NAME/locations/LOCATION."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats of the host, or all that are there; for every model alike."""
        return self.host.formats or tuple(PATHS)

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL with the model, its token, its body with the version.

        Raises BadRequest for a name that is no model's.
        """
        headers = opening_headers(self.host, call, _FORWARDED_HEADERS)
        if credential.secret:
            headers["authorization"] = f"Bearer {credential.secret}"
        members: dict[str, Any] = {
            **members_for(call, model),
            "anthropic_version": _version_of(call),
        }
        if call.format == "count_tokens":
            members["model"] = model
            path = "count-tokens:rawPredict"
        else:
            members.pop("model", None)
            path = _path_of(model, stream=call.envelope.stream)
        dropped = left_out(call.members, members, MODEL_DEPENDENT)
        body = msgspec.json.encode(members)
        return Request(self.host.base_url + _MODELS + path, headers, body, dropped=dropped)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body)


def _version_of(call: Call) -> str:
    asked = call.headers.get("anthropic-version", VERSION)
    return _OWN_VERSION if asked == VERSION else asked


def _path_of(model: str, *, stream: bool) -> str:
    if set(model) <= {"."}:  # "..": a server may climb out of the models
        raise BadRequest(f"{model!r} is no model's name", param="model")
    return quote(model, safe="@") + (":streamRawPredict" if stream else ":rawPredict")
