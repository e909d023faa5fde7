"""Where a request is at fault, in the words of the API that its client speaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import BadRequest, GatewayError
from gateway.exchange import Call, Caller, Envelope, Format
from gateway.formats.envelope import decode_members
from gateway.formats.passage.seam import Terms
from gateway.formats.passage.translated import translated

USER = {"role": "user", "content": "Hi"}


def fault(format_: Format, body: dict[str, Any], wire: Format = "cohere") -> GatewayError:
    """What a client is told of its body."""
    call = Call(format_, Caller("t", "k"), Envelope("m"), decode_members(json.dumps(body).encode()), {})
    with pytest.raises(GatewayError) as raised:
        translated(call, wire, "up", Terms("call_1", 0))
    return raised.value


@pytest.mark.parametrize(
    ("format_", "body", "param"),
    [
        ("chat", {"messages": []}, "messages"),
        ("messages", {"messages": [], "max_tokens": 9}, "messages"),
        ("responses", {"input": []}, "input"),
        ("gemini", {"contents": []}, "contents"),
    ],
)
def test_a_conversation_without_turns_is_told_by_the_clients_own_word(
    format_: Format, body: dict[str, Any], param: str
) -> None:
    error = fault(format_, body)
    assert error.param == param
    assert "no message to answer" in error.message


SOUND = {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}
DOCUMENT = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
FILE = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
SPOKEN = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


@pytest.mark.parametrize(
    ("format_", "body", "param"),
    [
        ("chat", {"messages": [USER, {"role": "user", "content": [SPOKEN]}]}, "messages[1].content[0]"),
        (
            "messages",
            {"system": "Be brief.", "messages": [{"role": "user", "content": [DOCUMENT]}], "max_tokens": 9},
            "messages",
        ),
        (
            "responses",
            {"instructions": "Be brief.", "input": [{"role": "user", "content": [FILE]}]},
            "input",
        ),
        ("gemini", {"contents": [{"role": "user", "parts": [SOUND]}]}, "contents"),
    ],
)
def test_what_cannot_be_translated_is_placed_where_the_client_wrote_it(
    format_: Format, body: dict[str, Any], param: str
) -> None:
    assert fault(format_, body).param == param


@pytest.mark.parametrize(
    ("format_", "tool", "param"),
    [
        ("chat", {"name": "f"}, "tools[0].type"),
        ("chat", {"type": "function"}, "tools[0].function"),
        ("messages", {"description": "x"}, "tools[0].name"),
    ],
)
def test_a_tool_that_says_too_little_of_itself_is_told_what_it_lacks(
    format_: Format, tool: dict[str, Any], param: str
) -> None:
    error = fault(format_, {"messages": [USER], "max_tokens": 9, "tools": [tool]})
    assert isinstance(error, BadRequest)
    assert (error.param, error.message) == (param, f"{param} is missing")
