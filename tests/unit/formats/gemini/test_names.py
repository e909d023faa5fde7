"""Two names for one member, and objects alone where lists are meant."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.formats.gemini.names import canonical
from gateway.formats.gemini.types import Request


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"system_instruction": {"parts": {"text": "a"}}}, {"systemInstruction": {"parts": [{"text": "a"}]}}),
        (
            {"contents": {"parts": [{"thought_signature": "x"}]}},
            {"contents": [{"parts": [{"thoughtSignature": "x"}]}]},
        ),
        ({"tools": [{"google_search": {"a_b": 1}}]}, {"tools": [{"googleSearch": {"a_b": 1}}]}),
        ({"labels": {"a_b": 1}}, {"labels": {"a_b": 1}}),
        ({"new_member": {"a_b": 1}}, {"newMember": {"a_b": 1}}),
        ({"_private": 1}, {"_private": 1}),
        ({"generation_config": {"stop_sequences": "x"}}, {"generationConfig": {"stopSequences": ["x"]}}),
        (
            {"generationConfig": {"responseSchema": {"any_of": []}}},
            {"generationConfig": {"responseSchema": {"any_of": []}}},
        ),
        ({"contents": [5, None, {"parts": None}]}, {"contents": [5, None, {"parts": None}]}),
        ({}, {}),
        ([], []),
        (None, None),
    ],
)
def test_each_member_gets_one_name(said: Any, meant: Any) -> None:
    assert canonical(said, Request) == meant
    assert canonical(meant, Request) == meant
