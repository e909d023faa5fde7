"""Ask for less: a client's call without the oldest turns of its conversation.

All but the turns stays as the client wrote it. Must not know models or tokenizers: what a text counts is told
by a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import ClientError
from gateway.exchange import Call, Format
from gateway.formats.neutral.check import TURNS_IN
from gateway.formats.neutral.shortening import Count, shorten
from gateway.formats.passage.codecs import CODECS

_MEMBERS: Mapping[Format, tuple[str, ...]] = {
    "chat": (TURNS_IN["chat"],),
    "responses": (TURNS_IN["responses"],),
    "messages": (TURNS_IN["messages"], "system"),
    "gemini": (TURNS_IN["gemini"],),
}
"""The members that hold turns; instructions among Anthropic's messages are written as `system`."""

_KEPT_ELSEWHERE = ("previous_response_id", "conversation")
"""Members of a responses call that name turns which its provider keeps: those are not here to be left out."""

_NULL = b"null"


def shorten_call(
    call: Call, limit_tokens: int | None, to_share: float, keep_turns: int, count: Count
) -> tuple[Call, int]:
    """Shorten the conversation of a client's call, as `shorten` does; all but its turns stays as it came.

    A call that cannot be read, or of another format, comes back as it is, with 0.
    """
    if call.format not in _MEMBERS or any(_is_given(call.members, name) for name in _KEPT_ELSEWHERE):
        return call, 0
    codec = CODECS[call.format]
    try:
        asked = codec.decode_request(call.members)
        shorter, turns = shorten(asked, limit_tokens, to_share, keep_turns, count)
        if not turns:
            return call, 0
        written = codec.encode_request(shorter)
    except ClientError:  # it was relayed unread, and the upstream's error says more
        return call, 0
    changed = {name: written[name] for name in _MEMBERS[call.format] if name in written}
    return msgspec.structs.replace(call, members={**call.members, **changed}), turns


def _is_given(members: Mapping[str, Any], name: str) -> bool:
    return name in members and msgspec.json.encode(members[name]) != _NULL
