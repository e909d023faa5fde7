"""The estimate of a request's tokens, against a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded.tokenizer import token_counter
from gateway.exchange import Format
from gateway.formats.envelope import decode_members
from gateway.formats.http import multipart
from gateway.quotas.estimates import Prompt
from gateway.routing.signals.body import contents_of, turns_of
from gateway.routing.signals.size import as_asked, prompt_of, tokens_of

TEXTS = {
    "English": "The committee met on Tuesday afternoon to discuss whether the library should extend its "
    "opening hours. Several members argued that students need a quiet place to read in the evening. ",
    "German": "Der Ausschuss traf sich am Dienstagnachmittag, um zu besprechen, ob die Bücherei ihre "
    "Öffnungszeiten verlängern soll. Mehrere Mitglieder sorgten sich um die Kosten für Heizung. ",
    "French": "Le comité s'est réuni mardi après-midi pour discuter de l'opportunité de prolonger les "
    "heures d'ouverture de la bibliothèque. Les étudiants ont besoin d'un endroit calme le soir. ",
    "Chinese": "委员会于星期二下午开会讨论图书馆是否应该延长开放时间几位成员认为学生需要安静",
    "Japanese": "委員会は火曜日の午後に集まり図書館の開館時間を話し合いました",
    "Korean": "위원회는 도서관이 개관 시간을 연장해야 하는지 논의하기 위해 모였다. ",
    "Russian": "Комитет собрался во вторник днём, чтобы обсудить, следует ли библиотеке продлить часы. ",
    "code": Path(multipart.__file__).read_text(encoding="utf-8"),
    "log": "".join(
        f"2026-11-21T12:{n:02d}:11.{n * 7:03d}Z INFO id=5f2c{n:04x} status=200 {n}\n" for n in range(60)
    ),
}


@pytest.fixture(scope="module")
def count(tmp_path_factory):
    return token_counter(tmp_path_factory.mktemp("vocabulary"))


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_the_estimate_is_within_a_quarter_of_what_a_tokenizer_counts(kind, escaped, count):
    text = TEXTS[kind] * 12
    body = json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=escaped)
    members = decode_members(body.encode())
    turns = turns_of(members)
    estimate = tokens_of(members, turns, contents_of(members, turns))
    assert estimate == pytest.approx(count(text), rel=0.25)


def estimated(body: dict[str, Any]) -> int:
    members = decode_members(json.dumps(body, separators=(",", ":")).encode())
    turns = turns_of(members)
    return tokens_of(members, turns, contents_of(members, turns))


SAID = "Tell me in one sentence what the committee decided about the opening hours. "


@pytest.mark.parametrize(
    ("body", "around"),
    [
        ({"prompt": SAID}, 0),
        ({"contents": [{"role": "user", "parts": [{"text": SAID}]}]}, 0),
        ({"messages": [{"role": "user", "content": SAID}]}, 6),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]}, 6),
        ({"messages": [{"role": "user", "content": [{"text": SAID}]}]}, 6),
        ({"input": [{"role": "user", "content": SAID}]}, 6),
    ],
    ids=["completions", "gemini", "chat", "chat in parts", "converse", "responses"],
)
def test_of_a_short_prompt_what_stands_around_it_counts_as_providers_count_it(
    body: dict[str, Any], around: int, count: Callable[[str], int]
) -> None:
    assert estimated(body) == pytest.approx(count(SAID) + around, abs=2)


def test_each_further_turn_adds_what_is_put_around_it() -> None:
    turn = {"role": "user", "content": SAID}
    one, three = (estimated({"messages": [turn] * turns}) for turns in (1, 3))
    assert three == pytest.approx(3 * one - 2 * 3, abs=3)


@pytest.mark.parametrize("member", ["response_format", "text", "output_format"])
def test_a_schema_for_the_answer_counts(member: str) -> None:
    schema = {"type": "object", "properties": {f"field{at}": {"type": "string"} for at in range(20)}}
    body = {"messages": [{"role": "user", "content": SAID}]}
    assert estimated(body | {member: {"format": schema}}) > estimated(body) + 80


def prompt(body: dict[str, Any]) -> Prompt:
    members = decode_members(json.dumps(body).encode())
    turns = turns_of(members)
    return prompt_of(members, turns, contents_of(members, turns))


def test_turns_are_told_apart_from_what_is_said(count: Callable[[str], int]) -> None:
    turn = {"role": "user", "content": SAID}
    found = prompt({"messages": [turn] * 3, "instructions": SAID})
    assert found.turns == 4
    assert found.tokens == pytest.approx(4 * count(SAID), abs=4)


@pytest.mark.parametrize("tools", [[], None])
def test_tools_that_are_none_change_nothing(tools: object) -> None:
    body = {"messages": [{"role": "user", "content": SAID}]}
    assert prompt(body | {"tools": tools}) == prompt(body)


def test_what_is_sealed_does_not_count() -> None:
    thought = {"type": "thinking", "thinking": "Two.", "signature": "x" * 900}
    turns = [{"role": "user", "content": SAID}, {"role": "assistant", "content": [thought]}]
    assert prompt({"messages": turns}).tokens < prompt({"messages": turns[:1]}).tokens + 5


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("repeated", [1, 3, 10, 40])
@pytest.mark.parametrize("kind", ["English", "German", "French", "Russian", "log"])
def test_texts_of_any_length_are_within_a_fifth_of_what_a_tokenizer_counts(
    kind: str, repeated: int, escaped: bool, count: Callable[[str], int]
) -> None:
    text = TEXTS[kind] * repeated
    members = decode_members(json.dumps({"prompt": text}, ensure_ascii=escaped).encode())
    tokens = prompt_of(members, turns_of(members), contents_of(members, turns_of(members))).tokens
    assert tokens == pytest.approx(count(text), rel=0.2)


def test_a_small_picture_is_not_read_as_words() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 60}}
    turn = {"role": "user", "content": [{"type": "text", "text": SAID}, picture]}
    assert prompt({"messages": [turn]}).tokens == pytest.approx(1015, abs=15)


@pytest.mark.parametrize(("format_", "turns"), [("responses", 1), ("completions", 0), ("embeddings", 0)])
def test_a_lone_string_is_a_turn_only_where_a_model_answers_it(format_: Format, turns: int) -> None:
    assert as_asked(Prompt(10), format_, frozenset()).turns == turns


def test_what_changes_how_a_prompt_is_counted_goes_along() -> None:
    asked = as_asked(Prompt(10, 2), "chat", frozenset({"tools", "json_schema", "reasoning"}))
    assert asked == Prompt(10, 2, tools=True, schema=True, reasons=True)
