"""What is no conversation: moderations, ranks, images, sound, transcripts; forms and raw bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import openai
import pytest
from rig.gateway import CREDENTIALS, KEY, Gateway, eventually, running_gateway
from rig.script import Answer, Cut, events, plain, sse
from rig.upstream import Upstream

from gateway.formats.http.multipart import decode_form

SOUND = bytes(range(256)) * 500
FORMATS = [
    *("chat", "moderations", "rerank", "images", "image_edits", "speech", "transcriptions", "translations"),
]


@pytest.fixture(scope="module")
def surfaces(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    base = {"base_url": shared_upstream.base_url, "credentials": CREDENTIALS}
    routing = {
        "backends": {
            "all": {**base, "formats": FORMATS},
            "voyage": {**base, "formats": ["voyage_rerank"]},
        },
        "routes": {
            "any": {"targets": [{"backend": "all", "model": "up"}]},
            "voyage": {"targets": [{"backend": "voyage", "model": "rerank-2.5"}]},
        },
    }
    with running_gateway(tmp_path_factory.mktemp("surfaces"), routing) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def sdk(surfaces: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{surfaces.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(surfaces: Gateway) -> Iterator[httpx.Client]:
    with surfaces.client() as client:
        yield client


def line_of(gateway: Gateway, headers: Mapping[str, str]) -> dict[str, Any]:
    """The access line of the call that was answered with these headers."""
    call_id = headers["x-forebay-call-id"]

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.log() if line.get("request_id") == call_id]

    assert eventually(found)
    return found()[0]


def test_a_moderation_is_relayed(upstream: Upstream, sdk: openai.OpenAI) -> None:
    result = {"flagged": True, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    upstream.answer_with(plain({"id": "modr-1", "model": "up", "results": [result]}))
    answer = sdk.moderations.create(model="any", input=["a", "b"])
    assert answer.results[0].flagged
    assert upstream.only_request().path == "/v1/moderations"
    assert upstream.only_request().json() == {"model": "up", "input": ["a", "b"]}


RANKED = {"results": [{"index": 1, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_a_ranking_is_relayed_and_its_searches_are_counted(
    path: str, upstream: Upstream, surfaces: Gateway, http: httpx.Client
) -> None:
    upstream.answer_with(plain(RANKED))
    asked = {"model": "any", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}
    response = http.post(path, json=asked)
    assert response.json() == RANKED
    assert upstream.only_request().json() == asked | {"model": "up"}
    assert line_of(surfaces, response.headers)["searches"] == 1


def test_a_ranking_is_translated_for_voyage(upstream: Upstream, http: httpx.Client) -> None:
    data = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    upstream.answer_with(plain({"object": "list", "data": data, "usage": {"total_tokens": 26}}))
    asked = {"model": "voyage", "query": "q", "documents": ["a", "b"], "top_n": 2}
    answer = http.post("/v1/rerank", json=asked).json()
    assert answer["results"] == data
    assert upstream.only_request().json() == {
        "model": "rerank-2.5",
        "query": "q",
        "documents": ["a", "b"],
        "top_k": 2,
    }


IMAGES = {
    "created": 1,
    "data": [{"b64_json": "aGk="}],
    "usage": {
        "input_tokens": 50,
        "output_tokens": 272,
        "total_tokens": 322,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    },
}


def test_images_are_made_and_their_tokens_counted(
    upstream: Upstream, surfaces: Gateway, sdk: openai.OpenAI
) -> None:
    upstream.answer_with(plain(IMAGES))
    response = sdk.images.with_raw_response.generate(model="any", prompt="a pond")
    answer = response.parse()
    assert answer.data is not None
    assert answer.data[0].b64_json == "aGk="
    line = line_of(surfaces, response.headers)
    assert (line["input_tokens"], line["output_tokens"], line["tokens"]) == (50, 272, "reported")


def test_an_edit_is_a_form_whose_files_arrive_byte_for_byte(upstream: Upstream, sdk: openai.OpenAI) -> None:
    upstream.answer_with(plain(IMAGES))
    sdk.images.edit(model="any", prompt="more reed", image=("pond.png", SOUND, "image/png"))
    got = upstream.only_request()
    assert got.path == "/v1/images/edits"
    fields = {field.name: field.content for field in decode_form(got.body, got.headers["content-type"])}
    assert fields == {"model": b"up", "prompt": b"more reed", "image": SOUND}


def test_image_events_pass_as_they_come(upstream: Upstream, surfaces: Gateway, http: httpx.Client) -> None:
    partial = {"type": "image_generation.partial_image", "b64_json": "aA=="}
    done = {"type": "image_generation.completed", "b64_json": "aGk=", "usage": IMAGES["usage"]}
    pieces = sse(partial, done, done=False)
    upstream.answer_with(events(pieces))
    response = http.post("/v1/images/generations", json={"model": "any", "prompt": "p", "stream": True})
    assert response.content == b"".join(pieces)
    line = line_of(surfaces, response.headers)
    assert (line["ending"], line["output_tokens"]) == ("finished", 272)
    upstream.reset()
    upstream.answer_with(events(sse(partial, done=False)))
    response = http.post("/v1/images/generations", json={"model": "any", "prompt": "p", "stream": True})
    assert b"stream_broken" in response.content


def test_speech_is_heard_while_it_is_made(upstream: Upstream, surfaces: Gateway, sdk: openai.OpenAI) -> None:
    pieces = [SOUND[at : at + 1000] for at in range(0, len(SOUND), 1000)]
    upstream.answer_with(events(pieces, content_type="audio/mpeg"))
    with sdk.audio.speech.with_streaming_response.create(
        model="any", voice="alloy", input="a pond in spring"
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert b"".join(answer.iter_bytes()) == SOUND
        headers = answer.headers
    line = line_of(surfaces, headers)
    assert (line["ending"], line["characters"], "input_tokens" in line) == ("finished", 16, False)


def test_speech_that_breaks_off_is_not_whole(
    upstream: Upstream, surfaces: Gateway, http: httpx.Client
) -> None:
    upstream.answer_with(Answer(200, [("content-type", "audio/mpeg")], [SOUND, Cut.FIN]))
    asked = {"model": "any", "input": "x", "voice": "y"}
    with (
        http.stream("POST", "/v1/audio/speech", json=asked) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        response.read()
    line = line_of(surfaces, response.headers)
    assert (line["ending"], line["error"].partition(":")[0]) == ("broken", "stream_broken")


@pytest.mark.parametrize(
    ("answer", "text", "units"),
    [
        (plain({"text": "hi", "usage": {"type": "duration", "seconds": 7}}), "hi", ("audio_s", 7.0)),
        (
            plain(
                {
                    "text": "hi",
                    "usage": {
                        "type": "tokens",
                        "input_tokens": 14,
                        "output_tokens": 3,
                        "total_tokens": 17,
                        "input_token_details": {"audio_tokens": 14, "text_tokens": 0},
                    },
                }
            ),
            "hi",
            ("audio_input_tokens", 14),
        ),
    ],
)
def test_a_transcription_is_a_form_and_its_sound_is_counted(
    answer: Answer, text: str, units: Any, upstream: Upstream, surfaces: Gateway, sdk: openai.OpenAI
) -> None:
    upstream.answer_with(answer)
    response = sdk.audio.transcriptions.with_raw_response.create(
        model="any", file=("a.wav", SOUND, "audio/wav"), language="en"
    )
    assert response.parse().text == text
    got = upstream.only_request()
    fields = {field.name: field.content for field in decode_form(got.body, got.headers["content-type"])}
    assert fields == {"model": b"up", "language": b"en", "file": SOUND}
    name, value = units
    assert line_of(surfaces, response.headers)[name] == value


def test_a_transcript_in_plain_text_passes(upstream: Upstream, http: httpx.Client) -> None:
    upstream.answer_with(plain(b"1\n00:00 --> 00:01\nhi\n", content_type="text/plain"))
    files = {"file": ("a.wav", SOUND, "audio/wav")}
    response = http.post("/v1/audio/translations", files=files, data={"model": "any"})
    assert response.content == b"1\n00:00 --> 00:01\nhi\n"
    assert response.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"", "multipart/form-data", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"{}", "application/json", 400),
    ],
)
def test_a_broken_form_is_a_400(body: bytes, content_type: str, status: int, http: httpx.Client) -> None:
    headers = {"content-type": content_type}
    response = http.post("/v1/audio/transcriptions", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_a_form_where_json_is_wanted_is_a_415(http: httpx.Client) -> None:
    response = http.post("/v1/chat/completions", files={"model": (None, "any")})
    assert response.status_code == 415


def test_what_no_target_can_do_is_said(http: httpx.Client) -> None:
    response = http.post("/v1/images/generations", json={"model": "voyage", "prompt": "p"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_call"
    assert "images" in json.dumps(response.json())


def test_the_log_says_what_was_translated_and_what_was_left_out(
    upstream: Upstream, surfaces: Gateway, http: httpx.Client
) -> None:
    message = {"role": "assistant", "content": "ho"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    upstream.answer_with(plain({"id": "c", "model": "up", "choices": [choice], "usage": usage}))
    asked = {"model": "any", "max_tokens": 9, "top_k": 3, "messages": [{"role": "user", "content": "hi"}]}
    response = http.post("/v1/messages", json=asked)
    assert response.headers["x-forebay-dropped"] == "top_k"
    assert response.headers["request-id"] == response.headers["x-forebay-call-id"]
    line = line_of(surfaces, response.headers)
    assert (line["format"], line["translated_to"], line["dropped"]) == ("messages", "chat", ["top_k"])
    assert (line["input_tokens"], line["output_tokens"]) == (3, 2)
