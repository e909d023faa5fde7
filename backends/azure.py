"""Azure OpenAI: OpenAI's bodies under Azure's URLs and key header.

With an `api_version` the model's name is the deployment's and stands in the path; without one the v1
API is used, which takes it from the body like OpenAI's own.
Source: Azure OpenAI REST API reference, "v1 API" and "2024-10-21 GA", checked 2026-11.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from backends.host import Host
from backends.openai_compatible import PATHS, OpenAICompatible
from gateway.errors import BadRequest
from gateway.exchange import Credential, Format

_WITHOUT_DEPLOYMENT = frozenset({"responses"})
"""What takes the deployment's name from the body, also where a version is given."""


class Azure(OpenAICompatible):
    """One Azure resource; `base_url` is its endpoint, such as https://NAME.openai.azure.com."""

    def __init__(self, name: str, host: Host, api_version: str = "") -> None:
        place = host.base_url.removesuffix("/").removesuffix("/v1").removesuffix("/openai")
        super().__init__(name, msgspec.structs.replace(host, base_url=f"{place}/openai/v1"))
        self._place = place
        self._deployments = f"{place}/openai/deployments"
        self._api_version = api_version

    def url(self, format_: Format, model: str) -> str:
        """Return where calls of a format go: by deployment, or to the v1 API. Raises BadRequest."""
        if not self._api_version:
            return super().url(format_, model)
        if set(model) <= {"."}:  # "..": a server may climb out of the deployments
            raise BadRequest(f"{model!r} is no deployment's name", param="model")
        if format_ in _WITHOUT_DEPLOYMENT:
            return f"{self._place}/openai{PATHS[format_]}?api-version={self._api_version}"
        return f"{self._deployments}/{quote(model, safe='')}{PATHS[format_]}?api-version={self._api_version}"

    def authorization(self, credential: Credential) -> tuple[str, str]:
        """Return the header line that shows the credential: a key of the resource, or a token of Entra ID."""
        if credential.kind == "token":
            return super().authorization(credential)
        return ("api-key", credential.secret)
