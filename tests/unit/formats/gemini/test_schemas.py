"""Google's subset of OpenAPI in the words of JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.formats.gemini.schemas import json_schema


@pytest.mark.parametrize(
    ("google", "schema"),
    [
        ({"type": "OBJECT"}, {"type": "object"}),
        ({"type": 5, "items": {"type": 3}}, {"type": "array", "items": {"type": "integer"}}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"minItems": "2", "max_length": "x"}, {"minItems": 2, "maxLength": "x"}),
        ({"any_of": [{"type": "NULL"}]}, {"anyOf": [{"type": "null"}]}),
        ({"properties": {"type": {"type": "NUMBER"}}}, {"properties": {"type": {"type": "number"}}}),
        ({"propertyOrdering": ["a"], "example": 1, "title": "T"}, {"title": "T"}),
        ({"type": 99, "properties": 5, "items": None}, {"type": 99, "properties": 5, "items": None}),
        (None, None),
        ("x", "x"),
    ],
)
def test_a_schema_is_said_in_other_words(google: Any, schema: Any) -> None:
    assert json_schema(google) == schema
