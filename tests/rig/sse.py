"""Reads server-sent events the slow and obvious way, as an oracle for what the gateway forwards."""

from __future__ import annotations

import json
import re
from typing import Any

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n)", re.DOTALL)


def split_events(body: bytes) -> list[bytes]:
    """Cut a stream after each blank line; joined they are the stream again, a rest without end included."""
    whole = _EVENT.findall(body)
    rest = body[sum(map(len, whole)) :]
    return [*whole, rest] if rest else whole


def data_of(event: bytes) -> bytes | None:
    """The joined `data:` lines of an event; None when it has none, as a comment has."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def json_of(event: bytes) -> Any:
    """The parsed data of an event; None for comments, empty ones and `[DONE]`."""
    data = data_of(event)
    return None if data is None or data.strip() == b"[DONE]" else json.loads(data)


def is_usage_only(event: bytes) -> bool:
    """Say whether it is the chunk that OpenAI adds for `stream_options.include_usage`."""
    chunk = json_of(event)
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


def is_finish(event: bytes) -> bool:
    """Say whether a choice of this chunk has a reason for its end."""
    chunk = json_of(event)
    choices = chunk.get("choices") or [] if isinstance(chunk, dict) else []
    return any(choice.get("finish_reason") for choice in choices)


def is_error(event: bytes) -> bool:
    """Say whether the event is an error object and nothing else."""
    chunk = json_of(event)
    return isinstance(chunk, dict) and "error" in chunk and "choices" not in chunk


def is_done(event: bytes) -> bool:
    """Say whether it is the `[DONE]` marker."""
    return (data_of(event) or b"").strip() == b"[DONE]"
