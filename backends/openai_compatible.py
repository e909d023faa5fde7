"""Every host that speaks OpenAI's API, or parts of it, under OpenAI's paths.

What differs between hosts is data (`presets.yaml`), not code.
Source: OpenAI API reference, checked 2026-11; recorded answers of 25 hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends.host import Host, opening_headers
from gateway.errors import UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.envelope import encode_request
from gateway.formats.errors.verdicts import judge
from gateway.formats.http.multipart import boundary_of, encode_form

PATHS: Mapping[Format, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
    "responses_count": "/responses/input_tokens",
    "messages": "/messages",
    "count_tokens": "/messages/count_tokens",
    "moderations": "/moderations",
    "rerank": "/rerank",
    "voyage_rerank": "/rerank",
    "images": "/images/generations",
    "image_edits": "/images/edits",
    "speech": "/audio/speech",
    "transcriptions": "/audio/transcriptions",
    "translations": "/audio/translations",
}
FORWARDED_HEADERS = ("openai-beta", "anthropic-beta", "anthropic-version")
_LIMIT = "max_completion_tokens"
"""What translated calls name the limit on tokens; only some models of OpenAI's insist on it."""

_USAGE_BY_OPTION = frozenset({"chat", "completions"})
"""The formats whose streams tell their usage only when `stream_options` asks for it."""


class OpenAICompatible:
    """One configured host under its name."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self._urls = {format_: host.base_url + path for format_, path in PATHS.items()}

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats that the host is configured to have, for every model alike."""
        return self.host.formats

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call for this host: its URL, its authorization, its name of the model."""
        headers = opening_headers(self.host, call, FORWARDED_HEADERS)
        if credential.secret:
            name, value = self.authorization(credential)
            headers[name] = value
        if call.form:
            headers["content-type"] = call.headers["content-type"]
            body = encode_form(call.form, boundary_of(headers["content-type"]), {"model": model})
        else:
            body = self.body(call, model)
        return Request(self.url(call.format, model), headers, body, dropped=self.dropped(call))

    def body(self, call: Call, model: str) -> bytes:
        """Write the JSON body.

        A client's own members stay as they are, those of a translated call go by the host's ways.
        """
        asks = call.envelope.stream and self.host.ask_usage and call.format in _USAGE_BY_OPTION
        members = self._fitted(call.members) if call.translated else call.members
        return encode_request(members, model, ask_usage=asks)

    def dropped(self, _call: Call, /) -> tuple[str, ...]:
        """Name what the host refuses of a call and `body` leaves out: nothing."""
        return ()

    def _fitted(self, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """Name the limit on tokens as the host does, which else might ignore it; ask only who takes it."""
        fitted = dict(members)
        fitted.pop("stream_options", None)
        if _LIMIT in fitted:
            fitted[self.host.output_limit] = fitted.pop(_LIMIT)
        return fitted

    def url(self, format_: Format, model: str) -> str:  # noqa: ARG002 - azure's depends on the model
        """Return where calls of a format go."""
        return self._urls[format_]

    def authorization(self, credential: Credential) -> tuple[str, str]:
        """Return the header line that shows the credential."""
        return ("authorization", f"Bearer {credential.secret}")

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body)
