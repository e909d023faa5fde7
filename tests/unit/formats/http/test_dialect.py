"""Whose client is calling, and where it shows its key."""

from __future__ import annotations

import pytest

from gateway.formats.http.dialect import authorization_of, dialect_of


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/models", {}, "chat"),
        ("/v1/models", {"x-api-key": "k"}, "chat"),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, "messages"),
        ("/v1/models", {"x-goog-api-key": "k"}, "gemini"),
        ("/v1beta/models", {}, "gemini"),
        ("/v1beta/models", {"anthropic-version": "2023-06-01"}, "messages"),
    ],
)
def test_a_client_is_known_by_its_headers_and_paths(path: str, headers: dict[str, str], dialect: str) -> None:
    assert dialect_of(path, headers) == dialect


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, None),
        ({"x-api-key": "a"}, "Bearer a"),
        ({"x-goog-api-key": "g"}, "Bearer g"),
        ({"authorization": "Bearer o", "x-api-key": "a"}, "Bearer o"),
    ],
)
def test_a_key_is_taken_from_where_each_sdk_shows_it(headers: dict[str, str], shown: str | None) -> None:
    assert authorization_of(headers) == shown
