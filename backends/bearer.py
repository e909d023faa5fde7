"""The plainest kind of provider: a path for each format, a bearer key, the model's name in the JSON body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from backends.host import Host, opening_headers
from gateway.errors import UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.envelope import encode_request
from gateway.formats.errors.verdicts import Sign, judge


class BearerBackend:
    """One configured place under its name; `paths` and `signs` are the provider's."""

    paths: ClassVar[Mapping[Format, str]]
    signs: ClassVar[Sequence[Sign]] = ()

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host

    def speaks(self, _model: str, /) -> tuple[Format, ...]:
        """Return the formats that the host is configured to have, else all of this API."""
        return self.host.formats or tuple(self.paths)

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL, its authorization where there is one, the model's name in the body."""
        headers = opening_headers(self.host, call)
        if credential.secret:
            headers["authorization"] = f"Bearer {credential.secret}"
        body = encode_request(call.members, model, ask_usage=False)
        return Request(self.host.base_url + self.paths[call.format], headers, body)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body, self.signs)
