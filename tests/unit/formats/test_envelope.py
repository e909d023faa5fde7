"""The few fields that decide, and the request written again from its own bytes."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.exchange import Envelope
from gateway.formats.envelope import decode_envelope, decode_members, encode_request


def envelope(body: bytes) -> Envelope:
    return decode_envelope(decode_members(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model": "a"',
        b'{"model": "a"} x',
        b'{"model": "a"}{}',
        b'{"a": tru}',
        b'{"a": NaN}',
        b'{"a": 01}',
        b"{'a': 1}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"[]",
        b'"text"',
        b"null",
        b"12",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_members(body)
    assert (refusal.value.status, refusal.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    "body", [b'{"a": "\xff"}', b'{"\xc3\x28": 1}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}']
)
def test_text_that_is_no_unicode_is_refused_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_members(body)


@pytest.mark.parametrize("brackets", [b"[]", (b'{"a":', b"}")])
def test_endless_nesting_is_refused(brackets: tuple[bytes, bytes] | bytes) -> None:
    begin, end = (b"[", b"]") if isinstance(brackets, bytes) else brackets
    inner = begin * 100_000 + (b"1" if begin != b"[" else b"") + end * 100_000
    with pytest.raises(BadRequest, match="nested too deeply"):
        decode_members(b'{"messages":' + inner + b"}")


def test_the_last_of_two_models_counts_and_only_it_is_sent() -> None:
    members = decode_members(b'{"model": "cheap", "a": 1, "model": "dear"}')
    assert decode_envelope(members).model == "dear"
    assert encode_request(members, "up", ask_usage=False) == b'{"model":"up","a":1}'


def test_an_escaped_name_is_the_same_name() -> None:
    members = decode_members(b'{"model": "cheap", "m\\u006fdel": "dear", "str\\u0065am": true}')
    assert decode_envelope(members) == Envelope("dear", stream=True)
    sent = encode_request(members, "up", ask_usage=False)
    assert sent.count(b"model") == 1
    assert json.loads(sent) == {"model": "up", "stream": True}


@pytest.mark.parametrize("model", [b"1", b"null", b"[]", b'{"a": 1}', b"true", b'"a'])
def test_a_model_that_is_no_text_is_named_as_the_fault(model: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_envelope({"model": msgspec.Raw(model)})
    assert (refusal.value.param, refusal.value.code) == ("model", "invalid_type")


@pytest.mark.parametrize("body", [b"{}", b'{"model": ""}', b'{"Model": "a"}'])
def test_a_missing_model_is_named_as_the_fault(body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        envelope(body)
    assert (refusal.value.param, refusal.value.code) == ("model", "missing_required_parameter")


def test_a_model_as_long_as_a_book_is_refused() -> None:
    assert envelope(json.dumps({"model": "ä" * 512}).encode()).model == "ä" * 512
    with pytest.raises(BadRequest, match="at most 512 characters") as refusal:
        envelope(json.dumps({"model": "a" * 513}).encode())
    assert refusal.value.param == "model"


@pytest.mark.parametrize(
    ("stream", "wanted"), [(b"true", True), (b"false", False), (b"null", False), (None, False)]
)
def test_stream_is_true_only_when_it_says_so(stream: bytes | None, wanted: bool) -> None:
    member = b"" if stream is None else b', "stream": ' + stream
    assert envelope(b'{"model": "a"' + member + b"}").stream is wanted


@pytest.mark.parametrize("stream", [b"1", b'"true"', b"[]", b"{}", b"0.0"])
def test_a_stream_that_is_no_flag_is_named_as_the_fault(stream: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        envelope(b'{"model": "a", "stream": ' + stream + b"}")
    assert (refusal.value.param, refusal.value.code) == ("stream", "invalid_type")


@pytest.mark.parametrize(
    ("options", "wants"),
    [
        (b'{"include_usage": true}', True),
        (b'{"include_usage": false}', False),
        (b'{"include_usage": null}', False),
        (b'{"include_obfuscation": false}', False),
        (b"{}", False),
        (b"null", False),
    ],
)
def test_usage_is_wanted_only_when_the_client_says_so(options: bytes, wants: bool) -> None:
    assert envelope(b'{"model": "a", "stream_options": ' + options + b"}").wants_usage is wants


@pytest.mark.parametrize(
    "options", [b"1", b"[]", b'"x"', b'{"include_usage": 1}', b'{"include_usage": "yes"}']
)
def test_stream_options_of_another_type_are_named_as_the_fault(options: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        envelope(b'{"model": "a", "stream_options": ' + options + b"}")
    assert refusal.value.param == "stream_options"


def test_the_values_inside_reach_the_upstream_byte_for_byte() -> None:
    values = {
        "seed": b"12345678901234567890123456789",
        "temperature": b"1.0000000000000000000001e-07",
        "messages": b'[ {"role" : "user",\n\t"content": "\\u00e9\\/ \xc3\xa9 \\ud83d\\ude00"} ]',
        "metadata": b'{ "a":1,"a": 2 }',
        "unknown_field": b"null",
    }
    body = (
        b'{ "model" : "x" ,' + b",".join(b'"%b" :  %b ' % (k.encode(), v) for k, v in values.items()) + b"}"
    )
    sent = encode_request(decode_members(body), "gpt", ask_usage=False)
    again = decode_members(sent)
    assert {name: bytes(raw) for name, raw in again.items() if name != "model"} == values
    assert bytes(again["model"]) == b'"gpt"'


def test_an_upstream_model_is_written_as_json() -> None:
    sent = encode_request(decode_members(b'{"model": "a"}'), 'a"b\\c\nü', ask_usage=False)
    assert json.loads(sent) == {"model": 'a"b\\c\nü'}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ("null", {"include_usage": True}),
        ("{}", {"include_usage": True}),
        ('{"include_usage": false}', {"include_usage": True}),
        (
            '{"include_obfuscation": false, "include_usage": null}',
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
def test_asking_for_usage_keeps_the_clients_other_options(options: str | None, sent: dict[str, bool]) -> None:
    body = '{"model": "a"}' if options is None else f'{{"model": "a", "stream_options": {options}}}'
    written = json.loads(encode_request(decode_members(body.encode()), "a", ask_usage=True))
    assert written["stream_options"] == sent


def test_without_asking_the_clients_options_stay_as_they_are() -> None:
    members = decode_members(b'{"model": "a", "stream_options": { "include_usage":false }}')
    assert b'{ "include_usage":false }' in encode_request(members, "a", ask_usage=False)
