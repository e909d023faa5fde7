"""Read a multipart form as received, and write it again with what was decided.

What goes upstream is always written from the fields, never the client's own bytes: with a field given
twice, or hidden from a lax reader, what policy judged is exactly what the upstream sees. A field that
nobody changes keeps its header lines and content byte for byte.

Must not know what the fields mean, but for `model` and `stream`, which decisions need.
Sources: RFC 7578 (form data), RFC 2046 section 5.1 (multipart), RFC 9110 section 5.6 (parameters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from gateway.errors import BadRequest
from gateway.exchange import FormField

_MOST_FIELDS = 1000
_LONGEST_HEAD_BYTES = 16 * 1024
"""Of one field's header lines: browsers and SDKs send two of them."""

# The name of a parameter, then its value: quoted, or a token. Readers differ in what a backslash before a
# quote means, so that no value with one is taken; in the paths of files backslashes stand for themselves.
_PARAMETER = re.compile(r';[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\(?!"))*)"|([^\s;"]*))')
_PARAMETERS = rf"(?:[ \t]*{_PARAMETER.pattern})+[ \t]*;?[ \t]*"
_FORM_DATA = re.compile(rf"[ \t]*form-data{_PARAMETERS}", re.IGNORECASE)
_FORM_TYPE = re.compile(rf"[ \t]*multipart/form-data{_PARAMETERS}", re.IGNORECASE)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LABEL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[^\s\\](?:[^\\]*[^\s\\])?")
"""Without blanks around it, which some readers take off."""
_CONTROL = re.compile(rb"[\x00\x7f]|\r(?!\n)|(?<!\r)\n")
_PADDING = b" \t"
_TRUTHS = {b"true": b"true", b"1": b"true", b"false": b"false", b"0": b"false"}


def boundary_of(content_type: str) -> str:
    """Return the boundary that a `content-type` line of `multipart/form-data` names.

    Raises BadRequest when there is none, or more than one: the upstream reads this line too.
    """
    found = [] if _FORM_TYPE.fullmatch(content_type) is None else _parameters(content_type)
    boundaries = [value for name, value in found if name.startswith("boundary")]
    if len(boundaries) != 1 or _BOUNDARY.fullmatch(boundaries[0]) is None:
        raise BadRequest("content-type must name the boundary of the form", code="invalid_form")
    return boundaries[0]


def decode_form(body: bytes, content_type: str) -> tuple[FormField, ...]:
    """Split a body of `multipart/form-data` into its fields, in their order.

    Raises BadRequest for a missing boundary, broken framing, more than 1,000 fields, and a field whose name
    is missing or could be read in two ways. What stands before the first boundary and behind the last one
    is no part of the form.
    """
    delimiter = b"\r\n--" + boundary_of(content_type).encode("ascii")
    fields = list[FormField]()
    # The first delimiter lacks its line break where nothing stands before it.
    at = len(delimiter) - 2 if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    while not body.startswith(b"--", at):
        if len(fields) == _MOST_FIELDS:
            raise BadRequest(f"the form has more than {_MOST_FIELDS} fields", code="invalid_form")
        start = _after_line(body, at)
        at = _after(body, delimiter, start)
        fields.append(_field(body, start, at - len(delimiter)))
    return tuple(fields)


def encode_form(fields: Sequence[FormField], boundary: str, changed: Mapping[str, str]) -> bytes:
    """Write a form whose `changed` fields have new contents: each once, where it stood first, or at the end.

    Raises BadRequest when `boundary` occurs in a field: its rest would be read as a field of its own.
    """
    mark = b"--" + boundary.encode("ascii")
    pieces, missing = list[bytes](), dict(changed)
    for field in fields:
        if field.name in missing:
            pieces += [mark, b"\r\n", _plain_field(field.name, missing.pop(field.name)), b"\r\n"]
        elif field.name not in changed:
            if mark in field.content or mark in field.head:
                raise BadRequest("a field of the form contains the boundary", code="invalid_form")
            pieces += [mark, b"\r\n", field.head, b"\r\n\r\n", field.content, b"\r\n"]
    for name, content in missing.items():
        pieces += [mark, b"\r\n", _plain_field(name, content), b"\r\n"]
    return b"".join([*pieces, mark, b"--\r\n"])


