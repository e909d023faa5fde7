"""Amazon Bedrock: Converse for all of its models, and the embeddings of Amazon's and Cohere's.

The model's name stands in the path. With an API key a request is ready to be sent; without one it still
has to be signed, which is not done here.
Source: Amazon Bedrock Runtime API reference, "Converse", "ConverseStream", "CountTokens", "InvokeModel"
and their errors (checked 2026-11); recorded errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from backends.host import Host, opening_headers
from gateway.errors import BadRequest, ContextTooLong, Refused, UnknownModel, UpstreamError
from gateway.exchange import Call, Credential, Format, Headers, Request
from gateway.formats.converse.models import fit_to_model, lost, tells_its_model
from gateway.formats.errors.verdicts import Sign, judge

ACTIONS: Mapping[Format, str] = {
    "converse": "converse",
    "converse_count": "count-tokens",
    "titan_embeddings": "invoke",
    "cohere_embeddings": "invoke",
}
"""The last step of the path. A stream of Converse has one of its own."""
_EMBEDDERS: Mapping[str, Format] = {
    "amazon.titan-embed": "titan_embeddings",
    "cohere.embed": "cohere_embeddings",
}
"""The families of models that embed, by what their names hold: each takes its own body, and no other."""
_SIDES = {"START": "LEFT", "END": "RIGHT"}
_IN_THE_PATH = frozenset({"model", "stream"})
"""What Bedrock refuses in a body, because the path says it."""

SIGNS = (
    Sign(
        ContextTooLong,
        frozenset({400}),
        message=re.compile("too many input tokens|expected maxlength", re.IGNORECASE),
    ),
    Sign(
        UnknownModel,
        frozenset({400}),
        message=re.compile("doesn.t support the model that you provided", re.IGNORECASE),
    ),
    Sign(Refused, codes=frozenset({"incompletesignatureexception", "notauthorized", "optinrequired"})),
    # The credential is good, but this one model was not enabled for its account.
    Sign(UnknownModel, frozenset({403}), message=re.compile("access to the model with", re.IGNORECASE)),
    # The account may not use the model, or not yet.
    Sign(Refused, frozenset({400}), message=re.compile("^operation not allowed", re.IGNORECASE)),
)
"""What only Bedrock says; the common signs know its exceptions by their names."""


class Bedrock:
    """One region under its name; `base_url` is https://bedrock-runtime.REGION.amazonaws.com."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host

    def speaks(self, model: str, /) -> tuple[Format, ...]:
        """Return the formats of the model, among those that the host is configured to have."""
        formats = self.host.formats or tuple(ACTIONS)
        named = next((found for mark, found in _EMBEDDERS.items() if mark in model.lower()), None)
        if named is not None:
            return (named,) if named in formats else ()
        if tells_its_model(model):
            return tuple(each for each in formats if each not in _EMBEDDERS.values())
        return formats

    def prepare(self, call: Call, model: str, credential: Credential) -> Request:
        """Write the call: its URL, its key where there is one, its body. Raises BadRequest for a bad name."""
        headers = opening_headers(self.host, call)
        if credential.secret:
            headers["authorization"] = f"Bearer {credential.secret}"
        members = _fitted(call, model)
        body = msgspec.json.encode({name: members[name] for name in members if name not in _IN_THE_PATH})
        dropped = lost(call.members, members) if call.translated else ()
        return Request(self.url(call, model), headers, body, dropped=dropped)

    def url(self, call: Call, model: str) -> str:
        """Return where a call goes: an ARN has colons and slashes, which a signature needs escaped."""
        if set(model) <= {"."}:  # "..": a server may climb out of the models
            raise BadRequest(f"{model!r} is no model's name", param="model")
        action = ACTIONS[call.format]
        if call.format == "converse" and call.envelope.stream:
            action = "converse-stream"
        return f"{self.host.base_url}/model/{quote(model, safe='')}/{action}"

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Say what an error answer means; keeps the provider's message, status and body."""
        return judge(status, headers, body, SIGNS)


def _fitted(call: Call, model: str) -> Mapping[str, Any]:
    """Return the members of a call as its model takes them; what a client wrote itself stays as it is."""
    if call.format == "converse" and call.translated:
        return fit_to_model(call.members, model)
    if call.format == "cohere_embeddings" and call.translated and "cohere.embed-v4" in model.lower():
        return _with_sides(call.members)
    counted = call.members.get("input")
    if call.format != "converse_count" or not isinstance(counted, dict):
        return call.members
    asked = fit_to_model(counted["converse"], model)
    asked.pop("outputConfig", None)  # the effort: where tokens are counted there is no place for it
    return {**call.members, "input": {"converse": asked}}


def _with_sides(members: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say where a text is cut as Embed 4 does here: the only model of Cohere's that knows sides, no ends."""
    side = _SIDES.get(members.get("truncate", ""))
    return members if side is None else {**members, "truncate": side}
