"""What a conversation and an answer mean, whatever the format: values to compare after a journey."""

from __future__ import annotations

from typing import Any

from gateway.exchange import Format
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation, FunctionTool
from gateway.formats.neutral.fields import FIELDS
from gateway.formats.neutral.losses import features
from gateway.formats.neutral.parts import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from rig.translation.structure import as_json
from rig.translation.witness.facts import arguments

PARAMETERS = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "stop"),
    *("choices", "top_logprobs", "user", "metadata", "max_tokens"),
)


def can_ask(client: Format, conversation: Conversation) -> bool:
    """Whether a client's format has names for all that the conversation asks for."""
    return all(FIELDS[row].name_in(client) for row, _ in features(conversation, client, client))


def turns(conversation: Conversation) -> list[tuple[str, tuple[Any, ...]]]:
    """Who said what: instructions are one role, neighbours of one role one turn, calls known by name."""
    names = {
        part.id: part.name for turn in conversation.turns for part in turn.parts if isinstance(part, ToolCall)
    }
    found: list[tuple[str, tuple[Any, ...]]] = []
    for turn in conversation.turns:
        role = "system" if turn.role == "developer" else turn.role
        said = tuple(gist for part in turn.parts if (gist := part_gist(part, names)) is not None)
        if found and found[-1][0] == role:
            said = found.pop()[1] + said
        found.append((role, said))
    return found


def part_gist(part: Part, names: dict[str, str]) -> Any:
    """What a part says; None for reasoning, which is judged by itself."""
    if isinstance(part, Text):
        return "text", part.text
    if isinstance(part, Media):  # what is at a URL is not always said
        return ("url", part.url) if part.url else (part.kind, part.data)
    if isinstance(part, ToolCall):
        return "call", part.name, _frozen(arguments(part.arguments))
    if isinstance(part, ToolResult):
        inner = tuple(part_gist(inner, names) for inner in part.parts)
        return "result", names.get(part.call_id, "an unknown call"), inner
    if isinstance(part, Refusal):
        return "refusal", part.text
    return None if isinstance(part, Reasoning) else ("opaque", _frozen(part.value))


def tools(conversation: Conversation) -> list[Any]:
    """The functions a model may call: some formats say which by leaving out the others."""
    allowed = choice(conversation)[1]
    return [
        (tool.name, tool.description, as_json(tool.parameters))
        for tool in conversation.tools
        if isinstance(tool, FunctionTool) and tool.name in allowed
    ]


def choice(conversation: Conversation) -> tuple[str, tuple[str, ...]]:
    """Whether a tool may or must be called, and which ones can be."""
    names = tuple(tool.name for tool in conversation.tools if isinstance(tool, FunctionTool))
    chosen = conversation.tool_choice
    if not names or (chosen is not None and chosen.mode == "none"):
        return "none", ()
    return ("auto", names) if chosen is None else (chosen.mode, chosen.names or names)


def parameters(conversation: Conversation, dropped: set[str]) -> dict[str, Any]:
    """How the answer should be made, but for what was dropped."""
    found = {name: getattr(conversation, name) for name in PARAMETERS if name not in dropped}
    found["schema"] = conversation.output and as_json(conversation.output.schema)
    found["thinks"] = conversation.thinking is not None
    found["choice"] = choice(conversation)
    return {name: value for name, value in found.items() if value not in (None, (), "", False)}


def answers(completion: Completion) -> list[Any]:
    """What was answered: of each choice the text, the thoughts, the calls."""
    return [
        (
            "".join(part.text for part in choice.parts if isinstance(part, Text)),
            "".join(
                part.text or "".join(part.summary) for part in choice.parts if isinstance(part, Reasoning)
            ),
            [(part.name, arguments(part.arguments)) for part in choice.parts if isinstance(part, ToolCall)],
            "".join(part.text for part in choice.parts if isinstance(part, Refusal)),
        )
        for choice in completion.choices
    ]


def leaves(value: Any) -> set[Any]:
    """All words and numbers in a JSON value, also in JSON that is written as text."""
    if isinstance(value, dict):
        return set(value) | {leaf for inner in value.values() for leaf in leaves(inner)}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in leaves(inner)}
    parsed = arguments(value) if isinstance(value, str) and value[:1] in "{[" else None
    inner_leaves = leaves(parsed) if isinstance(parsed, dict | list) else set()
    return {value} | inner_leaves


def holds(body: Any, fact: str | float) -> bool:
    """Whether a word (anywhere in a text) or a number is in a JSON value."""
    found = leaves(body)
    if isinstance(fact, str):
        return any(fact in leaf for leaf in found if isinstance(leaf, str))
    return any(fact == leaf for leaf in found if isinstance(leaf, int | float) and not isinstance(leaf, bool))


def _frozen(value: Any) -> str:
    return repr(as_json(value))
