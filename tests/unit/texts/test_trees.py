"""JSON stays JSON, answers stay as they are, and errors lose what nobody may read."""

from __future__ import annotations

import json
import time

import pytest

from gateway.texts.redactor import Redactor
from gateway.texts.trees import ERROR, clean_body, clean_errors, clean_tree

CLEAN = Redactor().clean
KEY = "sk-proj-Zq81mNpo0cXv7TbU2yRk"


def test_values_and_names_of_members_are_cleaned_whatever_they_are() -> None:
    value = {KEY: [KEY, {"card": 4111111111111111}], "n": 5, "none": None, "time": 1732190000123, "f": 0.5}
    assert clean_tree(value, CLEAN) == {
        "[secret]": ["[secret]", {"card": "[card]"}],
        "n": 5,
        "none": None,
        "time": 1732190000123,
        "f": 0.5,
    }


def test_what_a_member_is_called_says_what_it_is() -> None:
    value = {"password": "x1y2z3", "api_key": "a1b2c3d4", "model": "a1b2c3d4"}
    assert clean_tree(value, CLEAN) == {"password": "[secret]", "api_key": "[secret]", "model": "a1b2c3d4"}
    worded = {"password": "correcthorsebattery", "client_secret": "abcdefghijklmnop"}
    assert clean_tree(worded, CLEAN) == dict.fromkeys(worded, "[secret]")


def test_what_is_said_of_a_secret_stays() -> None:
    value = {"password": "Password is too short", "secret": "required", "api_key": None}
    assert clean_tree(value, CLEAN) == value


@pytest.mark.parametrize(
    ("body", "cleaned"),
    [
        ({"error": {"message": f"no {KEY}"}}, {"error": {"message": "no [secret]"}}),
        ({"card": 4111111111111111}, {"card": "[card]"}),
        ({"quoted": json.dumps({"api_key": "a1b2c3d4"})}, {"quoted": '{"api_key": "[secret]"}'}),
    ],
)
def test_a_body_of_json_stays_json(body: object, cleaned: object) -> None:
    assert json.loads(clean_body(json.dumps(body).encode(), CLEAN)) == cleaned


@pytest.mark.parametrize(
    ("body", "cleaned"),
    [
        (b'{"m": "bob\\u0040example.com"}', b'{"m":"[email]"}'),
        (b'{"m": "postgres:\\/\\/a:b1c2@db"}', b'{"m":"postgres://[secret]@db"}'),
        (f"<p>{KEY}</p>".encode(), b"<p>[secret]</p>"),
        (b'{"m": "bob@example.com', b'{"m": "[email]'),
        (b"\xff bob@example.com", "\ufffd [email]".encode()),
    ],
)
def test_what_is_escaped_or_no_json_is_cleaned_as_well(body: bytes, cleaned: bytes) -> None:
    assert clean_body(body, CLEAN) == cleaned


@pytest.mark.parametrize(
    "body",
    [b'{"error":  {"message":"\\u00e9 no"}}', b"", b"plain", b'{"big": 123456789012345678901234567890}'],
)
def test_a_body_with_nothing_in_it_is_the_very_same(body: bytes) -> None:
    assert clean_body(body, CLEAN) is body


def test_a_body_nested_too_deep_to_be_read_is_cleaned_as_text() -> None:
    body = b"[" * 100_000 + b'"bob@example.com"' + b"]" * 100_000
    assert b"[email]" in clean_body(body, CLEAN)


