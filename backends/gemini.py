"""Google's Gemini API: where its calls go, with which key, and what its errors mean.

Source: Gemini API reference, "All methods", "API keys"; "Troubleshooting guide" (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from backends.host import Host, opening_headers
from gateway.errors import BadRequest, QuotaSpent, UnknownModel, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.errors.verdicts import Sign, judge
from gateway.formats.gemini.thinking import fit_thinking

METHODS: Mapping[Format, str] = {
    "gemini": ":generateContent",
    "gemini_count": ":countTokens",
    "gemini_embeddings": ":batchEmbedContents",
}
_STREAM = ":streamGenerateContent?alt=sse"
"""Without `alt` a stream is one JSON array."""

_IN_THE_URL = frozenset({"model", "stream"})
_COLLECTIONS = ("models/", "tunedModels/")

SIGNS = (
    # An account without billing: no wait helps.
    Sign(
        QuotaSpent,
        frozenset({400, 403}),
        frozenset({"failed_precondition", "billing_disabled"}),
        re.compile("billing|free tier", re.IGNORECASE),
    ),
    # A quota of nothing at all: the model is not in the plan.
    Sign(
        QuotaSpent,
        frozenset({429}),
        frozenset({"resource_exhausted"}),
        re.compile(r"limit: 0\b|credits are depleted|free quota tier"),
    ),
    Sign(
        UnknownModel,
        frozenset({400}),
        frozenset({"failed_precondition", "invalid_argument"}),
        re.compile("not servable in region|is not supported for (?:generateContent|countTokens|batchEmbed)"),
    ),
)
"""What Google says in its own way; the statuses and reasons of all its errors are among the common signs."""


class Gemini:
    """The Gemini API under a name; `base_url` is without the version."""

    formats: tuple[Format, ...] = tuple(METHODS)

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        place = host.base_url.removesuffix("/").removesuffix("/v1beta")
        self.host = msgspec.structs.replace(host, base_url=place)

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats of the host, or all that this API has; for every model alike."""
        return self.host.formats or self.formats

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL with the model, its key, its body without what the URL says.

        Raises BadRequest for a name that is no model's.
        """
        headers = opening_headers(self.host, call)
        if credential.secret:
            name, value = self.authorization(credential)
            headers[name] = value
        kept = {name: value for name, value in call.members.items() if name not in _IN_THE_URL}
        members = dict(fit_thinking(kept, model)) if call.translated else kept
        streams = call.format == "gemini" and call.envelope.stream
        method = _STREAM if streams else METHODS[call.format]
        body = msgspec.json.encode(self.body(members, call.format, model))
        return Request(self.place_of(model) + method, headers, body)

    def place_of(self, model: str) -> str:
        """Return the URL of a model, without a method. Raises BadRequest."""
        return f"{self.host.base_url}/v1beta/{path_of(resource_of(model))}"

    def authorization(self, credential: Credential) -> tuple[str, str]:
        """Return the header line that shows the credential."""
        return ("x-goog-api-key", credential.secret)

    def body(self, members: dict[str, Any], format_: Format, model: str, /) -> dict[str, Any]:
        """Return the members to send: some methods want the model's name in what they wrap."""
        name = resource_of(model)
        if format_ == "gemini_embeddings" and "requests" in members:
            asked = opened(members["requests"], list[dict[str, msgspec.Raw]])
            return {**members, "requests": [{**each, "model": name} for each in asked]}
        if format_ == "gemini_count" and "generateContentRequest" in members:
            asked = fit_thinking(opened(members["generateContentRequest"], dict[str, msgspec.Raw]), model)
            return {**members, "generateContentRequest": {**asked, "model": name}}
        return members

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body, SIGNS)


def resource_of(model: str) -> str:
    """Return the resource's name of a model: a bare name is one of Google's own."""
    return model if model.startswith(_COLLECTIONS) else f"models/{model}"


def path_of(resource: str) -> str:
    """Write a resource's name for a URL; raises BadRequest for one that leads elsewhere."""
    segments = resource.split("/")
    if any(set(segment) <= {"."} for segment in segments):  # "..": a server may climb out of the models
        raise BadRequest(f"{resource!r} is no model's name", param="model")
    return "/".join(quote(segment, safe="@") for segment in segments)


def opened(member: Any, kind: Any) -> Any:
    """Return a member as a value: it is unparsed in a call that is relayed. Raises BadRequest."""
    if not isinstance(member, msgspec.Raw):
        return member
    try:
        return msgspec.json.decode(member, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the request is not what its endpoint takes: {error}") from None
