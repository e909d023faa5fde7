"""Every host that speaks OpenAI's API: chat completions, completions, embeddings.

What differs between hosts is data (`presets.yaml`), not code.
Source: OpenAI API reference, checked 2026-11; recorded answers of 25 hosts.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.errors import Failed, Overloaded, Refused, Rejected, TimedOut, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.chat.errors import decode_error_message
from gateway.formats.envelope import encode_request
from gateway.formats.headers import retry_after_s

PATHS: Mapping[Format, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
}
FORWARDED_HEADERS = ("openai-beta",)
"""Client headers that change what an upstream does; all others stay at the gateway."""

USER_AGENT = "forebay"
_ACCEPT_ENCODING = "gzip, deflate, br, zstd"
_OVERLOADED = frozenset({429, 503, 529})


class Host(msgspec.Struct, frozen=True):
    """What a configured host is: where, which formats, which header lines of our own.

    `ask_usage` says that its streams tell their usage when they are asked to.
    """

    base_url: str
    formats: frozenset[Format] = frozenset(PATHS)
    headers: Mapping[str, str] = {}
    ask_usage: bool = True


class OpenAICompatible:
    """One configured host under its name."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.formats = host.formats
        self._urls = {format_: host.base_url + path for format_, path in PATHS.items()}
        self._headers = {"content-type": "application/json", "user-agent": USER_AGENT, **host.headers}
        self._ask_usage = host.ask_usage

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call for this host: its URL, its authorization, its name of the model."""
        stream = call.envelope.stream
        ask_usage = stream and self._ask_usage and call.format != "embeddings"
        body = encode_request(call.members, model, ask_usage=ask_usage)
        return Request(self.url(call.format, model), self._headers_for(call, credential), body)

    def url(self, format_: Format, model: str) -> str:  # noqa: ARG002 - azure's depends on the model
        """Return where calls of a format go."""
        return self._urls[format_]

    def authorization(self, credential: Credential) -> tuple[str, str]:
        """Return the header line that shows the credential."""
        return ("authorization", f"Bearer {credential.secret}")

    def _headers_for(self, call: Call, credential: Credential) -> dict[str, str]:
        headers = dict(self._headers)
        # A compressed stream would be held back by the compressor; whole answers gain from it.
        headers["accept-encoding"] = "identity" if call.envelope.stream else _ACCEPT_ENCODING
        if credential.secret:
            name, value = self.authorization(credential)
            headers[name] = value
        for name in FORWARDED_HEADERS:
            if name in call.headers:
                headers[name] = call.headers[name]
        return headers

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        wait_s = retry_after_s(headers)
        error = _KINDS.get(status, _kind_of(status))(
            decode_error_message(body, status), status=status, retry_after_s=wait_s
        )
        error.raw, error.headers = body, headers
        return error


def _kind_of(status: int) -> type[UpstreamError]:
    if status in _OVERLOADED:
        return Overloaded
    return Rejected if status < 500 else Failed


_KINDS: Mapping[int, type[UpstreamError]] = {401: Refused, 403: Refused, 408: TimedOut, 504: TimedOut}
