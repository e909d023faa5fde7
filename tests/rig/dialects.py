"""How a real SDK asks, and what its user gets to see: OpenAI's (twice), Anthropic's and Google's.

A question is the body that the client's format has for it, handed to the SDK through its typed parameters
where it has them. What is heard is read from the SDK's own objects, never from the wire.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from rig.translation.witness.facts import arguments


@dataclass
class Heard:
    """What an SDK gave its user; `finish` in the word of its own API, `sent` the body it sent."""

    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    choices: int = 1


@dataclass
class Trouble:
    """An error as the SDK raised it: its class, its status, its words, its code, when to try again."""

    kind: str
    status: int
    message: str
    code: str = ""
    retry_after: str = ""


class Speaker:
    """One SDK's client of a gateway. `sent` are the bodies that went over the wire."""

    def __init__(self, dialect: str, url: str, key: str) -> None:
        self.dialect = dialect
        self.sent: list[dict[str, Any]] = []
        hooks = {"request": [self._note]}
        # Anthropic's SDK takes clients of httpx's successor only.
        library = httpx2 if dialect == "messages" else httpx
        http: Any = library.Client(trust_env=False, event_hooks=hooks, timeout=20)
        self._http = http
        if dialect in {"chat", "responses"}:
            self.sdk: Any = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)
        elif dialect == "messages":
            self.sdk = anthropic.Anthropic(
                base_url=url, api_key=key, max_retries=0, http_client=http, timeout=20
            )
        else:
            options = google_types.HttpOptions(base_url=url, httpx_client=http)
            self.sdk = genai.Client(api_key=key, http_options=options, vertexai=False)

    def ask(self, model: str, body: dict[str, Any], *, stream: bool) -> Heard | Trouble:
        """Put a question; an error is told, not raised."""
        try:
            return _ASK[self.dialect](self.sdk, model, body, stream)
        except (openai.APIError, anthropic.APIError) as error:
            response = getattr(error, "response", None)
            waits = response.headers.get("retry-after", "") if response is not None else ""
            status, code = getattr(error, "status_code", 0), getattr(error, "code", None)
            return Trouble(type(error).__name__, status, str(error), code or "", waits)
        except google_errors.APIError as error:
            return Trouble(type(error).__name__, error.code, str(error))

    def close(self) -> None:
        self.sdk.close()
        self._http.close()

    def _note(self, request: Any) -> None:
        self.sent.append(json.loads(request.read()))


@contextmanager
def speaking(dialect: str, url: str, key: str) -> Iterator[Speaker]:
    speaker = Speaker(dialect, url, key)
    try:
        yield speaker
    finally:
        speaker.close()


def _typed(create: Callable[..., Any], body: dict[str, Any]) -> dict[str, Any]:
    """The body as the SDK's own parameters, and what it has none for as an extra."""
    known = inspect.signature(create).parameters
    extra = {name: value for name, value in body.items() if name not in known}
    return {name: value for name, value in body.items() if name in known} | (
        {"extra_body": extra} if extra else {}
    )


def _chat(sdk: openai.OpenAI, model: str, body: dict[str, Any], stream: bool) -> Heard:
    create = sdk.chat.completions.create
    asked = _typed(create, body) | {"model": model}
    if not stream:
        answer = create(**asked)
        heard = [_chat_choice(choice.message, choice.finish_reason) for choice in answer.choices]
        heard[0].input_tokens, heard[0].output_tokens = (
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
        )
        heard[0].choices = len(heard)
        return heard[0]
    heard_first, calls, seen = Heard(), {}, set()
    for chunk in create(**asked, stream=True, stream_options={"include_usage": True}):
        if chunk.usage:
            heard_first.input_tokens = chunk.usage.prompt_tokens
            heard_first.output_tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            seen.add(choice.index)
            if choice.index == 0:
                _chat_delta(heard_first, calls, choice)
    heard_first.calls = [(name, arguments(said)) for name, said in calls.values()]
    heard_first.choices = len(seen)
    return heard_first


