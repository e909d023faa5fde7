"""What people ask of models, and what is answered: the conversations that every pair of formats must carry.

Data only, in neutral terms. `facts` are words and numbers that must be found in the body an upstream gets,
whatever its format; one that belongs to a row of `fields.FIELDS` need not be there where that was dropped.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from gateway.exchange import Usage
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.conversation import (
    Conversation,
    FunctionTool,
    JsonOutput,
    Thinking,
    ToolChoice,
    Turn,
)
from gateway.formats.neutral.parts import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult

Fact = str | float
USAGE = Usage(40, 12)


@dataclass(frozen=True)
class Case:
    """A conversation, its answer, and what an upstream must be told of it, by the row that may drop it."""

    name: str
    asked: Conversation
    answered: Completion
    facts: tuple[tuple[Fact, str], ...]


def answer(*parts: Part, finish: Finish = "stop", usage: Usage = USAGE, **more: Any) -> Completion:
    """An answer with one choice."""
    return Completion((Choice(parts, finish, **more),), "answer-1", "model-1", 1_700_000_000, usage)


def user(*parts: Part | str) -> Turn:
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def _png() -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    image = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + image).decode()


PNG = _png()
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()
WAV = base64.b64encode(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0").decode()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool("get_weather", "The weather somewhere", CITY)
CLOCK = FunctionTool("get_time", "The time somewhere", CITY)
PARIS = ToolCall("call_paris_1", "get_weather", '{"city":"Paris"}')
ROME = ToolCall("call_rome_2", "get_time", '{"city":"Rome"}')
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
HELLO = answer(Text("Hello, world"))
WIDE = 'Grüße, 世界! \U0001f469\u200d\U0001f680 \u0645\u0631\u062d\u0628\u0627 "quoted"\n\ttab'


def ask(*turns: Turn | str, **more: Any) -> Conversation:
    """A conversation of at most 300 tokens: the one limit that some formats cannot do without."""
    said = tuple(user(turn) if isinstance(turn, str) else turn for turn in turns)
    return Conversation(said, **{"max_tokens": 300} | more)


def result(*parts: Text | Media, call: ToolCall = PARIS, failed: bool = False) -> Turn:
    return Turn("tool", (ToolResult(call.id, parts, call.name, is_error=failed),))


def told(*facts: Fact, drop: str = "") -> tuple[tuple[Fact, str], ...]:
    return tuple((fact, drop) for fact in facts)


_ASKED = user("How is Paris?")
_CALLED = Turn("assistant", (PARIS,))

CASES = (
    Case("text", ask("Say hello."), HELLO, told("Say hello.", 300)),
    Case(
        "system",
        ask(Turn("system", (Text("Be brief."),)), "Say hello."),
        HELLO,
        told("Be brief.", "Say hello."),
    ),
    Case(
        "developer",
        ask(Turn("developer", (Text("Be kind."),)), "Say hello."),
        HELLO,
        told("Be kind.", "Say hello."),
    ),
    Case(
        "multi_turn",
        ask("My name is Ada.", Turn("assistant", (Text("Hello, Ada."),)), "What is my name?"),
        answer(Text("Ada")),
        told("My name is Ada.", "Hello, Ada.", "What is my name?"),
    ),
    Case("unicode", ask(WIDE), answer(Text(WIDE)), told(WIDE)),
    Case(
        "image_inline",
        ask(user("What is this?", Media("image", "image/png", data=PNG))),
        answer(Text("A red dot")),
        told("What is this?", PNG),
    ),
    Case(
        "image_url",
        ask(user("What is this?", Media("image", "image/png", url="https://example.com/a.png"))),
        answer(Text("A red dot")),
        told("https://example.com/a.png"),
    ),
    Case(
        "file",
        ask(user("Sum it up.", Media("file", "application/pdf", data=PDF, name="report.pdf"))),
        answer(Text("It is empty")),
        told("Sum it up.", PDF),
    ),
    Case(
        "audio",
        ask(user("What is said?", Media("audio", "audio/wav", data=WAV))),
        answer(Text("Nothing")),
        told(WAV),
    ),
    Case(
        "tool",
        ask(_ASKED, tools=(WEATHER,)),
        answer(PARIS, finish="tool_calls"),
        told("get_weather", "The weather somewhere", "city"),
    ),
    Case(
        "parallel_tools",
        ask("Weather in Paris, time in Rome?", tools=(WEATHER, CLOCK)),
        answer(Text("Let me look."), PARIS, ROME, finish="tool_calls"),
        told("get_weather", "get_time"),
    ),
    Case(
        "tool_result",
        ask(_ASKED, _CALLED, result(Text("18 degrees")), tools=(WEATHER,)),
        answer(Text("It is mild.")),
        told("How is Paris?", "Paris", "18 degrees"),
    ),
    Case(
        "parallel_tool_results",
        ask(
            "Weather in Paris, time in Rome?",
            Turn("assistant", (Text("Let me look."), PARIS, ROME)),
            result(Text("18 degrees")),
            result(Text("noon"), call=ROME),
            tools=(WEATHER, CLOCK),
        ),
        answer(Text("Mild, and noon.")),
        told("Let me look.", "18 degrees", "noon"),
    ),
    Case(
        "tool_error",
        ask(_ASKED, _CALLED, result(Text("no such city"), failed=True), tools=(WEATHER,)),
        answer(Text("I do not know.")),
        told("no such city"),
    ),
    Case(
        "tool_result_with_image",
        ask(_ASKED, _CALLED, result(Text("see"), Media("image", "image/png", data=PNG)), tools=(WEATHER,)),
        answer(Text("Sunny")),
        told("see", PNG),
    ),
    Case(
        "forced_tool",
        ask(_ASKED, tools=(WEATHER, CLOCK), tool_choice=ToolChoice("required")),
        answer(PARIS, finish="tool_calls"),
        told("get_weather", "get_time"),
    ),
    Case(
        "named_tool",
        ask(_ASKED, tools=(WEATHER, CLOCK), tool_choice=ToolChoice("required", ("get_weather",))),
        answer(PARIS, finish="tool_calls"),
        told("get_weather"),
    ),
    Case(
        "no_tools_allowed",
        ask(_ASKED, tools=(WEATHER,), tool_choice=ToolChoice("none")),
        answer(Text("I cannot look.")),
        told("How is Paris?"),
    ),
    Case("json_mode", ask("Give JSON.", output=JsonOutput()), answer(Text('{"a":1}')), told("Give JSON.")),
    Case(
        "json_schema",
        ask("Who?", output=JsonOutput(PERSON, "person")),
        answer(Text('{"name":"Ada"}')),
        told("Who?", "name"),
    ),
    Case(
        "reasoning_asked",
        ask("Think.", thinking=Thinking("high"), max_tokens=40_000),
        answer(Reasoning("First this, then that."), Text("Done"), usage=Usage(40, 30, reasoning_tokens=20)),
        told("Think."),
    ),
    Case("stop", ask("Count.", stop=("END", "STOP")), answer(Text("1 2 ")), told("END", "STOP", drop="stop")),
    Case("length_cut", ask("Count.", max_tokens=17), answer(Text("1 2"), finish="length"), told(17)),
    Case("refusal", ask("Do harm."), answer(Refusal("I will not."), finish="refusal"), told("Do harm.")),
    Case(
        "sampling",
        ask("Say hello.", temperature=0.25, top_p=0.75),
        HELLO,
        (*told(0.25, drop="temperature"), *told(0.75, drop="top_p")),
    ),
    Case("seed", ask("Say hello.", seed=4711), HELLO, told(4711, drop="seed")),
    Case("top_k", ask("Say hello.", top_k=23), HELLO, told(23, drop="top_k")),
    Case(
        "penalties",
        ask("Say hello.", presence_penalty=0.5, frequency_penalty=0.125),
        HELLO,
        (*told(0.5, drop="presence_penalty"), *told(0.125, drop="frequency_penalty")),
    ),
    Case(
        "logprobs",
        ask("Say hello.", logprobs=True, top_logprobs=2),
        answer(
            Text("Hi"),
            logprobs=(TokenLogprob("Hi", -0.5, None, (TopLogprob("Hi", -0.5), TopLogprob("Yo", -1))),),
        ),
        told("Say hello."),
    ),
    Case(
        "two_choices",
        ask("Say hello.", choices=2),
        Completion(
            (Choice((Text("Hello"),), "stop"), Choice((Text("Good day"),), "stop")),
            "answer-1",
            "model-1",
            1_700_000_000,
            USAGE,
        ),
        told("Say hello.", 2),
    ),
    Case("user", ask("Say hello.", user="user-0815"), HELLO, told("user-0815", drop="user")),
    Case("metadata", ask("Say hello.", metadata={"team": "red"}), HELLO, told("red", drop="metadata")),
    Case(
        "cache_marks",
        ask(Turn("system", (Text("A long rule.", cache="default"),)), "Say hello."),
        answer(Text("Hello"), usage=Usage(40, 12, cached_tokens=30)),
        told("A long rule."),
    ),
)


@dataclass(frozen=True)
class Mishap:
    """An error of an upstream; `name` is also the word that its body is found by in `ERRORS`.

    `codes` are the words of which clients are told one, in a format that has them: the provider's, where
    it speaks that format, else the gateway's.
    """

    name: str
    status: int
    codes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


MISHAPS = (
    Mishap("bad_request", 400),
    Mishap("wrong_key", 401),
    Mishap("unknown_model", 404, ("model_not_found", "upstream_unknown_model")),
    Mishap("context_too_long", 400, ("context_length_exceeded",)),
    Mishap("content_filter", 400, ("content_filter",)),
    Mishap("rate_limited", 429, ("rate_limit_exceeded", "upstream_rate_limited"), (("retry-after", "7"),)),
    Mishap("failed", 500),
    Mishap("overloaded", 529),
)


def _openai(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(message: str, kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _google(message: str, status: int, word: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": word}}


_OPENAI = {
    "bad_request": _openai("a rig-made error", "invalid_request_error", "invalid_value"),
    "wrong_key": _openai("a rig-made error", "invalid_request_error", "invalid_api_key"),
    "unknown_model": _openai("a rig-made error", "invalid_request_error", "model_not_found"),
    "context_too_long": _openai("a rig-made error", "invalid_request_error", "context_length_exceeded"),
    "content_filter": _openai("a rig-made error", "invalid_request_error", "content_filter"),
    "rate_limited": _openai("a rig-made error", "requests", "rate_limit_exceeded"),
    "failed": _openai("a rig-made error", "server_error", None),
    "overloaded": _openai("a rig-made error", "server_error", "overloaded"),
}
ERRORS: dict[str, dict[str, Any]] = {
    "chat": _OPENAI,
    "responses": _OPENAI,
    "messages": {
        "bad_request": _anthropic("a rig-made error", "invalid_request_error"),
        "wrong_key": _anthropic("a rig-made error", "authentication_error"),
        "unknown_model": _anthropic("a rig-made error: model: no-such", "not_found_error"),
        "context_too_long": _anthropic(
            "prompt is too long: 210000 tokens > 200000 maximum (a rig-made error)", "invalid_request_error"
        ),
        "content_filter": _anthropic(
            "Output blocked by content filtering policy (a rig-made error)", "invalid_request_error"
        ),
        "rate_limited": _anthropic("a rig-made error", "rate_limit_error"),
        "failed": _anthropic("a rig-made error", "api_error"),
        "overloaded": _anthropic("a rig-made error", "overloaded_error"),
    },
    "gemini": {
        "bad_request": _google("a rig-made error", 400, "INVALID_ARGUMENT"),
        "wrong_key": _google("a rig-made error", 401, "UNAUTHENTICATED"),
        "unknown_model": _google("a rig-made error: models/x is not found", 404, "NOT_FOUND"),
        "context_too_long": _google(
            "The input token count (9) exceeds the maximum number of tokens allowed (8). (a rig-made error)",
            400,
            "INVALID_ARGUMENT",
        ),
        "rate_limited": _google("a rig-made error", 429, "RESOURCE_EXHAUSTED"),
        "failed": _google("a rig-made error", 500, "INTERNAL"),
        "overloaded": _google("a rig-made error", 503, "UNAVAILABLE"),
    },
    "converse": {
        "bad_request": {"message": "a rig-made error"},
        "wrong_key": {"message": "a rig-made error"},
        "unknown_model": {"message": "The provided model identifier is invalid. (a rig-made error)"},
        "context_too_long": {"message": "Input is too long for requested model. (a rig-made error)"},
        "rate_limited": {"message": "a rig-made error"},
        "failed": {"message": "a rig-made error"},
        "overloaded": {"message": "a rig-made error"},
    },
}
"""Errors as each provider writes them. Gemini and Bedrock filter by finish reasons, never by an error."""
