"""Gemini on Google's Vertex AI: the Gemini API's bodies under a project's paths, with tokens.

Source: Vertex AI API reference, "publishers.models", "CountTokensRequest", "FunctionCall" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backends.gemini import Gemini, opened, path_of
from backends.host import Host
from gateway.exchange import Credential, Format
from gateway.formats.gemini.thinking import fit_thinking, is_since_gemini_3

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

    def body(self, members: dict[str, Any], format_: Format, model: str, /) -> dict[str, Any]:
        """Return the members to send: a request that is to be counted stands alone."""
        asked: Mapping[str, Any] = members
        if format_ == "gemini_count":
            if "generateContentRequest" in members:
                asked = fit_thinking(opened(members["generateContentRequest"], dict[str, msgspec.Raw]), model)
            asked = {name: value for name, value in asked.items() if name in _COUNTED}
        return dict(asked) if is_since_gemini_3(model) else _without_ids(asked)


def _without_ids(members: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a translated request the ids of calls, which older models do not know here.

    Their names and order say which result is of which call. A client's own request is not touched.
    """
    contents = members.get("contents")
    if not isinstance(contents, list):
        return dict(members)
    changed = [{**content, "parts": [_without_id(part) for part in content["parts"]]} for content in contents]
    return {**members, "contents": changed}


def _without_id(part: dict[str, Any]) -> dict[str, Any]:
    return part | {
        name: {inner: value for inner, value in part[name].items() if inner != "id"}
        for name in ("functionCall", "functionResponse")
        if name in part
    }
