"""What must hold of a conversation in any format; checked where one is translated."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import BadRequest
from gateway.exchange import Format
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import ToolCall, ToolResult

TURNS_IN: Mapping[Format, str] = {
    "chat": "messages",
    "messages": "messages",
    "responses": "input",
    "gemini": "contents",
}
"""The member in which a client's format has the turns."""


def place_of(turn: int, source: Format) -> str:
    """Say where a turn stands, in a client's words: only in chat is each message one turn."""
    root = TURNS_IN.get(source, "messages")
    return f"{root}[{turn}]" if source == "chat" else root


def check(conversation: Conversation, source: Format = "chat") -> None:
    """Raise BadRequest for a conversation that no provider can answer."""
    if not conversation.turns:
        root = TURNS_IN.get(source, "messages")
        raise BadRequest(f"there is no message to answer in {root}", param=root)
    called = set[str]()
    for i, turn in enumerate(conversation.turns):
        for part in turn.parts:
            if isinstance(part, ToolCall):
                called.add(part.id)
            elif isinstance(part, ToolResult) and part.call_id not in called:
                place = place_of(i, source)
                raise BadRequest(
                    f"{place} has the result of the tool call {part.call_id[:100]!r}, "
                    "but no earlier message makes that call",
                    param=place,
                    code="tool_result_without_call",
                )


def tool_names(conversation: Conversation) -> dict[str, str]:
    """Return the name of the tool of each call, by the call's id: some formats want it with the result."""
    return {
        part.id: part.name for turn in conversation.turns for part in turn.parts if isinstance(part, ToolCall)
    }
