"""What is taken out of texts that others read, and what has to stay for them to be of use."""

from __future__ import annotations

import time

import pytest
from unit.texts.test_detectors import FOUND, HARMLESS

from gateway.identity.keys import mint_key
from gateway.texts.redactor import TOO_MUCH, Redactor

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\nAwEHoUQD\n-----END EC PRIVATE KEY-----"
KEY = "sk-proj-Zq81mNpo0cXv7TbU2yRk"

CLEANED = [
    (f"the key {KEY} is wrong", "the key [secret] is wrong"),
    (f"/v1/models/{KEY}/x", "/v1/models/[secret]/x"),
    (f"a\\n{KEY}\\n", "a\\n[secret]\\n"),
    (f"{KEY},{KEY}", "[secret],[secret]"),
    ("sk-abcdefghij0123456789ABCDEF-and-more_of_it", "[secret]"),
    (f"Authorization: Bearer {JWT}", "Authorization: [secret]"),
    ("authorization: Basic dXNlcjpwYXNzd29yZA==", "authorization: [secret]"),
    ("(b'x-api-key', b'0a1b2c3d4e5f')", "(b'x-api-key', b'[secret]')"),
    ('{"Proxy-Authorization": "Bearer 12ab34cd56ef"}', '{"Proxy-Authorization": "[secret]"}'),
    ("sent Bearer a1b2c3d4e5f6.g7", "sent Bearer [secret]"),
    (f"it is\n{PEM}\nthere", "it is\n[secret]\nthere"),
    (f"cut: {PEM[:60]}", "cut: [secret]"),
    ("postgres://me:s3cret@db/x", "postgres://[secret]@db/x"),
    ("redis://:s3cret@cache:6379/0", "redis://[secret]@cache:6379/0"),
    ("https://hooks.example.com/a?token=abcdefgh&b=1", "https://hooks.example.com/a?token=[secret]&b=1"),
    ("GET /x?key=abcdef", "GET /x?key=[secret]"),
    ("password=hunter22", "password=[secret]"),
    ('{\\"api_key\\": \\"a1b2c3d4e5f6\\"}', '{\\"api_key\\": \\"[secret]\\"}'),
    ("ids 12,4111111111111111,5500000000000004.", "ids 12,[card],[card]."),
    ("/cards/4111111111111111/x", "/cards/[card]/x"),
    ("card_4111111111111111", "card_[card]"),
    ("card\\n4111 1111 1111 1111", "card\\n[card]"),
    ("/accounts/DE89370400440532013000", "/accounts/[iban]"),
    ("to\\nDE89 3704 0044 0532 0130 00 now", "to\\n[iban] now"),
    ("mail bob%40example.com", "mail [email]"),
    ("from an müller@exämple.de", "from an [email]"),
    ("+14155552671 12:30:45", "[phone] 12:30:45"),
    ("+14155552671 4111 1111 1111 1111", "[phone] [card]"),
    ("/tel/+4915112345678", "/tel/[phone]"),
    ("/models/no-415-555-2671", "/models/no-[phone]"),
    ("?q=4111%201111%201111%201111&p=postgres%3A%2F%2Fa%3Ab1c2@db", "?q=[card]&p=postgres://[secret]@db"),
    ("\u00e9 100% bob@example.com", "\u00e9 100% [email]"),
    ("SECRET_KEY=abcdefghijklmnop", "SECRET_KEY=[secret]"),
    ('{"a":"{\\u0022password\\u0022:\\u0022hunter2x9\\u0022}"}', '{"a":"{"password":"[secret]"}"}'),
    ("mail jane.doe\\u0040example.com", "mail [email]"),
    ("mail jane.doe\\\\\\u0040example.com", "mail [email]"),
    ("mail jane.doe%5Cu0040example.com", "mail [email]"),
    ("phone \\u002B4915112345678", "phone [phone]"),
    ("card 4111\\u00a01111\\u00A01111\\u00a01111", "card [card]"),
    ("sk-\\u0070roj-Zq81mNpo0cXv7TbU2yRk", "[secret]"),
    ("Ihre Karte\u00a04111\u00a01111\u00a01111\u00a01111\u00a0! é", "Ihre Karte\u00a0[card]\u00a0! é"),
    ("4111\u20111111\u20111111\u20111111", "[card]"),
    ("4111\u20131111\u20131111\u20131111, 5500\u30000000\u30000000\u30000004", "[card], [card]"),
    ("an DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00\u00a0!", "an [iban]\u00a0!"),
    ("é +49\u00a0151\u00a012345678 è", "é [phone] è"),
    ("tel. 06\u202f12\u202f34\u202f56\u202f78", "tel. [phone]"),
    ("redis://:pa/ss1word@host:6379/0", "redis://[secret]@host:6379/0"),
    ("postgres://me:pa?ss#word@db/x", "postgres://[secret]@db/x"),
    ("postgresql://me:p@ss9word@db/x", "postgresql://[secret]@db/x"),
    (
        "http://localhost:3000/cb?to=postgres://u:p4ss@db",
        "http://localhost:3000/cb?to=postgres://[secret]@db",
    ),
]

