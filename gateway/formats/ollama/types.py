"""The shapes of Ollama's chat API: requests, and answers, of which a stream is many.

Data only. Wide structs with optional fields: a kind that is not known here must not fail to decode.
Source: Ollama API reference, "Generate a chat message" (checked 2026-11); 7 recorded exchanges.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Function(msgspec.Struct, omit_defaults=True):
    """The function that a call names; the arguments are a JSON object."""

    name: str = ""
    arguments: Any = None
    index: int | None = None


class ToolCall(msgspec.Struct, omit_defaults=True):
    """A call of a tool, always whole. Older servers give it no id."""

    function: Function
    id: str | None = None
    type: str | None = None


class Message(msgspec.Struct, omit_defaults=True):
    """A message of any role. Images are bare base64; their type is found out by the server."""

    role: str = ""
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ToolFunction(msgspec.Struct, omit_defaults=True):
    """A declared function."""

    name: str
    description: str | None = None
    parameters: Any = None


class Tool(msgspec.Struct, omit_defaults=True):
    """A declared tool; `function` is the only kind there is."""

    type: str = ""
    function: ToolFunction | None = None


class Sampling(msgspec.Struct, omit_defaults=True):
    """Those of the `options` that other formats have too; the others are of this server alone."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    stop: str | list[str] | None = None


class Request(msgspec.Struct, omit_defaults=True):
    """The body of POST /api/chat."""

    messages: list[Message]
    model: str = ""
    stream: bool | None = None
    tools: list[Tool] | None = None
    format: Any = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    keep_alive: Any = None
    truncate: bool | None = None
    shift: bool | None = None


class TopLogprob(msgspec.Struct, omit_defaults=True):
    """A token that could have stood there."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(msgspec.Struct, omit_defaults=True):
    """A token of the answer with its alternatives."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """A whole answer, or a line of a stream: the last one is `done` and has the counts. Times in ns."""

    model: str = ""
    created_at: str = ""
    message: Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    remote_model: str | None = None
    remote_host: str | None = None
    logprobs: list[Logprob] | None = None
    error: str | None = None
    status_code: int | None = None


Chunk = Answer