@pytest.mark.parametrize(
    ("events", "cleaned"),
    [
        (
            f'data: {{"error": {{"message": "no {KEY}"}}}}\n\n',
            'data: {"error":{"message":"no [secret]"}}\n\n',
        ),
        (
            f'event: error\r\ndata: {{"type":"error","message":"{KEY}"}}\r\n\r\n',
            'event: error\r\ndata: {"type":"error","message":"[secret]"}\r\n\r\n',
        ),
        (
            f'data: {{"object":"error","message":"{KEY}"}}\n\n',
            'data: {"object":"error","message":"[secret]"}\n\n',
        ),
        (
            f'data: {{"response":{{"error":{{"code":"{KEY}"}},"id":"{KEY}"}}}}\n\n',
            f'data: {{"response":{{"error":{{"code":"[secret]"}},"id":"{KEY}"}}}}\n\n',
        ),
        (f'{{"error":"no {KEY}"}}\n', '{"error":"no [secret]"}\n'),
        (
            f'event: error\ndata: {{"error": {{\ndata:   "message": "no {KEY}"}}}}\n\n',
            'event: error\ndata: {"error":{"message":"no [secret]"}}\n\n',
        ),
        (
            f'id: 7\r\ndata: {{"error":\r\ndata: "no {KEY}"\r\ndata: }}\r\nretry: 5\r\n\r\n',
            'id: 7\r\ndata: {"error":"no [secret]"}\r\nretry: 5\r\n\r\n',
        ),
        (
            f'event: error\ndata: {{"message":"no {KEY}","code":400}}\n\n',
            'event: error\ndata: {"message":"no [secret]","code":400}\n\n',
        ),
        (
            f'data: {{"message":"no {KEY}"}}\nevent:error\n\n',
            'data: {"message":"no [secret]"}\nevent:error\n\n',
        ),
        (
            f"event: error\rdata: no {KEY}\rdata: at all\r\r",
            "event: error\rdata: no [secret]\rdata: at all\r\r",
        ),
        (
            f'data: {{"id":"{KEY}"}}\ndata: {{"error":"no {KEY}"}}\n\n',
            f'data: {{"id":"{KEY}"}}\ndata: {{"error":"no [secret]"}}\n\n',
        ),
    ],
)
def test_an_error_in_a_stream_is_cleaned(events: str, cleaned: str) -> None:
    said = f'data: {{"choices":[{{"delta":{{"content":"mail bob@example.com of {KEY}"}}}}]}}\n\n'
    assert clean_errors((said + events).encode(), CLEAN).decode() == said + cleaned


@pytest.mark.parametrize(
    "events",
    [
        f'data: {{"content":"{KEY}"}}\n\n',
        f'data: {{"error":null,"content":"{KEY}"}}\n\n',
        f'data: {{"content":"an \\"error\\": {KEY}"}}\n\n',
        f'data: {{"name":"error","content":"{KEY}"}}\n\n',
        f'"error" {KEY}',
        f'data: {{"error": {KEY}',
        f'event: errors\ndata: {{"message":"{KEY}"}}\n\n',
        f'event: error\ndata: {{"message":"no"}}\n\nevent: delta\ndata: {{"message":"{KEY}"}}\n\n',
        f'data: {{"content":"event: error {KEY}"}}\n\n',
        'event: error\ndata: {"message":\ndata:  "no"}\n\n',
    ],
)
def test_what_is_no_error_passes_as_it_is(events: str) -> None:
    assert clean_errors(events.encode(), CLEAN) == events.encode()


@pytest.mark.parametrize("events", ['data: {"error":"no"}\n\n', 'event: error\ndata: {"message":"no"}\n\n'])
def test_all_events_that_are_changed_have_what_is_looked_for_first(events: str) -> None:
    assert ERROR in events.encode()
    assert clean_errors(events.encode(), lambda text: f"<{text}>") != events.encode()


@pytest.mark.parametrize("unit", ["data: x\n", '"error"', "event: error\n", "\n", 'data: {"error":1}\n'])
def test_a_megabyte_of_events_takes_no_more_than_a_moment(unit: str) -> None:
    events = f"event: error\n{unit * ((1 << 20) // len(unit))}\n\n".encode()
    started_s = time.process_time()
    clean_errors(events, str)
    assert time.process_time() - started_s < 3


@pytest.mark.parametrize(
    ("body", "passes"),
    [(b'{"m": "nothing"}', 1), (b'{"m": "bob@example.com"}', 2), (b'{"m": "\\u00e9 nothing"}', 2)],
)
def test_a_body_is_looked_through_no_more_often_than_it_must_be(body: bytes, passes: int) -> None:
    seen = list[str]()

    def clean(text: str) -> str:
        seen.append(text)
        return CLEAN(text)

    clean_body(body, clean)
    whole = body.decode()
    assert seen.count(whole) == 1
    assert sum("bob" in text or "nothing" in text for text in seen) == passes


def test_what_only_the_text_of_a_body_shows_is_not_left_in_it() -> None:
    assert clean_body(b'{"m": "bob@example.com", "m": "\\u00e9"}', CLEAN) == '{"m":"é"}'.encode()
