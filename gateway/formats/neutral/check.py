"""What must hold of a conversation in any format; checked where one is translated."""

from __future__ import annotations

from gateway.errors import BadRequest
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import ToolCall, ToolResult


def check(conversation: Conversation) -> None:
    """Raise BadRequest for a conversation that no provider can answer."""
    if not conversation.turns:
        raise BadRequest("there is no message to answer", param="messages")
    called = set[str]()
    for i, turn in enumerate(conversation.turns):
        for part in turn.parts:
            if isinstance(part, ToolCall):
                called.add(part.id)
            elif isinstance(part, ToolResult) and part.call_id not in called:
                raise BadRequest(
                    f"messages[{i}] is the result of the tool call {part.call_id[:100]!r}, "
                    "but no earlier message makes that call",
                    param=f"messages[{i}]",
                    code="tool_result_without_call",
                )


def tool_names(conversation: Conversation) -> dict[str, str]:
    """Return the name of the tool of each call, by the call's id: some formats want it with the result."""
    return {
        part.id: part.name for turn in conversation.turns for part in turn.parts if isinstance(part, ToolCall)
    }
