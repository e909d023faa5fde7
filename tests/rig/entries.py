"""Entries of the ledger to test with."""

from __future__ import annotations

from typing import Any

from gateway.ledger.entries import Entry

_TYPES = Entry.__annotations__


def an_entry(**given: Any) -> Entry:
    """An entry with what is given, and plain values for all else."""
    values: dict[str, Any] = {"time": 1_795_000_000_000, "call": "call_1", "entry": "charge", "tags": ()}
    values |= {"attempt": 1, "calls": 1, "attempts": 1, "purpose": "call", "tenant": "acme", "status": 200}
    values |= {"ending": "finished", "why": "first", "confidence": "reported", "source": "gateway"}
    for name in Entry.__struct_fields__:
        if name not in values:
            values[name] = _plain(_TYPES[name])
    return Entry(**(values | given))


def _plain(kind: str) -> Any:
    if "None" in kind:
        return None
    return {"str": "", "int": 0, "bool": False, "Waste": ""}[kind]
