"""Whose client is calling, told by what only that API's clients send: its headers and its paths.

For what the gateway answers itself: the calls themselves have a path for each API. Must not know how keys
are checked, nor what an answer looks like.
Sources: API references of OpenAI, Anthropic and Google, "Authentication" and "Models" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Dialect = Literal["chat", "messages", "gemini"]
"""The format in which such a client reads errors; "chat" for all that do not say who they are."""

KEY_HEADERS = ("x-api-key", "x-goog-api-key")
"""Where Anthropic's and Google's clients show their key."""

GOOGLE_ROOT = "/v1beta/"


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Say which API the client takes the gateway for."""
    if "anthropic-version" in headers:
        return "messages"
    return "gemini" if path.startswith(GOOGLE_ROOT) or "x-goog-api-key" in headers else "chat"


def authorization_of(headers: Mapping[str, str]) -> str | None:
    """Return the Authorization header, or one with the key that is shown in its place; None for neither."""
    if (shown := headers.get("authorization")) is not None:
        return shown
    return next((f"Bearer {headers[name]}" for name in KEY_HEADERS if name in headers), None)
