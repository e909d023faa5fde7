"""Open a request just far enough to decide on it, and write it again with what was decided.

The body is split into its top-level members; only the few that decisions need are decoded. What goes
upstream is always written from these members, never the client's own bytes: with a duplicate or
escaped `model` key, what policy judged is exactly what the upstream sees.

Must not know routes, backends or HTTP.

Cost (4 KiB body): 2 us to open, 1 us to write; the values inside are copied, not parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from gateway.errors import BadRequest
from gateway.exchange import Arrival, Envelope, Format, FormField
from gateway.formats.http.multipart import decode_form, form_members

T = TypeVar("T")
Members = dict[str, msgspec.Raw]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


FORMS: frozenset[Format] = frozenset({"image_edits", "transcriptions", "translations"})
"""What is sent as a multipart form."""

_MODEL_LIMIT_CHARS = 512
"""Names are remembered where routes are looked up: without a limit a client could fill the memory."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool | None)
_options = msgspec.json.Decoder(_StreamOptions | None)


def decode_members(body: bytes) -> Members:
    """Split a JSON object into its members; the last of duplicate names counts.

    Raises BadRequest when `body` is not one well-formed JSON object.
    """
    try:
        body.decode()  # what is not decoded here would reach the upstream as it is
        return _members.decode(body)
    except msgspec.ValidationError:
        raise BadRequest("the request body must be a JSON object", code="invalid_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply", code="invalid_json") from None


def decode_body(body: bytes, arrival: Arrival) -> tuple[Mapping[str, msgspec.Raw], tuple[FormField, ...]]:
    """Open a request's body: its members, and its fields where it is a form.

    What the URL says of the call counts as members, and above those of the body. Raises BadRequest.
    """
    content_type = arrival.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/"):
        if arrival.format not in FORMS:
            raise BadRequest("this endpoint takes JSON, not a form", status=415)
        form = decode_form(body, content_type)
        return form_members(form), form
    members = decode_members(body)
    if arrival.named:
        members.update(arrival.named)
    return members, ()


def decode_envelope(members: Mapping[str, msgspec.Raw]) -> Envelope:
    """Read the fields that decisions need. Raises BadRequest naming the field at fault."""
    if "model" not in members:
        raise BadRequest("you must provide a model", param="model", code="missing_required_parameter")
    model = _read(members, "model", _text, "a string")
    if not model:
        raise BadRequest("model must not be empty", param="model", code="missing_required_parameter")
    if len(model) > _MODEL_LIMIT_CHARS:
        raise BadRequest(f"model must be at most {_MODEL_LIMIT_CHARS} characters", param="model")
    stream = "stream" in members and bool(_read(members, "stream", _flag, "a boolean"))
    options = None
    if "stream_options" in members:
        options = _read(members, "stream_options", _options, "an object with a boolean include_usage")
    return Envelope(model, stream=stream, wants_usage=bool(options and options.include_usage))


def _read(members: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T], wanted: str) -> T:
    try:
        return decoder.decode(members[name])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"{name} must be {wanted}", param=name, code="invalid_type") from None


def encode_request(members: Mapping[str, Any], model: str, *, ask_usage: bool) -> bytes:
    """Write the request for an upstream: its model name, and `include_usage` when `ask_usage`.

    `members` are unparsed as received, and values once translated.
    """
    changed: dict[str, object] = {**members, "model": model}
    if ask_usage:
        options: dict[str, object] = {}
        if "stream_options" in members:
            given = msgspec.json.encode(members["stream_options"])
            options.update(msgspec.json.decode(given, type=Members | None) or {})
        options["include_usage"] = True
        changed["stream_options"] = options
    return msgspec.json.encode(changed)
