"""What a client hears through its real SDK, and the very bytes that it heard it in.

Unlike `rig.dialects`, what was said before an error is kept: with a stream that breaks, that is the point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from rig.faults.wire import HEARD

DIALECTS = ("chat", "responses", "messages", "gemini")
QUESTION = "Where does the water go?"


@dataclass
class Heard:
    """What the SDK gave its user until it ended or raised, and the answer's status, headers and bytes."""

    dialect: str
    stream: bool
    text: str = ""
    arguments: str = ""
    """Of tool calls, as far as they came."""
    finish: str = ""
    """In the word of the dialect; empty: it was not told."""
    error: str = ""
    """What the SDK raised, in its words."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    wire: bytes = b""
    asked_s: float = 0.0
    """Of the monotonic clock."""
    seconds: float = 0.0


class Listener:
    """One SDK's client of a gateway."""

    def __init__(self, dialect: str, url: str, key: str) -> None:
        self.dialect = dialect
        # Anthropic's SDK takes clients of httpx's successor only.
        library: Any = httpx2 if dialect == "messages" else httpx
        self._answers: list[_Recorded] = []
        transport = _recording(library, self._answers)
        self._http: Any = library.Client(
            transport=transport, timeout=30, headers={"accept-encoding": "identity"}
        )
        self._sdk = _sdk(dialect, url, key, self._http)

    def ask(self, model: str, *, stream: bool) -> Heard:
        """Put the question and take all of the answer; an error of the gateway is told, not raised."""
        heard = Heard(self.dialect, stream, asked_s=time.monotonic())
        self._answers.clear()
        HEARD.clear()
        try:
            _ASK[self.dialect](self._sdk, heard, model)
        except (openai.APIError, anthropic.APIError, google_errors.APIError) as error:
            heard.error = f"{type(error).__name__}: {error}"
        heard.seconds = time.monotonic() - heard.asked_s
        [answer] = self._answers
        heard.status, heard.headers, heard.wire = answer.status, answer.headers, b"".join(answer.pieces)
        return heard

    def close(self) -> None:
        self._http.close()


@dataclass
class _Recorded:
    status: int
    headers: dict[str, str]
    pieces: list[bytes] = field(default_factory=list)


def _recording(library: Any, answers: list[_Recorded]) -> Any:
    """A transport that writes down all answers as they are read."""

    class Stream(library.SyncByteStream):
        def __init__(self, inner: Any, answer: _Recorded) -> None:
            self._inner, self._answer = inner, answer

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._inner:
                self._answer.pieces.append(piece)
                HEARD.extend(piece)
                yield piece

        def close(self) -> None:
            self._inner.close()

    class Transport(library.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            response = super().handle_request(request)
            answer = _Recorded(response.status_code, dict(response.headers))
            answers.append(answer)
            response.stream = Stream(response.stream, answer)
            return response

    return Transport(trust_env=False)


def _sdk(dialect: str, url: str, key: str, http: Any) -> Any:
    if dialect == "messages":
        return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, http_client=http)
    if dialect == "gemini":
        return genai.Client(
            api_key=key,
            http_options=google_types.HttpOptions(base_url=url, httpx_client=http),
            vertexai=False,
        )
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)


def _chat(sdk: openai.OpenAI, heard: Heard, model: str) -> None:
    create = sdk.chat.completions.create
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    for part in create(**asked, stream=True) if heard.stream else [create(**asked)]:
        for choice in part.choices:
            said = choice.delta if heard.stream else choice.message
            heard.text += said.content or ""
            heard.arguments += "".join(call.function.arguments or "" for call in said.tool_calls or ())
            heard.finish = choice.finish_reason or heard.finish


def _responses(sdk: openai.OpenAI, heard: Heard, model: str) -> None:
    if not heard.stream:
        answer = sdk.responses.create(model=model, input=QUESTION)
        heard.text, heard.finish = answer.output_text, str(answer.status)
        return
    for event in sdk.responses.create(model=model, input=QUESTION, stream=True):
        if event.type == "response.output_text.delta":
            heard.text += event.delta
        elif event.type == "response.function_call_arguments.delta":
            heard.arguments += event.delta
        elif event.type in {"response.completed", "response.incomplete"}:
            heard.finish = str(event.response.status)
            assert event.response.output_text == heard.text, "the pieces are not what the last event says"


def _messages(sdk: anthropic.Anthropic, heard: Heard, model: str) -> None:
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": 99,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    if not heard.stream:
        answer = sdk.messages.create(**asked)
        heard.text = "".join(block.text for block in answer.content if block.type == "text")
        heard.finish = answer.stop_reason or ""
        return
    for event in sdk.messages.create(**asked, stream=True):
        if event.type == "content_block_delta":
            heard.text += getattr(event.delta, "text", "")
            heard.arguments += getattr(event.delta, "partial_json", "")
        elif event.type == "message_delta":
            heard.finish = event.delta.stop_reason or ""


def _gemini(sdk: genai.Client, heard: Heard, model: str) -> None:
    models = sdk.models
    ask = models.generate_content_stream if heard.stream else models.generate_content
    answer: Any = ask(model=model, contents=QUESTION)
    for part in answer if heard.stream else [answer]:
        for candidate in part.candidates or ():
            pieces = (candidate.content and candidate.content.parts) or ()
            heard.text += "".join(piece.text or "" for piece in pieces)
            heard.arguments += "".join(
                str(piece.function_call.args) for piece in pieces if piece.function_call
            )
            heard.finish = candidate.finish_reason.value if candidate.finish_reason else heard.finish


_ASK: dict[str, Callable[..., None]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
}
