"""What can be said of any answer, and the framings that answers come in."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tokens:
    """Input includes what was cached, output includes what was thought."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Said:
    """One choice: its text, its calls as (name, JSON value or text of the arguments), how it ended.

    `finish` holds every word that is right: providers that end a tool call with "stop" may be taken at
    their word or at their deed.
    """

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    finish: frozenset[str] = frozenset()
    refusal: str = ""


@dataclass(frozen=True)
class Facts:
    """An answer. `tokens` None: it told none; `failed`: it holds an error."""

    choices: tuple[Said, ...]
    tokens: Tokens | None = None
    failed: bool = False


def ends(word: str | None, table: dict[str, str], calls: object) -> frozenset[str]:
    """What a provider's word for the end means; "" and None say nothing."""
    if not word:
        return frozenset({"", "tool_calls"} if calls else {""})
    meaning = table[word]
    return frozenset({meaning, "tool_calls"} if calls and meaning == "stop" else {meaning})


def arguments(text: Any) -> Any:
    """The value of JSON text; the text itself where it is none; "" and {} are both no arguments."""
    if not isinstance(text, str):
        return text or {}
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text


def count(*numbers: Any) -> int:
    """The sum of what may be missing or null."""
    return sum(int(number or 0) for number in numbers)


def sse(body: bytes) -> list[Any]:
    """The JSON values of a server-sent event stream; a last event may lack its blank line."""
    values = []
    for line in body.replace(b"\r\n", b"\n").split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            values.append(json.loads(data))
    return values


def ndjson(body: bytes) -> list[Any]:
    """One JSON value per line."""
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def aws_frames(body: bytes) -> list[tuple[str, Any]]:
    """The events of an AWS event stream: their type and their JSON value."""
    events, at = [], 0
    while at < len(body):
        total = int.from_bytes(body[at : at + 4], "big")
        head = int.from_bytes(body[at + 4 : at + 8], "big")
        headers = _aws_headers(body[at + 12 : at + 12 + head])
        payload = body[at + 12 + head : at + total - 4]
        name = headers.get(":event-type") or headers.get(":exception-type", "")
        events.append((name, json.loads(payload)))
        at += total
    return events


def aws_frame(name: str, payload: bytes) -> bytes:
    """One event of an AWS event stream."""
    lines = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
        for key, value in lines.items()
    )
    total = 16 + len(headers) + len(payload)
    opening = total.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    frame = opening + zlib.crc32(opening).to_bytes(4, "big") + headers + payload
    return frame + zlib.crc32(frame).to_bytes(4, "big")


def _aws_headers(raw: bytes) -> dict[str, str]:
    headers, at = {}, 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        name = raw[at + 1 : name_end].decode()
        assert raw[name_end] == 7, "only strings are used"
        value_at = name_end + 3
        value_end = value_at + int.from_bytes(raw[name_end + 1 : value_at], "big")
        headers[name] = raw[value_at:value_end].decode()
        at = value_end
    return headers
