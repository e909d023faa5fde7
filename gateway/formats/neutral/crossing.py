"""Take out of an answer or a request what only the format it came from understands, where it leaves that.

`extra`, `raw` and `finish_raw` do not say whose they are: another format's encoder would write members of
the same names with values that mean nothing there, or a word ("STOP") that reads like one of its own.
Opaque parts and citations do say whose they are, and stay.
"""

from __future__ import annotations

import msgspec

from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation, FunctionTool, Tool, Turn
from gateway.formats.neutral.events import Began, Closed, Ended, Event, Finished, Opened
from gateway.formats.neutral.parts import Media, Opaque, Part, Text, ToolResult


def crossing_request(conversation: Conversation) -> Conversation:
    """Return the request without what only its own format says of turns, tools and media.

    Its `extra` is the business of `losses.fit`, which refuses or names what is lost.
    """
    turns = tuple(_turn(turn) for turn in conversation.turns)
    tools = tuple(_tool(tool) for tool in conversation.tools)
    return msgspec.structs.replace(conversation, turns=turns, tools=tools)


def crossing_answer(completion: Completion) -> Completion:
    """Return the answer without what only its own format says of it, its choices and media."""
    choices = tuple(_choice(choice) for choice in completion.choices)
    return msgspec.structs.replace(completion, choices=choices, extra={})


def crossing_event(event: Event) -> Event:
    """Return the event without what only its own format says."""
    if isinstance(event, Began | Ended):
        return msgspec.structs.replace(event, extra={}) if event.extra else event
    if isinstance(event, Finished):
        return msgspec.structs.replace(event, finish_raw="", raw=None)
    if isinstance(event, Opened | Closed) and isinstance(event.content, Media):
        return msgspec.structs.replace(event, content=_part(event.content))
    return event


def _turn(turn: Turn) -> Turn:
    return msgspec.structs.replace(turn, parts=tuple(_part(part) for part in turn.parts), raw=None)


def _tool(tool: Tool) -> Tool:
    if isinstance(tool, FunctionTool) and tool.raw is not None:
        return msgspec.structs.replace(tool, raw=None)
    return tool


def _choice(choice: Choice) -> Choice:
    parts = tuple(_part(part) for part in choice.parts)
    return msgspec.structs.replace(choice, parts=parts, finish_raw="", raw=None)


def _part(part: Part) -> Part:
    if isinstance(part, Media) and part.raw is not None:
        return msgspec.structs.replace(part, raw=None)
    if isinstance(part, Opaque) and part.words:
        return Text(part.words)
    if isinstance(part, ToolResult) and not all(isinstance(inner, Text) for inner in part.parts):
        inner = tuple(_part(inner) for inner in part.parts)
        return msgspec.structs.replace(part, parts=inner)
    return part