LINES = [
    *(line for line in HARMLESS if "your-password" not in line),
    "circuit breaker",
    "openai/gpt-4o-2024-08-06",
    "http://127.0.0.1:41234",
    "https://api.openai.com/v1/chat/completions?api-version=2024-10-21",
    "cannot listen on [::1]:8080: [Errno 98] Address already in use",
    "call_1234567890abcdef12345678",
    "quote the request id call_012345678901234567890123",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "req_011CSHoEeqs5C35K2UUqR7Fy",
    "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "the key key_IN3rPjFitVIUXAFL was revoked",
    "server.max_connections changes with the next start",
    "the header authorization is missing; write Authorization: Bearer KEY",
    "the bearer token is expired",
    "input_tokens=1234 output_tokens=56789 cached_tokens=1024",
    "password: ${DB_PASSWORD}",
    "ended with exit code 137; started again in 0.5 s",
    "2026-11-21T23:12:45.123456Z 10.0.0.17:55123 -> 10.0.0.18:8123",
    '  File "/usr/lib/python3.11/asyncio/base_events.py", line 1936, in _run_once',
    "    token = self.verifier.verify(token)",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "41.5 ms, 1732190000.123 s, 12 345 678 bytes",
    "http://localhost:3000/users/@me, https://unpkg.com/@types/node, http://[::1]:8080/@x",
    "password: must be at least 8 characters; the password is invalid",
    "de 10\u00a0000 à 12\u202f500 €, 2026\u20112030, pages 10\u201312, 12 345\u00a0678 octets",
    "caf\\u00e9 \\u2013 \\u65e5\\u672c C:\\users \\u003cb\\u003e",
]


@pytest.mark.parametrize(("text", "cleaned"), CLEANED)
def test_it_is_taken_out_and_what_stands_around_it_stays(text: str, cleaned: str) -> None:
    assert Redactor().clean(text) == cleaned


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_whatever_a_detector_finds_is_taken_out(kind: str, text: str) -> None:
    assert f"[{kind}]" in Redactor().clean(text)


def test_a_key_of_our_own_is_taken_out_also_when_it_is_cut() -> None:
    key = mint_key()
    assert Redactor().clean(f"is {key}, or {key[:25]}") == "is [secret], or [secret]"


@pytest.mark.parametrize("text", LINES)
def test_what_log_lines_are_made_of_stays(text: str) -> None:
    assert Redactor().clean(text) == text


def test_only_the_kinds_that_are_asked_for_are_taken_out() -> None:
    text = "bob@example.com +4915112345678 PRJ-123 PRJ-456"
    assert Redactor(["email"]).clean(text) == "[email] +4915112345678 PRJ-123 PRJ-456"
    cleaned = "bob@example.com +4915112345678 [redacted] [redacted]"
    assert Redactor([], [r"PRJ-\d+", "q*"]).clean(text) == cleaned
    assert Redactor([]).clean(text) == text


def test_a_text_that_is_no_utf_8_is_cleaned_as_well() -> None:
    assert "bob" not in Redactor().clean("a lone surrogate \udc80 and bob@example.com")
    assert Redactor().clean("a lone surrogate \udc80") == "a lone surrogate \udc80"


def test_what_overlaps_gets_one_mark() -> None:
    assert Redactor().clean("https://x:sk-proj-Zq81mNpo0cXv7TbU2yRk@h/?a=1") == "https://[secret]@h/?a=1"


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_text_with_nothing_in_it_is_the_very_same(length: int) -> None:
    text = "as it was " * (length // 10)
    assert Redactor().clean(text) is text


@pytest.mark.parametrize(
    "unit",
    [
        *("a@b.co ", "+14155552671 ", "eyJ", "-----BEGIN PRIVATE KEY-----", "password=a1b2c3d4 ", "\\n", "@"),
        *(
            "4111 1111 1111 1111 ",
            "DE89370400440532013000 ",
            "http://",
            "://a:",
            "12 ",
            "1234-",
            "sk-",
            "00 1",
        ),
        *(
            "\\u0022",
            "\\\\",
            "1\u00a0",
            "11\u2011",
            "password: word ",
            "password=x",
            "://a:b/",
            "http://a:b/c",
        ),
        *("password: a.", "secret=a_key_", "password: -", "4111\u00a01111\u00a01111\u00a01111 "),
    ],
)
def test_a_megabyte_takes_no_more_than_a_moment(unit: str) -> None:
    """Clients and upstreams decide what stands in errors: the time must grow with the size."""
    text = unit * ((1 << 20) // len(unit))
    started_s = time.process_time()
    cleaned = Redactor().clean(text)
    assert time.process_time() - started_s < 3
    assert cleaned == TOO_MUCH or len(cleaned) <= len(text)


def test_nothing_is_left_of_a_text_that_hides_too_much() -> None:
    assert Redactor().clean("bob@example.com " * 20_000) == TOO_MUCH
