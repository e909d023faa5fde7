"""What differs between hosts is data."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest
from unit.stand_ins import call

from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from gateway.exchange import Credential
from gateway.formats.http.multipart import decode_form

NO_KEY = Credential("b#1", "")


def test_a_host_that_mistreats_the_question_is_not_asked_for_usage() -> None:
    host = OpenAICompatible("b", Host("http://h", ask_usage=False))
    assert "stream_options" not in json.loads(host.prepare(call(stream=True), "m", NO_KEY).body)


def test_a_host_that_is_not_asked_still_hears_what_the_client_asked() -> None:
    host = OpenAICompatible("b", Host("http://h", ask_usage=False))
    asked = call(stream=True, stream_options={"include_usage": True})
    assert json.loads(host.prepare(asked, "m", NO_KEY).body)["stream_options"] == {"include_usage": True}


def test_header_lines_of_the_configuration_are_sent() -> None:
    host = OpenAICompatible("b", Host("http://h", headers={"x-team": "ml", "user-agent": "acme"}))
    headers = host.prepare(call(), "m", NO_KEY).headers
    assert (headers["x-team"], headers["user-agent"]) == ("ml", "acme")


def test_a_call_does_not_leave_its_headers_to_the_next() -> None:
    host = OpenAICompatible("b", Host("http://h"))
    host.prepare(call(headers={"openai-beta": "x"}), "m", Credential("b#1", "secret"))
    assert {"openai-beta", "authorization"}.isdisjoint(host.prepare(call(), "m", NO_KEY).headers)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_translated_limit_goes_by_the_hosts_name_and_a_clients_own_as_it_is(name: Any) -> None:
    host = OpenAICompatible("b", Host("http://h", output_limit=name))
    asked = call(max_completion_tokens=7)
    ours = json.loads(host.prepare(msgspec.structs.replace(asked, translated=True), "m", NO_KEY).body)
    assert {word: ours[word] for word in ours if word.startswith("max_")} == {name: 7}
    assert json.loads(host.prepare(asked, "m", NO_KEY).body)["max_completion_tokens"] == 7


def test_formats_are_the_hosts() -> None:
    assert OpenAICompatible("b", Host("http://h", ("chat", "responses"))).speaks("m") == ("chat", "responses")


def test_a_form_goes_on_with_the_targets_model_and_nothing_else_changed() -> None:
    asked = httpx.Request(
        "POST", "http://g", files={"file": ("a.wav", b"\r\n--RIFF", "audio/wav")}, data={"model": "mine"}
    )
    form = decode_form(asked.read(), asked.headers["content-type"])
    headers = {"content-type": asked.headers["content-type"]}
    sent = msgspec.structs.replace(call("transcriptions", headers=headers), form=form)
    request = OpenAICompatible("b", Host("http://h", ("transcriptions",))).prepare(sent, "whisper-1", NO_KEY)
    assert request.url == "http://h/audio/transcriptions"
    again = decode_form(request.body, request.headers["content-type"])
    assert {field.name: field.content for field in again} == {"file": b"\r\n--RIFF", "model": b"whisper-1"}
    assert [field.head for field in again if field.name == "file"] == [
        field.head for field in form if field.name == "file"
    ]
