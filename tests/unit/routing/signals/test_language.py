"""The language of short turns, and when to say that nothing tells it."""

from __future__ import annotations

import pytest

from gateway.routing.signals.language import language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "What is the capital of Australia?"),
        ("de", "Kannst du mir diesen Text zusammenfassen?"),
        ("fr", "Quelle est la capitale de l'Australie ?"),
        ("es", "Escribe un poema corto sobre el otoño"),
        ("it", "Qual è la capitale dell'Australia?"),
        ("pt", "Escreva um poema curto sobre o outono"),
        ("nl", "Kun je deze tekst voor mij samenvatten?"),
        ("pl", "Napisz krótki wiersz o jesieni"),
        ("tr", "Lütfen bana üç büyük şehir söyle"),
        ("ru", "Какая столица Австралии?"),
        ("uk", "Яка столиця Австралії?"),
        ("zh", "澳大利亚的首都是哪里"),
        ("zh", "你好"),
        ("ja", "秋についての短い詩を書いてください"),
        ("ko", "안녕하세요"),
        ("ar", "ما هي عاصمة أستراليا؟"),
        ("hi", "ऑस्ट्रेलिया की राजधानी क्या है?"),
        ("en", "Why does this fail?\n```python\ndef f(x):\n    return [i for i in x]\n```"),
        ("de", "Was macht das?\n`for (let i=0;i<n;i++){}`"),
    ],
)
def test_the_language_of_a_short_turn_is_told(language, text):
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        *("", "ok", "👍", "42", "??", "\n", "\x00", "https://example.com/a/b?c=d"),
        "x = [i for i in range(10)]",
        'def f(a, b):\n    return {"a": a, "b": [b]}\n',
        '{"a": 1, "b": [2, 3]}',
        "```\nnothing but code\n```",
    ],
)
def test_what_tells_no_language_has_none(text):
    assert language_of(text) == ""
