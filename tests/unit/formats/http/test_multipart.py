"""Forms as clients write them, as nobody should, and written again."""

from __future__ import annotations

import email.parser
import email.policy
import time
from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.exchange import FormField
from gateway.formats.http.multipart import boundary_of, decode_form, encode_form, form_members

TYPE = "multipart/form-data; boundary=b"


def part(name: str, content: bytes, more: str = "", lines: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{more}\r\n{lines}\r\n'
    return b"--b\r\n" + head.encode() + content + b"\r\n"


END = b"--b--\r\n"
MODEL = part("model", b"whisper-1")
SOUND = part("file", b"\x00\r\n--\xff\r\n\r\n", '; filename="a.wav"', "Content-Type: audio/wav\r\n")


def contents(fields: tuple[FormField, ...]) -> list[tuple[str, bytes]]:
    return [(field.name, field.content) for field in fields]


@pytest.mark.parametrize("content_type", [TYPE, 'Multipart/Form-Data; charset=utf-8; BOUNDARY="b" ; x=1'])
@pytest.mark.parametrize("before", [b"", b"\r\n", b"a preamble\r\n"])
@pytest.mark.parametrize("after", [b"--b--", END, b"--b--\r\nepilogue\r\n--b\r\n"])
def test_a_form_is_split_into_its_fields(content_type: str, before: bytes, after: bytes) -> None:
    assert boundary_of(content_type) == "b"
    fields = decode_form(before + MODEL + SOUND + after, content_type)
    assert contents(fields) == [("model", b"whisper-1"), ("file", b"\x00\r\n--\xff\r\n\r\n")]
    assert fields[1].head == (
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'
    )


def test_an_empty_form_has_no_fields() -> None:
    assert decode_form(b"--b--", TYPE) == ()
    assert encode_form((), "b", {}) == END


@pytest.mark.parametrize("content", [b"", b"\r\n", b"x--b", b"-", b"\r\n--", b"\r", b"a\n--b\n"])
def test_a_content_may_look_like_nearly_anything(content: bytes) -> None:
    assert contents(decode_form(part("x", content) + END, TYPE)) == [("x", content)]


def test_a_field_may_end_with_its_head() -> None:
    head = b'content-disposition: form-data; name="x"'
    assert decode_form(b"--b\r\n" + head + b"\r\n\r\n--b--", TYPE) == (FormField("x", head, b""),)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="x"', "x"),
        ("form-data;name=x", "x"),
        ('FORM-DATA; Name="x"; filename="C:\\dir\\a.wav"', "x"),
        ('form-data; filename="; name=y"; name="x"', "x"),
        ("form-data; name=\"x\"; filename*=UTF-8''%e2%82%ac.wav;", "x"),
        ('form-data; name="timestamp_granularities[]"', "timestamp_granularities[]"),
        ('form-data; name="Grüße %22"', "Grüße %22"),
    ],
)
def test_a_name_is_read_as_clients_write_it(disposition: str, name: str) -> None:
    body = f"--b\r\nContent-Disposition: {disposition}\r\n\r\n1\r\n--b--".encode()
    assert contents(decode_form(body, TYPE)) == [(name, b"1")]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "Content-Type: text/plain",
        "Content-Disposition: form-data",
        'Content-Disposition: attachment; name="x"',
        'Content-Disposition: form-data; name=""',
        'Content-Disposition: form-data; name="model "',
        'Content-Disposition: form-data; name=" model"',
        'Content-Disposition: form-data; name="x"; name="model"',
        "Content-Disposition: form-data; name=\"x\"; name*=UTF-8''model",
        "Content-Disposition: form-data; name*=UTF-8''model",
        'Content-Disposition: form-data; name="\\model"',
        'Content-Disposition: form-data; name="x"; filename="\\"; name="model"',
        'Content-Disposition: form-data; name="x" name="model"',
        'Content-Disposition: form-data; name="x',
        'Content-Disposition: form-data; ü="; name=model"',
        'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="x"\nContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="x"\rContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data;\r\n name="x"',
        'Content-Disposition : form-data; name="model"\r\nContent-Disposition: form-data; name="x"',
        'Content-Disposition: form-data; name="mo\x00del"',
        'no colon\r\nContent-Disposition: form-data; name="x"',
        'Content-Disposition: form-data; name="x"\r\nX: ' + "y" * 20_000,
    ],
)
def test_a_field_whose_name_could_be_read_in_two_ways_is_refused(head: str) -> None:
    with pytest.raises(BadRequest, match="field of the form") as caught:
        decode_form(b"--b\r\n" + head.encode() + b"\r\n\r\n1\r\n--b--", TYPE)
    assert caught.value.code == "invalid_form"


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="b "',
        'multipart/form-data; boundary="b\u00fc"',
        "multipart/form-data; boundary=b;boundary=c",
        "multipart/form-data; boundary=b; boundary*0=c",
        "multipart/form-data; boundary*=UTF-8''b",
        "multipart/form-data; boundary=b, multipart/form-data",
        "multipart/mixed; boundary=b",
        "",
    ],
)
def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest):
        decode_form(MODEL + END, content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"model=whisper-1",
        b"--b",
        b"--b\r\n",
        MODEL,
        MODEL[:-2] + b"--b--",
        MODEL + b"--b-",
        MODEL + b"--bb--\r\n",
        b"--b junk\r\n" + MODEL[5:] + END,
        MODEL.replace(b"\r\n", b"\n") + b"--b--\n",
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--b--',
        b"--b\r\n--b--",
        part("x", b"--b") + END,
    ],
)
def test_broken_framing_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_form(body, TYPE)
    assert caught.value.code == "invalid_form"


