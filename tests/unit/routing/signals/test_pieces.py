"""The count of tokens of short texts, by their pieces, against a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.embedded.tokenizer import token_counter
from gateway.routing.signals.pieces import tokens_of_words, tokens_within


@pytest.fixture(scope="module")
def count(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], int]:
    return token_counter(tmp_path_factory.mktemp("vocabulary"))


@pytest.mark.parametrize(
    "text",
    [
        "Hi",
        "What is the capital of France?",
        "Tell me a joke about the weather in 2026.",
        "Count from 1 to 5, comma separated.",
        "def add(a, b):\n    return a + b\n",
        "Die Bücherei hat am Dienstag nicht geöffnet.",
        "法国的首都是哪里",
    ],
)
def test_short_texts_have_about_as_many_pieces_as_tokens(text: str, count: Callable[[str], int]) -> None:
    assert tokens_of_words(text) == pytest.approx(count(text), abs=3)


@pytest.mark.parametrize(
    "value",
    [
        "Hello there, my friend",
        [{"role": "user", "content": "Hello there, my friend"}],
        [{"role": "user", "content": [{"type": "text", "text": "Hello there, my friend"}]}],
        {"parts": [{"text": "Hello there"}, {"text": ", my friend"}]},
        [{"id": "rs_123", "type": "reasoning", "summary": "Long"}, {"content": "Hello there, my friend"}],
    ],
)
def test_texts_count_wherever_they_stand(value: Any, count: Callable[[str], int]) -> None:
    assert tokens_within(value) == count("Hello there, my friend")


def test_arguments_count_with_their_names() -> None:
    call = {"name": "weather", "input": {"city": "Paris", "days": 3}}
    assert tokens_within(call) == pytest.approx(16, abs=6)


@pytest.mark.parametrize("value", ["", [], {}, None, [None, {"text": ""}]])
def test_nothing_has_no_tokens(value: Any) -> None:
    assert tokens_within(value) == 0


@pytest.mark.parametrize("letter", [" ", "a", ".", "\n", "語", "é", "1"])
def test_a_million_of_one_letter_are_looked_at_in_samples(letter: str) -> None:
    assert 0 <= tokens_within(letter * 1_000_000) <= 1_000_000
