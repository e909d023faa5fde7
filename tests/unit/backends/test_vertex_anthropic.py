"""Claude on Vertex AI: the model in the path, the version in the body."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from backends.host import Host
from backends.vertex_anthropic import VertexAnthropic
from gateway.errors import BadRequest, Refused, UnknownModel
from gateway.exchange import Call, Caller, Credential, Envelope, Format
from gateway.formats.envelope import decode_members
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.conversation import Conversation, Thinking, Turn
from gateway.formats.neutral.parts import Text

PLACE = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
MODELS = f"{PLACE}/publishers/anthropic/models"
TOKEN = Credential("c", "ya29", kind="token")
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
BACKEND = VertexAnthropic("v", Host(PLACE))


def call(format_: Format = "messages", *, stream: bool = False, body: Any = BODY, **headers: str) -> Call:
    members = decode_members(json.dumps({**body, "model": "fast", "stream": stream}).encode())
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(format_, Caller("t", "k"), Envelope("fast", stream=stream), members, lines)


@pytest.mark.parametrize(("stream", "verb"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_the_model_stands_in_the_path_alone(stream: bool, verb: str) -> None:
    request = BACKEND.prepare(call(stream=stream, anthropic_beta="b"), "claude-sonnet-4-5@20250929", TOKEN)
    assert request.url == f"{MODELS}/claude-sonnet-4-5@20250929:{verb}"
    assert json.loads(request.body) == {**BODY, "stream": stream, "anthropic_version": "vertex-2023-10-16"}
    assert request.headers["authorization"] == "Bearer ya29"
    assert request.headers["anthropic-beta"] == "b"
    assert "anthropic-version" not in request.headers


def test_counting_has_its_own_path_and_the_model_in_the_body() -> None:
    request = BACKEND.prepare(call("count_tokens"), "claude-haiku-4-5", TOKEN)
    assert request.url == f"{MODELS}/count-tokens:rawPredict"
    assert json.loads(request.body)["model"] == "claude-haiku-4-5"
    assert BACKEND.speaks("m") == ("messages", "count_tokens")


@pytest.mark.parametrize(
    ("asked", "version"), [("2023-06-01", "vertex-2023-10-16"), ("2026-10-21", "2026-10-21")]
)
def test_the_clients_version_is_kept(asked: str, version: str) -> None:
    body = BACKEND.prepare(call(anthropic_version=asked), "m", TOKEN).body
    assert json.loads(body)["anthropic_version"] == version


@pytest.mark.parametrize("model", ["a/b", "a?b", "a#b", "a b", "a:b", "a;b", "\u00e9"])
def test_a_models_name_stays_within_its_place_in_the_path(model: str) -> None:
    url = BACKEND.prepare(call(), model, TOKEN).url
    inside = url.removeprefix(f"{MODELS}/").removesuffix(":rawPredict")
    assert not set(inside) & set("/?#: ;")


@pytest.mark.parametrize("model", ["", ".", ".."])
def test_a_name_of_dots_does_not_climb(model: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        BACKEND.prepare(call(), model, TOKEN)
    assert refusal.value.param == "model"


def test_a_translated_call_thinks_in_the_words_of_its_model() -> None:
    asked = Conversation((Turn("user", (Text("Hi"),)),), thinking=Thinking("low"))
    translated = msgspec.structs.replace(call(), members=CODEC.encode_request(asked), translated=True)
    old = json.loads(BACKEND.prepare(translated, "claude-3-7-sonnet@20250219", TOKEN).body)
    assert old["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    new = json.loads(BACKEND.prepare(translated, "claude-sonnet-5", TOKEN).body)
    assert (new["thinking"], new["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})


def test_a_translated_call_does_not_ask_for_sampling_that_its_model_refuses() -> None:
    asked = msgspec.structs.replace(call(), members={"messages": [], "temperature": 0.2}, translated=True)
    assert "temperature" not in json.loads(BACKEND.prepare(asked, "claude-sonnet-5", TOKEN).body)
    assert "temperature" in json.loads(BACKEND.prepare(asked, "claude-sonnet-4-6", TOKEN).body)


def test_googles_and_anthropics_errors_are_read() -> None:
    google = {"error": {"code": 401, "message": "Expired.", "status": "UNAUTHENTICATED"}}
    assert type(BACKEND.classify(401, [], json.dumps(google).encode())) is Refused
    own = {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}
    assert type(BACKEND.classify(404, [], json.dumps(own).encode())) is UnknownModel


VERTEX = [one for one in load("anthropic.messages") if one.provider == "vertex"]


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(VERTEX))
def test_a_recorded_request_is_written_as_googles_client_wrote_it(recording: Recording) -> None:
    asked = {k: v for k, v in (recording.request or {}).items() if k != "anthropic_version"}
    request = BACKEND.prepare(call(stream=recording.is_stream, body=asked), "m", TOKEN)
    written = json.loads(request.body)
    assert written.pop("stream") is recording.is_stream
    assert written == {k: v for k, v in (recording.request or {}).items() if k != "stream"}
