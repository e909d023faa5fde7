"""No part of our credential goes to a client."""

from __future__ import annotations

import json
import time

import pytest

from gateway.texts.credentials import HIDDEN, redact

SECRET = "sk-proj-4Tq9_vXwZ8mN2pLr7uKyEaBc"


def test_the_whole_secret_is_hidden_wherever_it_stands() -> None:
    text = (
        f'{{"error": {{"message": "Incorrect API key provided: {SECRET}.", "echo": ["{SECRET}"]}}}}'.encode()
    )
    hidden = redact(text, SECRET)
    assert SECRET.encode() not in hidden
    assert json.loads(hidden)["error"] == {
        "message": "Incorrect API key provided: [redacted].",
        "echo": ["[redacted]"],
    }


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("key: sk-pr***aBc.", "key: [redacted]."),
        ("key: sk-proj-********************EaBc", "key: [redacted]"),
        ("key: sk-pr...EaBc", "key: [redacted]"),
        ("key: sk-proj-4Tq9...", "key: [redacted]"),
        ("key: ****EaBc", "key: [redacted]"),
        ("key:sk-pr**** and sk-pr****", "key:[redacted] and [redacted]"),
        ("token=sk-pr**Bc&x", "token=[redacted]&x"),
        ("key: sk-pr\u2026EaBc", "key: [redacted]"),
    ],
)
def test_a_masked_form_of_ours_is_hidden(said: str, left: str) -> None:
    assert redact(said.encode(), SECRET).decode() == left


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_masked_form_after_an_escaped_newline_is_hidden(ensure_ascii: bool) -> None:
    message = "Incorrect key:\nsk-proj-4T***EaBc\tand sk-proj-4T\u2026EaBc"
    body = json.dumps({"message": message}, ensure_ascii=ensure_ascii)
    assert json.loads(redact(body.encode(), SECRET))["message"] == (
        "Incorrect key:\n[redacted]\tand [redacted]"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"please wait... then try again",
        b"**bold** and ***more*** and ....",
        b"another key: sess-1***9876",
        b'{"error": {"message": "sk*** is how keys begin"}}',
        b"",
        b"\xff\xfe not text at all ***",
    ],
)
def test_other_text_stays_as_it_is(text: bytes) -> None:
    assert redact(text, SECRET) == text


def test_a_secret_with_signs_is_hidden_as_json_escapes_it() -> None:
    secret = 'ab+/cd"ef\\gh=='
    for body in (json.dumps({"m": secret}), json.dumps({"m": secret}).replace("/", "\\/")):
        assert json.loads(redact(body.encode(), secret)) == {"m": HIDDEN.decode()}


def test_without_a_secret_nothing_is_hidden() -> None:
    assert redact(b"any *** text ...", "") == b"any *** text ..."


@pytest.mark.parametrize("unit", [b"a", b"s", b"sk-", b"*", b".", b"...", b"sk-p***", b"a*", b"-_-"])
def test_a_megabyte_takes_no_more_than_a_moment(unit: bytes) -> None:
    """Errors repeat requests, so a client decides what stands in them: the time must grow with the size."""
    text = unit * (1024 * 1024 // len(unit))
    started_s = time.process_time()
    redact(text, SECRET)
    assert time.process_time() - started_s < 1.5