def test_a_form_has_a_limit_of_fields() -> None:
    assert len(decode_form(part("x", b"") * 1000 + END, TYPE)) == 1000
    with pytest.raises(BadRequest, match="more than 1000 fields"):
        decode_form(part("x", b"") * 1001 + END, TYPE)


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n--" * 3_000_000,
        b"--b\r\n" + b"\r\n--" * 3_000_000,
        b"--b" + b" " * 12_000_000,
        b'--b\r\nContent-Disposition: form-data; name="' + b"\\" * 12_000_000,
        (b"--b\r\nContent-Disposition: form-data" + b"; a=b" * 3000 + b'; name="x\r\n\r\n') * 800,
    ],
)
def test_reading_is_linear_in_the_length(body: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(BadRequest):
        decode_form(body, TYPE)
    assert time.process_time() - started_s < 3


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        (part("model", b"a"), {"model": b'"a"'}),
        (part("model", b'a"\xc3\xbc') + part("file", b"1"), {"model": '"a\\"ü"'.encode()}),
        (part("model", b"a") + part("x", b"1") + part("model", b"b"), {"model": b'"b"'}),
        (part("stream", b"true"), {"stream": b"true"}),
        (part("stream", b" TRUE\n"), {"stream": b"true"}),
        (part("stream", b"1"), {"stream": b"true"}),
        (part("stream", b"False"), {"stream": b"false"}),
        (part("stream", b"0"), {"stream": b"false"}),
        (part("prompt", b"model"), {}),
    ],
)
def test_model_and_stream_are_members_for_the_decisions(fields: bytes, members: dict[str, bytes]) -> None:
    found = form_members(decode_form(fields + END, TYPE))
    assert {name: bytes(raw) for name, raw in found.items()} == members


@pytest.mark.parametrize(("name", "content"), [("stream", b"yes"), ("stream", b""), ("model", b"\xff")])
def test_a_member_that_is_not_what_it_should_be_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        form_members(decode_form(part(name, content) + END, TYPE))
    assert caught.value.param == name


def test_unchanged_fields_are_written_byte_for_byte() -> None:
    body = MODEL + SOUND + part("x", b"1") + part("x", b"2") + END
    assert encode_form(decode_form(body, TYPE), "b", {}) == body


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (MODEL + SOUND, part("model", b"gpt") + SOUND),
        (SOUND + MODEL, SOUND + part("model", b"gpt")),
        (MODEL + SOUND + MODEL, part("model", b"gpt") + SOUND),
        (SOUND, SOUND + part("model", b"gpt")),
        (
            part("model", b"a", '; filename="b"', "Content-Type: x/y\r\n") + SOUND,
            part("model", b"gpt") + SOUND,
        ),
        (b"", part("model", b"gpt")),
    ],
)
def test_a_changed_field_is_written_once(given: bytes, written: bytes) -> None:
    assert encode_form(decode_form(given + END, TYPE), "b", {"model": "gpt"}) == written + END