def _chat_choice(message: Any, finish: str) -> Heard:
    calls = [(call.function.name, arguments(call.function.arguments)) for call in message.tool_calls or ()]
    thoughts = getattr(message, "reasoning_content", None) or ""
    return Heard((message.content or "") + (message.refusal or ""), thoughts, calls, finish)


def _chat_delta(heard: Heard, calls: dict[int, list[str]], choice: Any) -> None:
    delta = choice.delta
    heard.text += (delta.content or "") + (delta.refusal or "")
    heard.thoughts += getattr(delta, "reasoning_content", None) or ""
    for call in delta.tool_calls or ():
        known = calls.setdefault(call.index, [call.function.name, ""])
        known[1] += call.function.arguments or ""
    heard.finish = choice.finish_reason or heard.finish


def _responses(sdk: openai.OpenAI, model: str, body: dict[str, Any], stream: bool) -> Heard:
    create = sdk.responses.create
    asked = _typed(create, body) | {"model": model}
    if not stream:
        return _response(create(**asked))
    text, last = "", None
    for event in create(**asked, stream=True):
        if event.type in {"response.output_text.delta", "response.refusal.delta"}:
            text += event.delta
        elif event.type in {"response.completed", "response.incomplete"}:
            last = event.response
    assert last is not None, "the stream has no last event"
    heard = _response(last)
    assert heard.text == text, "the pieces are not what the last event says"
    return heard


def _response(answer: Any) -> Heard:
    heard = Heard(finish=answer.status)
    for item in answer.output:
        if item.type == "message":
            heard.text += "".join(getattr(p, "text", "") or getattr(p, "refusal", "") for p in item.content)
        elif item.type == "function_call":
            heard.calls.append((item.name, arguments(item.arguments)))
        elif item.type == "reasoning":
            heard.thoughts += "".join(part.text for part in [*item.summary, *(item.content or ())])
    heard.input_tokens, heard.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens
    return heard


def _messages(sdk: anthropic.Anthropic, model: str, body: dict[str, Any], stream: bool) -> Heard:
    if stream:
        with sdk.messages.stream(**_typed(sdk.messages.stream, body), model=model) as events:
            answer = events.get_final_message()
    else:
        answer = sdk.messages.create(**_typed(sdk.messages.create, body), model=model)
    heard = Heard(finish=answer.stop_reason or "")
    for block in answer.content:
        if block.type == "text":
            heard.text += block.text
        elif block.type == "thinking":
            heard.thoughts += block.thinking
        elif block.type == "tool_use":
            heard.calls.append((block.name, block.input))
    usage = answer.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    heard.input_tokens, heard.output_tokens = usage.input_tokens + cached, usage.output_tokens
    return heard


def _gemini(sdk: genai.Client, model: str, body: dict[str, Any], stream: bool) -> Heard:
    flat = {name: value for name, value in body.items() if name not in {"contents", "generationConfig"}}
    config = flat | body.get("generationConfig", {})
    asked = {"model": model, "contents": body["contents"], "config": config}
    chunks = sdk.models.generate_content_stream(**asked) if stream else [sdk.models.generate_content(**asked)]
    heard, choices = Heard(), set()
    for chunk in chunks:
        for candidate in chunk.candidates or ():
            choices.add(candidate.index or 0)
            if not candidate.index:
                _gemini_candidate(heard, candidate)
        if usage := chunk.usage_metadata:
            heard.input_tokens = usage.prompt_token_count or 0
            heard.output_tokens = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    heard.choices = len(choices)
    return heard


def _gemini_candidate(heard: Heard, candidate: Any) -> None:
    for part in (candidate.content and candidate.content.parts) or ():
        if part.function_call:
            heard.calls.append((part.function_call.name, part.function_call.args or {}))
        elif part.thought:
            heard.thoughts += part.text or ""
        else:
            heard.text += part.text or ""
    heard.finish = candidate.finish_reason.value if candidate.finish_reason else heard.finish


_ASK = {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}
