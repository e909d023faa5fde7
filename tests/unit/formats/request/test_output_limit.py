"""Amounts that a call asks for: read, refused where they are absurd, capped, in every format."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from unit.stand_ins import CALLER

from gateway.errors import BadRequest
from gateway.exchange import Call, Envelope, Format
from gateway.formats.envelope import decode_members
from gateway.formats.request.output_limit import (
    MOST_MEMBERS,
    check_amounts,
    check_crowd,
    choices_of,
    output_limit_of,
    with_output_limit,
)

LIMITS: list[tuple[Format, tuple[str, ...]]] = [
    ("chat", ("max_completion_tokens",)),
    ("chat", ("max_tokens",)),
    ("completions", ("max_tokens",)),
    ("responses", ("max_output_tokens",)),
    ("messages", ("max_tokens",)),
    ("gemini", ("generationConfig", "maxOutputTokens")),
    ("gemini", ("generation_config", "max_output_tokens")),
    ("converse", ("inferenceConfig", "maxTokens")),
    ("cohere", ("max_tokens",)),
    ("ollama", ("options", "num_predict")),
]
CHOICES: list[tuple[Format, tuple[str, ...]]] = [
    ("chat", ("n",)),
    ("completions", ("n",)),
    ("completions", ("best_of",)),
    ("gemini", ("generationConfig", "candidateCount")),
    ("gemini", ("generation_config", "candidate_count")),
    ("images", ("n",)),
    ("image_edits", ("n",)),
]
FORMATS: list[Format] = list(dict.fromkeys(format_ for format_, _ in LIMITS))


def call(format_: Format, body: dict[str, Any] | bytes) -> Call:
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(format_, CALLER, Envelope("m"), decode_members(written), {})


def asking(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A body with a value in a place, beside what else may stand there."""
    if len(place) == 1:
        return {"model": "m", place[0]: value}
    return {"model": "m", place[0]: {"temperature": 0.5, place[1]: value}}


def sent(capped: Call) -> Any:
    return json.loads(msgspec.json.encode(capped.members))


@pytest.mark.parametrize(("format_", "place"), LIMITS)
@pytest.mark.parametrize("value", [1, 4096, 10_000_000, None])
def test_a_limit_that_a_model_might_have_passes(
    format_: Format, place: tuple[str, ...], value: int | None
) -> None:
    asked = call(format_, asking(place, value))
    check_amounts(asked)
    assert sent(asked) == asking(place, value)


@pytest.mark.parametrize(("format_", "place"), LIMITS)
@pytest.mark.parametrize(
    ("value", "code", "allowed"),
    [
        (-5, "integer_below_min_value", "at least"),
        (10_000_001, "integer_above_max_value", "at most 10000000"),
        (10**30, "integer_above_max_value", "at most 10000000"),
        (1.5, "invalid_type", "an integer"),
        ("100", "invalid_type", "an integer"),
        (True, "invalid_type", "an integer"),
        ([1], "invalid_type", "an integer"),
    ],
)
def test_an_absurd_limit_is_refused_by_name_with_what_is_allowed(
    format_: Format, place: tuple[str, ...], value: Any, code: str, allowed: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_amounts(call(format_, asking(place, value)))
    name = ".".join(place)
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, name, code)
    assert refusal.value.message.startswith(f"{name} must be {allowed}")
    assert json.dumps(value) in refusal.value.message


@pytest.mark.parametrize(("format_", "place"), LIMITS)
def test_no_output_at_all_can_be_asked_for_only_to_have_a_prompt_scored(
    format_: Format, place: tuple[str, ...]
) -> None:
    asked = call(format_, asking(place, 0))
    if format_ == "completions":
        check_amounts(asked)
        return
    with pytest.raises(BadRequest, match="at least 1; the request has 0"):
        check_amounts(asked)


@pytest.mark.parametrize("word", [-1, -2])
def test_an_amount_that_means_no_limit_passes_where_it_means_that(word: int) -> None:
    check_amounts(call("ollama", {"options": {"num_predict": word}}))
    with pytest.raises(BadRequest, match=r"options\.num_predict must be at least 1"):
        check_amounts(call("ollama", {"options": {"num_predict": -3}}))


@pytest.mark.parametrize(("format_", "place"), LIMITS)
@pytest.mark.parametrize("value", [1, 4096, None])
def test_the_limit_that_is_asked_for_is_read(
    format_: Format, place: tuple[str, ...], value: int | None
) -> None:
    assert output_limit_of(call(format_, asking(place, value))) == value