@pytest.mark.parametrize("content", [b"--new\r\n", b"1\r\n--new--", b"a--newer"])
def test_a_field_that_contains_the_new_boundary_is_refused(content: bytes) -> None:
    fields = decode_form(part("x", content) + END, TYPE)
    with pytest.raises(BadRequest):
        encode_form(fields, "new", {})
    assert decode_form(encode_form(fields, "other", {}), "multipart/form-data; boundary=other") == fields


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\\x85\u2028\u2029'), min_size=1
).filter(lambda name: name == name.strip())
FORMS = st.lists(
    st.tuples(NAMES, st.one_of(st.binary(), st.sampled_from((b"\r\n--b", b"--b--", b"")))), min_size=1
)


MAIL_TEXTS = st.text("xyz\n-b", max_size=8).map(lambda text: text.rstrip("\n"))
"""Mail changes line ends; forms do not."""


def read_by_python(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Read a form with another parser: that of Python's mail library."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    found = []
    for each in message.iter_parts():
        content = each.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((str(each.get_param("name", header="content-disposition")), content))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), MAIL_TEXTS)))
def test_another_parser_reads_the_same_of_what_is_written(form: list[tuple[str, str]]) -> None:
    fields = tuple(
        FormField(name, f'Content-Disposition: form-data; name="{name}"'.encode(), content.encode())
        for name, content in form
    )
    body = encode_form(fields, "boundary", {"model": "gpt"})
    mine = contents(decode_form(body, "multipart/form-data; boundary=boundary"))
    assert mine == [*((name, content.encode()) for name, content in form), ("model", b"gpt")]
    assert read_by_python(body, "multipart/form-data; boundary=boundary") == mine


@settings(max_examples=150, deadline=None)
@given(FORMS)
def test_what_httpx_writes_is_read(form: list[tuple[str, bytes]]) -> None:
    request = httpx.Request("POST", "http://gateway", files=[(name, ("f", data)) for name, data in form])
    content_type = request.headers["content-type"]
    fields = decode_form(request.read(), content_type)
    assert contents(fields) == form
    again = encode_form(fields, "new-boundary", {})
    assert decode_form(again, "multipart/form-data; boundary=new-boundary") == fields


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                (b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b": ", b";", b'"', b"form-data", b"name=")
            ),
            st.sampled_from((b"Content-Disposition: form-data; name=x", MODEL, SOUND, END)),
            st.binary(max_size=4),
        )
    ).map(b"".join)
)
def test_any_body_is_a_form_that_can_be_written_again_or_a_bad_request(body: bytes) -> None:
    try:
        fields = decode_form(body, TYPE)
    except BadRequest:
        return
    assert decode_form(encode_form(fields, "other", {}), "multipart/form-data; boundary=other") == fields


def sdk_form(**arguments: Any) -> tuple[bytes, str]:
    """The form that OpenAI's SDK writes for a transcription."""
    seen: list[Mapping[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append({"body": request.read(), "type": request.headers["content-type"]})
        return httpx2.Response(200, json={"text": ""})

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
    ):
        client.audio.transcriptions.create(**arguments)
    return seen[0]["body"], seen[0]["type"]


@pytest.mark.parametrize(
    "name", ["a.wav", 'quo"te.wav', "Grüße.wav", "C:\\dir\\a.wav", "semi;name=model.wav"]
)
def test_what_the_openai_sdk_writes_is_read_and_written_again(name: str) -> None:
    sound = bytes(range(256)) * 10
    body, content_type = sdk_form(
        file=(name, sound), model="whisper-1", timestamp_granularities=["word", "segment"]
    )
    fields = decode_form(body, content_type)
    found = contents(fields)
    assert ("file", sound) in found
    assert [data for each, data in found if each == "timestamp_granularities[]"] == [b"word", b"segment"]
    assert bytes(form_members(fields)["model"]) == b'"whisper-1"'
    changed = encode_form(fields, "new", {"model": "gpt-4o-transcribe"})
    assert contents(decode_form(changed, "multipart/form-data; boundary=new")) == [
        (each, b"gpt-4o-transcribe" if each == "model" else data) for each, data in found
    ]
