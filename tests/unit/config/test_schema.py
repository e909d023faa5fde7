"""The JSON Schemas beside the YAML: true, fresh, and with a description of each field."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from msgspec import Meta

from gateway.compose.reading import SCHEMAS
from gateway.config import schema
from gateway.config.spec import Secret, Spec

ROOT = Path(__file__).parents[3]
SPECS = SCHEMAS


class Small(Spec, frozen=True, kw_only=True):
    """Something small."""

    port: Annotated[int, Meta(ge=1, description="Where.")] = 1
    mode: Literal["a", "b"] = "a"
    key: Secret = ""


def test_a_schema_describes_fields_and_admits_references():
    assert schema.schema(Small) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/Small",
        "$defs": {
            "Small": {
                "title": "Small",
                "description": "Something small.",
                "type": "object",
                "properties": {
                    "port": {
                        "description": "Where.",
                        "default": 1,
                        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"\$\{"}],
                    },
                    "mode": {
                        "default": "a",
                        "anyOf": [{"enum": ["a", "b"]}, {"type": "string", "pattern": r"\$\{"}],
                    },
                    "key": {
                        "description": "A secret: given as ${VAR} or ${file:/path}, never written here.",
                        "type": "string",
                        "pattern": r"^\$\{",
                        "default": "",
                    },
                },
                "required": [],
                "additionalProperties": False,
            }
        },
    }


def test_stale_names_what_write_would_change(tmp_path):
    specs = {"small": Small}
    assert schema.stale(tmp_path, specs) == ["small.json"]
    schema.write(tmp_path, specs)
    assert schema.stale(tmp_path, specs) == []
    (tmp_path / "small.json").write_text("{}")
    (tmp_path / "left_over.json").write_text("{}")
    assert schema.stale(tmp_path, specs) == ["left_over.json", "small.json"]


def test_the_schemas_in_the_tree_are_fresh():
    assert schema.stale(ROOT / "schemas", SPECS) == []


KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
KINDS |= {"any": object, "object": dict, "array": list}


def _mismatch(value, node, defs):
    """The first way in which `value` breaks the part of JSON Schema that our schemas use; None if none."""
    if "$ref" in node:
        node = defs[node["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in node:
        found = [_mismatch(value, one, defs) for one in node["anyOf"]]
        return None if None in found else found[0]
    if isinstance(value, KINDS[node.get("type", "any")]):
        inside = {dict: _in_object, list: _in_array}.get(type(value), _in_scalar)
        return inside(value, node, defs)
    return f"{value!r} is no {node['type']}"


def _in_scalar(value, node, _defs):
    fits = {
        "enum": value in node.get("enum", [value]),
        "pattern": not isinstance(value, str) or re.search(node.get("pattern", ""), value),
        "minimum": isinstance(value, str) or node.get("minimum", value) <= value,
        "maximum": isinstance(value, str) or node.get("maximum", value) >= value,
    }
    return next((f"{value!r} breaks {name} of {node}" for name, holds in fits.items() if not holds), None)


def _in_array(value, node, defs):
    if len(value) < node.get("minItems", 0):
        return "too short"
    return next((bad for item in value if (bad := _mismatch(item, node.get("items", {}), defs))), None)


def _in_object(value, node, defs):
    known, rest = node.get("properties", {}), node.get("additionalProperties", {})
    if missing := set(node.get("required", ())) - value.keys():
        return f"{missing} missing"
    for name, inside in value.items():
        if name not in known and rest is False:
            return f"{name} unknown"
        if bad := _mismatch(inside, known.get(name, rest), defs):
            return f"{name}: {bad}"
    return None


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("routing.yaml", "routing"),
        ("backends/presets.yaml", "presets"),
        *((f"policies/{name}.yaml", name) for name in ("tenants", "prices", "quotas", "budgets")),
    ],
)
def test_the_shipped_files_fit_their_schemas(file, name):
    described = json.loads((ROOT / "schemas" / f"{name}.json").read_text())
    written = yaml.safe_load((ROOT / file).read_text())
    assert _mismatch(written, described, described.get("$defs", {})) is None
    key = next(iter(written))
    assert _mismatch({**written, key: 5}, described, described.get("$defs", {}))


def test_each_field_has_a_description():
    for name in SPECS:
        described = json.loads((ROOT / "schemas" / f"{name}.json").read_text())
        for title, definition in described["$defs"].items():
            for field, node in definition["properties"].items():
                assert node.get("description"), f"{name}: {title}.{field}"
