"""A fixed text as each client's SDK reads it, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import httpx2
import msgspec
import pytest
from google import genai
from google.genai import types
from openai import OpenAI
from unit.stand_ins import call

from gateway.exchange import Call, Format
from gateway.formats.passage.seam import Terms
from gateway.formats.passage.substitutes.canned import canned

TERMS = Terms("call_0123", 1_700_000_000)
WORDS = "We are busy.\nCome back later."


def asked(format_: Format, *, stream: bool, **members: Any) -> Call:
    made = call(format_, stream=stream, **members)
    if format_ in {"chat", "messages"}:
        return made
    own = {
        "responses": {"input": "hi"},
        "completions": {"prompt": "hi"},
        "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    }[format_]
    kept = {name: member for name, member in made.members.items() if name != "messages"}
    kept |= {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in own.items()}
    return msgspec.structs.replace(made, members=kept)


def answer(asking: Call) -> tuple[bytes, bytes]:
    got = canned(asking, WORDS, TERMS)
    assert got is not None
    return got


def answering(library: Any, got: tuple[bytes, bytes]) -> Any:
    headers = {"content-type": got[0].decode()}
    return library.Client(
        transport=library.MockTransport(lambda _: library.Response(200, content=got[1], headers=headers))
    )


def openai(got: tuple[bytes, bytes]) -> OpenAI:
    return OpenAI(api_key="k", base_url="http://gateway/v1", http_client=answering(httpx, got))


def chat(got: tuple[bytes, bytes], stream: bool) -> tuple[Any, ...]:
    messages: Any = [{"role": "user", "content": "hi"}]
    if stream:
        with openai(got).chat.completions.stream(model="m", messages=messages) as events:
            told: Any = events.get_final_completion()
    else:
        told = openai(got).chat.completions.create(model="m", messages=messages)
    assert told.usage is None or told.usage.total_tokens == 0
    return told.choices[0].message.content, told.choices[0].finish_reason, told.model


def responses(got: tuple[bytes, bytes], stream: bool) -> tuple[Any, ...]:
    if stream:
        with openai(got).responses.stream(model="m", input="hi") as events:
            told: Any = events.get_final_response()
    else:
        told = openai(got).responses.create(model="m", input="hi")
    assert told.usage.total_tokens == 0
    return told.output_text, told.status, told.model


def messages(got: tuple[bytes, bytes], stream: bool) -> tuple[Any, ...]:
    sdk = anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=answering(httpx2, got))
    given: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    if stream:
        with sdk.messages.stream(**given) as events:
            told: Any = events.get_final_message()
    else:
        told = sdk.messages.create(**given)
    assert (told.usage.input_tokens, told.usage.output_tokens) == (0, 0)
    return told.content[0].text, told.stop_reason, told.model


def gemini(got: tuple[bytes, bytes], stream: bool) -> tuple[Any, ...]:
    options = types.HttpOptions(httpx_client=answering(httpx, got), base_url="https://gateway.test")
    models = genai.Client(api_key="k", http_options=options).models
    if stream:
        told = list(models.generate_content_stream(model="m", contents="hi"))
    else:
        told = [models.generate_content(model="m", contents="hi")]
    last = told[-1]
    finish = last.candidates[0].finish_reason if last.candidates else None
    return "".join(each.text or "" for each in told), finish, last.model_version


def completions(got: tuple[bytes, bytes], stream: bool) -> tuple[Any, ...]:
    if not stream:
        told = openai(got).completions.create(model="m", prompt="hi")
        assert told.usage is not None
        assert told.usage.total_tokens == 0
        return told.choices[0].text, told.choices[0].finish_reason, told.model
    chunks = list(openai(got).completions.create(model="m", prompt="hi", stream=True))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(choice.text for choice in choices), choices[-1].finish_reason, chunks[0].model


CLIENTS: dict[Format, tuple[Any, str]] = {
    "chat": (chat, "stop"),
    "responses": (responses, "completed"),
    "messages": (messages, "end_turn"),
    "gemini": (gemini, "STOP"),
    "completions": (completions, "stop"),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("format_", CLIENTS)
def test_the_clients_own_sdk_reads_the_text(format_: Format, stream: bool) -> None:
    got = answer(asked(format_, stream=stream))
    read, finish = CLIENTS[format_]
    assert read(got, stream) == (WORDS, finish, "fast")
    assert got[0] == (b"text/event-stream" if stream else b"application/json")


@pytest.mark.parametrize("format_", ["chat", "completions"])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_stream_tells_its_usage_where_that_is_wanted(format_: Format, wanted: bool) -> None:
    made = asked(format_, stream=True, stream_options={"include_usage": wanted})
    _, body = answer(made)
    assert (b'"total_tokens":0' in body) is wanted
    assert body.endswith(b"data: [DONE]\n\n")


def test_as_many_choices_are_given_as_were_asked_for() -> None:
    _, body = answer(asked("chat", stream=False, n=3))
    choices = json.loads(body)["choices"]
    assert [(each["index"], each["message"]["content"]) for each in choices] == [
        (0, WORDS),
        (1, WORDS),
        (2, WORDS),
    ]


def test_a_call_that_only_an_upstream_can_read_is_answered_too() -> None:
    made = asked("chat", stream=False, messages="strange", n="many")
    assert json.loads(answer(made)[1])["choices"][0]["message"]["content"] == WORDS


@pytest.mark.parametrize("format_", ["embeddings", "images", "speech", "rerank", "count_tokens"])
def test_words_are_no_answer_to_other_calls(format_: Format) -> None:
    assert canned(call(format_, input="x"), WORDS, TERMS) is None
