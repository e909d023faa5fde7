"""Write JSON Schemas of Specs, so that editors complete and check the YAML as it is typed.

Knows no particular Spec: the caller names them. Source: JSON Schema 2020-12, as msgspec makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]

# What `${VAR}` may stand for besides text: values that a schema would otherwise refuse it as.
_REFERENCE: Json = {"type": "string", "pattern": r"\$\{"}
_NOTES = ("description", "default", "title")


def schema(of: Any) -> Json:
    """Describe a type as JSON Schema 2020-12; every scalar may also be a `${...}` reference."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    described: Json = _with_references(msgspec.json.schema(of))
    return dialect | described


def write(folder: Path, specs: Mapping[str, Any]) -> None:
    """Write `<name>.json` for each name and type."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, of in specs.items():
        (folder / f"{name}.json").write_text(_text(of), encoding="utf-8")


def stale(folder: Path, specs: Mapping[str, Any]) -> list[str]:
    """List the files that `write` would change, create or leave over."""
    wanted = {f"{name}.json": _text(of) for name, of in specs.items()}
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def _text(of: Any) -> str:
    return json.dumps(schema(of), indent=2, ensure_ascii=False) + "\n"


def _with_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if _refuses_references(node):
        notes = {name: node[name] for name in _NOTES if name in node}
        return notes | {"anyOf": [{k: v for k, v in node.items() if k not in notes}, _REFERENCE]}
    # Names of properties are matched as they stand, and defaults are values: neither is a schema.
    return {
        k: v if k in {"propertyNames", "default", "enum"} else _with_references(v) for k, v in node.items()
    }


def _refuses_references(node: Json) -> bool:
    is_number = node.get("type") in {"integer", "number", "boolean"}
    return is_number or "enum" in node or ("pattern" in node and node["pattern"] != r"^\$\{")