def test_of_two_limits_the_higher_one_counts() -> None:
    assert output_limit_of(call("chat", {"max_completion_tokens": 5, "max_tokens": 9000})) == 9000
    twice = {"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"max_output_tokens": 7}}
    assert output_limit_of(call("gemini", twice)) == 7


@pytest.mark.parametrize("format_", ["chat", "gemini", "converse", "ollama", "responses", "embeddings"])
def test_a_limit_under_the_name_of_another_format_is_none(format_: Format) -> None:
    other = "max_output_tokens" if format_ != "responses" else "max_tokens"
    assert output_limit_of(call(format_, {other: 5, "max_tokens_to_sample": 5})) is None


def test_no_limit_is_asked_for_by_an_amount_that_means_none() -> None:
    assert output_limit_of(call("ollama", {"options": {"num_predict": -1}})) is None


@pytest.mark.parametrize(("format_", "place"), CHOICES)
@pytest.mark.parametrize("value", [0, -1, 129, 1000, 2.0, "2"])
def test_too_many_answers_or_none_are_refused(format_: Format, place: tuple[str, ...], value: Any) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_amounts(call(format_, asking(place, value)))
    assert refusal.value.param == ".".join(place)


@pytest.mark.parametrize(("format_", "place"), CHOICES)
@pytest.mark.parametrize("value", [1, 2, 128])
def test_as_many_answers_as_asked_for_are_counted(
    format_: Format, place: tuple[str, ...], value: int
) -> None:
    asked = call(format_, asking(place, value))
    check_amounts(asked)
    assert choices_of(asked) == value


@pytest.mark.parametrize("format_", [*FORMATS, "images", "embeddings", "count_tokens", "rerank"])
def test_a_call_that_does_not_say_has_one_answer(format_: Format) -> None:
    asked = call(format_, {"model": "m", "options": None, "generationConfig": None, "n": None})
    check_amounts(asked)
    assert choices_of(asked) == 1


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        ("one", 3),
        (["one", "two"], 6),
        ([15, 16, 17], 3),
        ([[15, 16], [17]], 6),
        ([], 3),
        ({"odd": 1}, 3),
    ],
)
def test_each_prompt_of_completions_is_answered(prompt: Any, answers: int) -> None:
    assert choices_of(call("completions", {"prompt": prompt, "n": 3})) == answers


def test_the_best_of_several_costs_as_many() -> None:
    assert choices_of(call("completions", {"prompt": "one", "n": 2, "best_of": 5})) == 5


def test_an_amount_of_five_thousand_digits_is_refused_in_a_short_message() -> None:
    with pytest.raises(BadRequest) as refusal:
        check_amounts(call("chat", b'{"max_tokens": ' + b"9" * 5000 + b"}"))
    assert refusal.value.param == "max_tokens"
    assert len(refusal.value.message) < 200


@pytest.mark.parametrize(
    ("format_", "name"),
    [("gemini", "generationConfig"), ("converse", "inferenceConfig"), ("ollama", "options")],
)
def test_settings_that_are_no_object_are_refused(format_: Format, name: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} must be an object"):
        check_amounts(call(format_, {name: [1]}))


def test_both_spellings_are_looked_at() -> None:
    both = {"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"max_output_tokens": -5}}
    with pytest.raises(BadRequest, match=r"generation_config\.max_output_tokens"):
        check_amounts(call("gemini", both))


def test_a_name_of_another_format_says_nothing() -> None:
    check_amounts(call("messages", {"n": 1000, "max_completion_tokens": -1}))


@pytest.mark.parametrize(("format_", "place"), LIMITS)
@pytest.mark.parametrize("value", [5000, 3])
def test_a_limit_stands_where_the_client_has_its_own(
    format_: Format, place: tuple[str, ...], value: int
) -> None:
    capped = with_output_limit(call(format_, asking(place, value)), 77)
    assert sent(capped) == asking(place, 77)
    check_amounts(capped)


@pytest.mark.parametrize("said", ["nothing", "null"])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_limit_is_added_where_the_client_says_none(format_: Format, said: str) -> None:
    place = dict(reversed(LIMITS))[format_] if format_ != "chat" else ("max_completion_tokens",)
    place = {"gemini": ("generationConfig", "maxOutputTokens")}.get(format_, place)
    body = {"model": "m"} if said == "nothing" else {"model": "m", place[0]: None}
    capped = with_output_limit(call(format_, body), 77)
    written = sent(capped)
    for name in place:
        written = written[name]
    assert written == 77
    assert sent(capped)["model"] == "m"


def test_a_chat_is_capped_by_the_name_that_its_host_knows() -> None:
    asked = call("chat", {"model": "m", "max_completion_tokens": None})
    assert sent(with_output_limit(asked, 9, "max_tokens"))["max_tokens"] == 9


def test_a_chat_that_says_it_twice_is_capped_twice() -> None:
    asked = call("chat", {"max_tokens": 10, "max_completion_tokens": 10**6})
    assert sent(with_output_limit(asked, 9)) == {"max_tokens": 9, "max_completion_tokens": 9}


def test_a_call_whose_format_generates_no_text_stays_as_it_is() -> None:
    asked = call("embeddings", {"input": "x"})
    assert with_output_limit(asked, 9) is asked


def test_the_call_that_is_capped_stays_as_it_was() -> None:
    asked = call("ollama", {"options": {"seed": 1}})
    capped = with_output_limit(asked, 9)
    assert sent(asked) == {"options": {"seed": 1}}
    assert sent(capped) == {"options": {"seed": 1, "num_predict": 9}}


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (b"[],", "200000 lists"),
        (b"{},", "200000 objects"),
        (b'{"type":"text","text":""},', "200000 objects"),
        (b'{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0},', "1000000 names"),
    ],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_read(one: bytes, what: str) -> None:
    times = 199_000 if "names" in what else 200_001
    with pytest.raises(BadRequest, match=f"at most {what}") as refusal:
        check_crowd(b'{"messages":[' + one * times + b"1]}")
    assert refusal.value.code == "too_many_values"


@pytest.mark.parametrize("text", [b"def f(x):\\n    return [x]\\n", b" ", b"1,2;3", b"{"])
def test_a_long_text_is_no_crowd(text: bytes) -> None:
    check_crowd(b'{"messages":[{"role":"user","content":"' + text * 199_000 + b'"}]}')


def test_too_many_members_are_refused() -> None:
    check_amounts(call("chat", {f"m{at}": at for at in range(MOST_MEMBERS)}))
    with pytest.raises(BadRequest, match="at most 1000 members; it has 1001"):
        check_amounts(call("chat", {f"m{at}": at for at in range(MOST_MEMBERS + 1)}))