def form_members(fields: Sequence[FormField]) -> dict[str, msgspec.Raw]:
    """Return `model` and `stream` as members of a JSON body, the last field of a name counting.

    Raises BadRequest for a `model` that is no text, a `stream` that is no boolean.
    """
    found = {field.name: field.content for field in fields if field.name in {"model", "stream"}}
    members = dict[str, msgspec.Raw]()
    if "model" in found:
        try:
            members["model"] = msgspec.Raw(msgspec.json.encode(found["model"].decode()))
        except UnicodeDecodeError:
            raise BadRequest("model must be text", param="model", code="invalid_type") from None
    if "stream" in found:
        truth = _TRUTHS.get(found["stream"].strip().lower())
        if truth is None:
            raise BadRequest("stream must be true or false", param="stream", code="invalid_type")
        members["stream"] = msgspec.Raw(truth)
    return members


def _parameters(line: str) -> list[tuple[str, str]]:
    """Read the parameters of a header line, their names in lower case."""
    return [(name.lower(), quoted or token) for name, quoted, token in _PARAMETER.findall(line)]


def _after(body: bytes, delimiter: bytes, start: int) -> int:
    """Find the next delimiter from `start` on and return where it ends.

    A boundary must not occur in a content, so that one which merely begins like it is broken framing.
    """
    # The line break before a delimiter may be the one that ends the field's head: no content then.
    at = body.find(delimiter, max(0, start - 2))
    if at < 0:
        raise BadRequest("the form is cut short: its last boundary is missing", code="invalid_form")
    return at + len(delimiter)


def _after_line(body: bytes, at: int) -> int:
    """Return where the line of a delimiter ends: nothing but blanks may follow on it."""
    end = body.find(b"\r\n", at)
    if end < 0 or body[at:end].strip(_PADDING):
        raise BadRequest("the form has more behind a boundary than the end of its line", code="invalid_form")
    return end + 2


def _field(body: bytes, start: int, end: int) -> FormField:
    # Up to its end and its line break: the head of a field without content ends where the field does.
    head_end = body.find(b"\r\n\r\n", start, min(end + 2, start + _LONGEST_HEAD_BYTES))
    if head_end < 0:
        raise BadRequest("a field of the form has no header lines, or too many", code="invalid_form")
    head = body[start:head_end]
    return FormField(_name_in(head), head, body[head_end + 4 : end])


def _name_in(head: bytes) -> str:
    """Find a field's name.

    Raises BadRequest where another reader might find another one: the upstream reads these lines too.
    """
    try:
        lines = [line.partition(":") for line in head.decode().split("\r\n")]
    except UnicodeDecodeError:
        raise BadRequest("a header line of the form is not UTF-8", code="invalid_form") from None
    dispositions = [value for label, _, value in lines if label.lower() == "content-disposition"]
    if len(dispositions) != 1 or not all(_LABEL.fullmatch(label) for label, _, _ in lines):
        raise BadRequest("a field of the form needs one content-disposition line", code="invalid_form")
    names = _names_in(dispositions[0])
    if len(names) != 1 or _NAME.fullmatch(names[0]) is None or _CONTROL.search(head):
        raise BadRequest("a field of the form needs one plain name", code="invalid_form")
    return names[0]


def _names_in(disposition: str) -> list[str]:
    if _FORM_DATA.fullmatch(disposition) is None:
        return []
    # `name*` would be another spelling of the name: who uses it has no plain one, or two.
    found = [(label, value) for label, value in _parameters(disposition) if label in {"name", "name*"}]
    return [value if label == "name" else "" for label, value in found]


def _plain_field(name: str, content: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{content}'.encode()
