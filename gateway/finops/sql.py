"""The SQL of the questions, which is files: dashboards/sql/NAME.sql."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def text_of(name: str) -> str:
    """Return a question's text."""
    return (resources.files("dashboards") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
