"""Gemini on Google's Vertex AI: the Gemini API's bodies under a project's paths, with tokens.

Source: Vertex AI API reference, "publishers.models", "CountTokensRequest" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

import msgspec

from backends.gemini import Gemini, opened, path_of
from backends.host import Host
from gateway.exchange import Credential, Format

_MODELS = "/publishers/google/models/"
_COUNTED = frozenset({"contents", "instances", "systemInstruction", "tools", "generationConfig"})
"""What of a request can be counted here; the request is not wrapped, other than in the Gemini API."""


class Vertex(Gemini):
    """One project and place: https://LOCATION-aiplatform.googleapis.com/v1/projects/NAME/locations/LOCATION."""

    formats: tuple[Format, ...] = ("gemini", "gemini_count")

    def __init__(self, name: str, host: Host) -> None:
        super().__init__(name, host)
        self.host = msgspec.structs.replace(host, base_url=host.base_url.removesuffix("/"))

    def place_of(self, model: str) -> str:
        """Return the URL of a model, without a method. Raises BadRequest."""
        return self.host.base_url + _MODELS + path_of(model.removeprefix("models/"))

    def authorization(self, credential: Credential) -> tuple[str, str]:
        """Return the header line that shows the credential."""
        return ("authorization", f"Bearer {credential.secret}")

    def body(self, members: dict[str, Any], format_: Format, _model: str, /) -> dict[str, Any]:
        """Return the members to send: a request that is to be counted stands alone."""
        if format_ != "gemini_count":
            return members
        asked = members
        if "generateContentRequest" in members:
            asked = opened(members["generateContentRequest"], dict[str, msgspec.Raw])
        return {name: value for name, value in asked.items() if name in _COUNTED}
