"""What counts as personal data or a secret, and what only looks like it."""

from __future__ import annotations

import pytest

from gateway.texts.detectors import finds, suspect

FOUND = {
    "email": [
        "mail bob.smith+x@example.com now",
        "an müller@exämple.de schreiben",
        '{"to":"x@y.co"}',
        "see a@2x.png, then b@c.org",
    ],
    "phone": [
        "+49 30 1234567",
        "+1 (415) 555-2671",
        "(415) 555-2671",
        "415-555-2671",
        "0171 2345678",
        "030/12345678",
        "(030) 12345678",
        "06 12 34 56 78",
        "0049 30 1234567",
        "+4915112345678",
        "please call 089-1234567 tomorrow",
        "tel:+14155552671",
        "+49\u00a0151\u00a012345678",
        "06\u202f12\u202f34\u202f56\u202f78",
    ],
    "card": [
        "4111 1111 1111 1111",
        "4111111111111111",
        "5500-0000-0000-0004",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117.",
        "row 1234 4111 1111 1111 1111",
        "4111.1111.1111.1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\u20111111\u20111111\u20111111",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "NL91ABNA0417164300 BIC",
        "fr14 2004 1010 0505 0001 3m02 606",
        "AB12 DE89370400440532013000",
        "DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00",
    ],
    "secret": [
        "sk-abcdefghij0123456789ABCDEF",
        "sk-proj-" + "Ab-_9" * 30,
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-123456789012-abcdef",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln",
        "AIza" + "aB3-_" * 7,
        "password = hunter2hunter",
        '"api_key": "a1b2c3d4e5f6"',
        "postgres://me:s3cret@db/x",
    ],
}
HARMLESS = [
    "550e8400-e29b-41d4-a716-446655440000",
    "00000000-0000-0000-0000-000000000000",
    "2026-11-21T12:30:45.123456Z",
    "2026-11-21 12:30:45 to 2026-11-22 13:00:00",
    "+2026-11-21 12:00 a line of a diff",
    "1732190000123",
    "1732190000",
    "order 12345678",
    "order no. 4012345678901",
    "version 1.2.3.4",
    "v2.31.0-20261121",
    "10.20.30.40",
    "192.168.100.200:8080",
    "ISBN 978-3-16-148410-0",
    "12345678901234567890",
    "0.4111111111111111",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "DE00 3704 0044 0532 0130 00",
    "icon@2x.png",
    "lodash@4.17.21",
    "git@github.com:a/b.git",
    "@decorator.call",
    "def f(password: str | None = None) -> str",
    "password = os.environ['X1']",
    "password: your-password-1",
    "max_tokens: 4096, token_count=12345678",
    "sk-learn is a nice library of machines",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "01 02 03 04 05 06 07",
    "1,234,567,890 and $1,234,567.89",
    "3.14159265358979",
    "(2020) 2021 2022",
    "SHA256:4111111111111111abcdef",
    "https://example.com/a/b?c=d",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_a_detector_finds_what_it_is_for_and_is_asked_whether_to_look(kind, text):
    assert finds(kind, text.encode())
    assert suspect(frozenset({kind}))(text.encode()) is not None
    assert suspect(frozenset(FOUND))(text.encode()) is not None


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_left_alone(text):
    assert [kind for kind in sorted(FOUND) if finds(kind, text.encode())] == []


@pytest.mark.parametrize("kind", sorted(FOUND))
def test_it_is_found_in_the_middle_of_a_long_text(kind):
    harmless = "The quick brown fox, aged 12, jumps over 3 lazy dogs.\n" * 100
    text = f"{harmless}{FOUND[kind][0]}\n{harmless}".encode()
    assert finds(kind, text)
    assert not finds(kind, harmless.encode())


@pytest.mark.parametrize("kind", sorted(FOUND))
def test_bytes_that_are_no_text_are_taken_as_well(kind):
    assert finds(kind, bytes(range(256))) is False
