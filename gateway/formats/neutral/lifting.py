"""Show media that a tool gave back as the user's, for formats whose tool results are texts only.

Must stay after all results of the same calls: providers want these together, right behind the calls.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.exchange import Format
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.parts import Media, Part, Text, ToolResult

TEXT_RESULTS: frozenset[Format] = frozenset({"chat", "cohere", "ollama"})
"""The formats whose tool results hold no media, but whose users may show some."""


def lift_media(conversation: Conversation) -> Conversation:
    """Move the media of tool results into a turn of the user behind them, and say so in both places."""
    if not any(_holds_media(part) for turn in conversation.turns for part in turn.parts):
        return conversation
    return msgspec.structs.replace(conversation, turns=tuple(_lifted(conversation.turns)))


def _holds_media(part: Part) -> bool:
    return isinstance(part, ToolResult) and any(isinstance(inner, Media) for inner in part.parts)


def _lifted(turns: tuple[Turn, ...]) -> Iterator[Turn]:
    shown: list[Part] = []
    for turn in turns:
        if turn.role != "tool":
            if shown:
                yield Turn("user", tuple(shown))
                shown = []
            yield turn
            continue
        yield msgspec.structs.replace(turn, parts=tuple(_without_media(part, shown) for part in turn.parts))
    if shown:
        yield Turn("user", tuple(shown))


def _without_media(part: Part, shown: list[Part]) -> Part:
    """Return the part with words in place of its media, which are added to what is shown."""
    if not isinstance(part, ToolResult) or not _holds_media(part):
        return part
    texts: list[Text | Media | Part] = []
    for inner in part.parts:
        if isinstance(inner, Media):
            texts.append(Text(f"[The {inner.kind} is shown in the next message.]"))
            shown += [Text(f"[The {inner.kind} that the tool call {part.call_id} gave back:]"), inner]
        else:
            texts.append(inner)
    return msgspec.structs.replace(part, parts=tuple(texts))
