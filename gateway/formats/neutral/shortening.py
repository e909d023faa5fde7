"""Leave out the oldest turns of a conversation, so that the rest fits where the whole did not.

Instructions stay, and the last turns do. What is left begins with a user's turn; a call and its results go
together or stay together, whatever stands between them.

Must not know models or tokenizers: what a text counts is told by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

import msgspec

from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, ToolCall, ToolResult

Count = Callable[[str], int]

_INSTRUCTING = frozenset({"system", "developer"})
_TURN_TOKENS = 4
"""What stands around a turn: about so much in the templates of most models."""

_MEDIA_TOKENS = 1000
"""An image, a page or half a minute of sound: the order of what providers count for one."""

_IDS = ("call_id", "tool_use_id", "approval_request_id", "id")
"""Members by which parts of one format only name themselves or each other."""


def shorten(
    conversation: Conversation, limit_tokens: int | None, to_share: float, keep_turns: int, count: Count
) -> tuple[Conversation, int]:
    """Leave out as few of the oldest turns as bring the rest down to `limit_tokens`.

    None: to `to_share` of what there was. The `keep_turns` last turns of the user are kept, with all that
    follows them. Returns how many turns were left out; where even the most that may be left out is not
    enough, that many. 0 and the same conversation: nothing had to be, or nothing can be.
    """
    turns = conversation.turns
    cuts = _cuts(turns, keep_turns)
    if not cuts:
        return conversation, 0
    sizes = [_size(turn, count) for turn in turns]
    total = sum(sizes) + count(msgspec.json.encode(conversation.tools, enc_hook=str).decode())
    limit = total * to_share if limit_tokens is None else limit_tokens
    if total <= limit:
        return conversation, 0
    left_out = [
        *accumulate(0 if turn.role in _INSTRUCTING else size for turn, size in zip(turns, sizes, strict=True))
    ]
    cut = next((cut for cut in cuts if total - left_out[cut - 1] <= limit), cuts[-1])
    kept = (*(turn for turn in turns[:cut] if turn.role in _INSTRUCTING), *turns[cut:])
    return msgspec.structs.replace(conversation, turns=kept), len(turns) - len(kept)


def _cuts(turns: Sequence[Turn], keep_turns: int) -> list[int]:
    """Return the places at which the conversation may begin anew, from the first to the last."""
    asked = [i for i, turn in enumerate(turns) if turn.role == "user"]
    named = [frozenset(_ids(turn)) for turn in turns]
    last_named = {id_: i for i, ids in enumerate(named) for id_ in ids}
    # How far the turns up to each one reach: to the last result of a call that they make.
    reaches = [*accumulate((max((last_named[id_] for id_ in ids), default=-1) for ids in named), max)]
    first = next((i for i, turn in enumerate(turns) if turn.role not in _INSTRUCTING), 0)
    most = len(asked) - keep_turns + 1
    return [cut for cut in asked[: max(most, 0)] if cut > first and reaches[cut - 1] < cut]


def _ids(turn: Turn) -> Iterator[str]:
    """Name the calls that a turn makes or answers."""
    for part in turn.parts:
        if isinstance(part, ToolCall):
            yield part.id
        elif isinstance(part, ToolResult):
            yield part.call_id
        elif isinstance(part, Opaque) and isinstance(part.value, dict):
            yield from (id_ for name in _IDS if isinstance(id_ := part.value.get(name), str))


def _size(turn: Turn, count: Count) -> int:
    media = sum(isinstance(part, Media) for part in _inner(turn.parts))
    return _TURN_TOKENS + media * _MEDIA_TOKENS + count("\n".join(_words(turn.parts)))


def _inner(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield from part.parts if isinstance(part, ToolResult) else (part,)


def _words(parts: Iterable[Part]) -> Iterator[str]:
    for part in _inner(parts):
        if isinstance(part, Reasoning):
            yield from (part.text, *part.summary)
        elif isinstance(part, ToolCall):
            yield from (part.name, part.arguments)
        elif isinstance(part, Opaque):
            yield part.words or msgspec.json.encode(part.value).decode()
        elif not isinstance(part, ToolResult):
            yield part.text
