"""A request for generation, whatever the wire format: turns, tools, and how the answer should be.

Data only. Its fields are the rows of `fields.FIELDS`, which says for each what a format calls it and what
becomes of it where a format has no name for it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.exchange import Format
from gateway.formats.neutral.parts import CacheMark, Part

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One message.

    A `tool` turn holds ToolResults only; formats that mix them with a user's words give two turns.

    `id` is that of a responses item.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    id: str = ""
    raw: Any = None
    """What only the format it came from says of the turn."""


class FunctionTool(msgspec.Struct, frozen=True, gc=False):
    """A function of the client. `parameters` is a JSON schema, None for a function without any.

    `raw` are members that say how it is offered, which only the format it came from has.
    """

    name: str
    description: str = ""
    parameters: Any = None
    strict: bool | None = None
    cache: CacheMark = ""
    raw: Any = None


class CustomTool(msgspec.Struct, frozen=True, gc=False):
    """A tool of the client that takes free text; `grammar` restricts it (OpenAI's `format` value)."""

    name: str
    description: str = ""
    grammar: Any = None


class OpaqueTool(msgspec.Struct, frozen=True, gc=False):
    """A tool that one provider runs or defines (web search, code execution, MCP): kept as it is."""

    format: Format
    kind: str
    value: Any


Tool = FunctionTool | CustomTool | OpaqueTool


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    """Which tools may or must be called. `names` restricts to some; one name and `required` forces it.

    `raw` is a choice that only `format` can express (a tool that the provider runs).
    """

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()
    format: Format | Literal[""] = ""
    raw: Any = None


class JsonOutput(msgspec.Struct, frozen=True, gc=False):
    """The answer is to be JSON: of a schema, or (`schema` None) any JSON object."""

    schema: Any = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Thinking(msgspec.Struct, frozen=True, gc=False):
    """How much to reason.

    `effort` is "none", "minimal", "low", "medium", "high", "xhigh" or "max" ("" not said);
    `budget_tokens` an upper bound (None: not said, 0: off); `adaptive` lets the model decide; `summary`
    asks for summaries ("auto", "concise", "detailed"); `visible` says whether thoughts are to be shown.
    """

    effort: str = ""
    budget_tokens: int | None = None
    adaptive: bool = False
    summary: str = ""
    visible: bool | None = None


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """What a client asks for. None, "" and () mean: not said."""

    turns: tuple[Turn, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: JsonOutput | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    """How many alternative answers."""
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Any = None
    modalities: tuple[str, ...] = ()
    """Lower case: "text", "audio", "image"."""
    audio: Any = None
    """Voice and format of a spoken answer."""
    verbosity: str = ""
    user: str = ""
    metadata: Any = None
    service_tier: str = ""
    cache_key: str = ""
    store: bool | None = None
    extra: dict[str, Any] = {}
    """Members of the request that only its own format has, by their names there, as JSON values."""
    spelling: dict[Format, dict[str, Any]] = {}
    """Members of a format that say one of the above in another than its first way, by format and name. They
    repeat what is said, so they are no loss, and go back into that format while they still say the same."""
