"""What differs between hosts is data."""

from __future__ import annotations

import json

from unit.stand_ins import call

from backends.openai_compatible import Host, OpenAICompatible
from gateway.exchange import Credential

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


def test_formats_are_the_hosts() -> None:
    assert OpenAICompatible("b", Host("http://h", formats=frozenset({"chat"}))).formats == {"chat"}
