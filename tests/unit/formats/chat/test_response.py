"""Whole answers: checked, metered, renamed in place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import BadAnswer, Failed, Overloaded
from gateway.exchange import Usage
from gateway.formats.chat.response import decode_answer, rename_model

ANSWER = (
    b'{"id": "1", "model": "gpt-4o-2024", "choices": [{"message": {"content": "x"}}], '
    b'"usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
)


def answer(*choices: Any, **members: Any) -> bytes:
    return json.dumps({"choices": choices, **members}).encode()


def test_the_usage_of_an_answer() -> None:
    assert decode_answer(ANSWER)[:2] == (Usage(3, 2), False)


@pytest.mark.parametrize("members", [{}, {"usage": None}, {"usage": "many"}])
def test_an_answer_without_usage_is_an_answer(members: dict[str, Any]) -> None:
    assert decode_answer(answer({"text": "x"}, **members))[:2] == (None, False)


SAID: list[dict[str, Any]] = [
    {"message": {"content": "x"}},
    {"message": {"content": None, "refusal": "no"}},
    {"message": {"content": None, "tool_calls": [{"id": "c"}]}},
    {"message": {"content": "", "reasoning_content": "hm"}},
    {"message": {"content": None, "audio": {"data": "AA=="}}},
    {"text": "x", "finish_reason": "stop"},
    {"message": {"content": ""}, "finish_reason": "length"},
    {"message": {"content": None}, "finish_reason": "content_filter"},
    {"message": {"content": None}, "finish_reason": "tool_calls"},
]
UNSAID: list[dict[str, Any]] = [
    {
        "message": {"content": "", "refusal": None, "tool_calls": [], "annotations": []},
        "finish_reason": "stop",
    },
    {"message": {"role": "assistant", "content": None}, "finish_reason": "stop"},
    {"message": None, "finish_reason": None},
    {"text": "", "finish_reason": "eos"},
    {},
]


@pytest.mark.parametrize("choice", SAID)
def test_an_answer_that_says_something_is_not_empty(choice: dict[str, Any]) -> None:
    assert decode_answer(answer(choice))[:2] == (None, False)
    assert decode_answer(answer(*UNSAID, choice))[:2] == (None, False)


@pytest.mark.parametrize("choice", UNSAID)
def test_an_answer_that_only_came_to_its_end_is_empty(choice: dict[str, Any]) -> None:
    assert decode_answer(answer(choice))[:2] == (None, True)


@pytest.mark.parametrize("body", [b"{}", b'{"choices": []}', b'{"choices": null}', b' {"object": "list"} \n'])
def test_an_answer_needs_choices(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="has no choices"):
        decode_answer(body)


def test_an_error_under_a_good_status_is_told_as_one() -> None:
    with pytest.raises(Overloaded, match="busy"):
        decode_answer(b'{"error": {"message": "busy", "code": 503}}')
    with pytest.raises(Overloaded, match="busy"):
        decode_answer(b'{"object": "error", "message": "busy", "code": 503}')


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b" \n", "is empty"),
        (b"\n<!doctype html><html></html>", "HTML page"),
        (ANSWER[:-9], "not whole JSON"),
        (b'{"choices": {}}', "not what its format promises"),
    ],
)
def test_a_bad_answer_says_what_it_was(body: bytes, what: str) -> None:
    with pytest.raises(BadAnswer, match=what):
        decode_answer(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        ANSWER[:-1],
        ANSWER[:20],
        ANSWER + b"x",
        b"<html><body>502</body></html>",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": tru}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_whole_json_object_is_a_failed_upstream(body: bytes) -> None:
    with pytest.raises(Failed) as failure:
        decode_answer(body)
    assert (failure.value.code, failure.value.retry) == ("upstream_bad_answer", "other_target")


def test_only_the_models_value_changes() -> None:
    assert rename_model(ANSWER, "fast") == ANSWER.replace(b'"gpt-4o-2024"', b'"fast"')


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (b'{"model":"a"}', b'{"model":"n"}'),
        (b'{\n  "model" :\t"a" ,\n  "x": 1\n}\n', b'{\n  "model" :\t"n" ,\n  "x": 1\n}\n'),
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"n"}'),
        (
            b'{"model":"a","x":[{"model":"a"},{"model":"b"}]}',
            b'{"model":"n","x":[{"model":"a"},{"model":"b"}]}',
        ),
        (b'{"x":{"model":"b"},"model":"a"}', b'{"x":{"model":"b"},"model":"n"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"n"}'),
        (b'{"x":{"model":"a"},"mod\\u0065l":"a"}', b'{"x":{"model":"a"},"mod\\u0065l":"n"}'),
        (b'{"x":{"model":12},"mod\\u0065l":1}', b'{"x":{"model":12},"mod\\u0065l":"n"}'),
        (b'{"x\\"model":"a","mod\\u0065l":"a"}', b'{"x\\"model":"a","mod\\u0065l":"n"}'),
        (b'{"model":"a\\"b\\u00e9","x":1}', b'{"model":"n","x":1}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"n"}'),
        (b'{"x":["model","a"],"y":"model","model":"a"}', b'{"x":["model","a"],"y":"model","model":"n"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"a","model":"n"}'),
        (b'{"model":"a","model":"a"}', b'{"model":"a","model":"n"}'),
        (b'{"model":null}', b'{"model":"n"}'),
        (b'{"model":null,"x":{"model":null}}', b'{"model":"n","x":{"model":null}}'),
        (b'{"model": 5 ,"x":{"model": 5 }}', b'{"model": "n" ,"x":{"model": 5 }}'),
        (b'{"model":{"a":1},"x":{"model":{"a":1}}}', b'{"model":"n","x":{"model":{"a":1}}}'),
        (b'{"x":{"model":[]},"model":[]}', b'{"x":{"model":[]},"model":"n"}'),
        (b'{"model":"","x":1}', b'{"model":"n","x":1}'),
    ],
)
def test_the_top_level_model_is_found_among_its_doubles(body: bytes, renamed: bytes) -> None:
    assert rename_model(body, "n") == renamed


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"x":{"model":"a"}}',
        b'{"Model":"a"}',
        b'{"model":"n"}',
        b"[]",
        b"",
        b'{"model":"a"',
        b'{"x":"\\"model\\":1"}',
    ],
)
def test_where_there_is_nothing_to_rename_nothing_changes(body: bytes) -> None:
    assert rename_model(body, "n") == body


def test_a_name_is_written_as_json() -> None:
    assert json.loads(rename_model(ANSWER, 'a"b\\ü'))["model"] == 'a"b\\ü'
