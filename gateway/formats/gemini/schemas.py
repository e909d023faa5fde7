"""Turn Google's subset of OpenAPI schemas into JSON Schema, for providers that know nothing else.

The other way is not needed: Google takes JSON Schema as such.
Source: Gemini API reference, "Schema" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

_TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object", 7: "null"}
"""The numbers of the enum, which Vertex's older SDKs send."""

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Integers of 64 bits: protobuf's JSON may write them as strings."""

_NOT_IN_JSON_SCHEMA = frozenset({"nullable", "propertyOrdering", "property_ordering", "example"})
_RENAMED = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
}


def json_schema(schema: Any) -> Any:
    """Return a schema in JSON Schema's words. Raises RecursionError when it is nested too deeply."""
    if not isinstance(schema, dict):
        return schema
    changed = dict[str, Any]()
    for said, value in schema.items():
        name = _RENAMED.get(str(said), str(said))
        if name not in _NOT_IN_JSON_SCHEMA:
            changed[name] = _value(name, value)
    if schema.get("nullable") is True:
        _allow_null(changed)
    return changed


def _value(name: str, value: Any) -> Any:
    if name == "type":
        return _type(value)
    if name == "properties" and isinstance(value, dict):
        return {inner: json_schema(of) for inner, of in value.items()}
    if name == "items":
        return json_schema(value)
    if name == "anyOf" and isinstance(value, list):
        return [json_schema(of) for of in value]
    if name in _COUNTS and isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return value


def _type(value: Any) -> Any:
    if isinstance(value, int):
        return _TYPES.get(value, value)
    return value.lower() if isinstance(value, str) else value


def _allow_null(schema: dict[str, Any]) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
