"""Nothing of a request is hidden from the search for sensitive data by how it is written."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest

from gateway.exchange import Call, Caller, Envelope, FormField
from gateway.formats.envelope import decode_members
from gateway.routing.signals.text import text_of

SECRET = "alice@example.com"
ESCAPED = SECRET.replace("@", "\\u0040")
CODED = base64.b64encode(f"name,mail\nAlice,{SECRET}\n".encode()).decode()


def call(body: bytes, form: tuple[FormField, ...] = ()) -> Call:
    return Call("chat", Caller("t", "k"), Envelope("m"), decode_members(body), {}, form)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"messages":[{{"role":"user","content":"to {SECRET}"}}]}}',
        f'{{"messages":[{{"role":"user","content":"to {ESCAPED}"}}]}}',
        f'{{"system":[{{"type":"text","text":"to {ESCAPED}"}}]}}',
        f'{{"tools":[{{"description":"\\n{SECRET}"}}]}}',
        f'{{"messages":[{{"content":[{{"type":"tool_result","content":"{ESCAPED}"}}]}}]}}',
        json.dumps({"messages": [{"tool_calls": [{"function": {"arguments": f'{{"a":"{ESCAPED}"}}'}}]}]}),
        json.dumps({"input": [{"type": "function_call", "arguments": json.dumps({"to": SECRET})}]}),
        json.dumps({"messages": [{"content": [{"input": {SECRET: 1}}]}]}),
        json.dumps({"unheard_of": {"deep": [[SECRET]]}}),
        json.dumps({"contents": [{"parts": [{"inlineData": {"mimeType": "text/csv", "data": CODED}}]}]}),
        json.dumps({"messages": [{"content": [{"file": {"file_data": f"data:text/csv;base64,{CODED}"}}]}]}),
        json.dumps({"messages": [{"content": [{"source": {"type": "text", "data": SECRET}}]}]}),
    ],
)
def test_text_is_found_wherever_it_stands_and_however_it_is_written(body):
    assert SECRET.encode() in text_of(call(body.encode()))


def test_images_are_not_decoded_into_text():
    image = base64.b64encode(bytes(range(256)) * 4).decode()
    body = json.dumps({"messages": [{"content": [{"image_url": {"url": f"data:image/png;base64,{image}"}}]}]})
    assert text_of(call(body.encode())) == json.dumps(json.loads(body)["messages"]).encode()


def test_the_texts_of_a_form_count_and_its_pictures_do_not():
    form = (FormField("prompt", b"", SECRET.encode()), FormField("image", b"", b"\x89PNG\r\n\x00\xff"))
    assert text_of(call(b'{"model":"m"}', form)) == SECRET.encode()


def test_a_cut_inside_a_character_does_not_make_a_text_something_else():
    text = "ä" * 1000
    form = (FormField("prompt", b"", b"x" + text.encode()),)
    assert text_of(call(b"{}", form)).decode() == "x" + text


def test_values_of_a_translated_call_are_searched_too():
    translated = Call(
        "chat", Caller("t", "k"), Envelope("m"), {"messages": [{"content": SECRET}]}, {}, translated=True
    )
    assert SECRET.encode() in text_of(translated)


def test_json_that_is_too_deep_to_decode_is_searched_as_it_stands():
    deep = b"[" * 5000 + f'"{ESCAPED}"'.encode() + b"]" * 5000
    members = {"messages": msgspec.Raw(deep)}
    assert SECRET.encode() in text_of(Call("chat", Caller("t", "k"), Envelope("m"), members, {}))
