"""What stands behind the name of a secret is one, unless it is a word, a type or a reference."""

from __future__ import annotations

import pytest

from gateway.texts.named import named

TAKEN = [
    ("password=correct-horse-battery", "correct-horse-battery"),
    ('"password": "correcthorsebattery"', "correcthorsebattery"),
    ('{\\"password\\":\\"correcthorsebattery\\"}', "correcthorsebattery"),
    ("password: 1234567890", "1234567890"),
    ("password: correcthorse, user: bob", "correcthorse"),
    ("password: correcthorsebattery for bob", "correcthorsebattery"),
    ("passwd=correcthorse is wrong", "correcthorse"),
    ("passphrase='correct.horse.battery'", "correct.horse.battery"),
    ('"password": "Tr0u(b)4,dor&3"', "Tr0u(b)4,dor&3"),
    ("password=battery", "battery"),
    ("password=b'attery1'", "attery1"),
    ("SECRET_KEY=abcdefghijklmnopqrstuvwxyzabcdef", "abcdefghijklmnopqrstuvwxyzabcdef"),
    ("AWS_SECRET_ACCESS_KEY=abcdefghijklmnop", "abcdefghijklmnop"),
    ("AccountKey=abcdefghijklmnop==;Endpoint", "abcdefghijklmnop=="),
    ("client_secret=abcdefghijklmnop", "abcdefghijklmnop"),
    ("clientSecret => 'abcdefghijklmnop'", "abcdefghijklmnop"),
    ('api_key: "abcdefabcdefabcdefabcdef"', "abcdefabcdefabcdefabcdef"),
    ("apiKey=abcdefabcdef", "abcdefabcdef"),
    ("private_key=abcdefabcdef", "abcdefabcdef"),
    ("token=a1b2c3d4", "a1b2c3d4"),
]

LEFT = [
    "password: must be at least 8 characters",
    "password: Weak. Please choose another",
    "password: Required",
    "password: unusual words go here",
    "password is invalid",
    "Incorrect API key: provided key is revoked.",
    '"password": "Password is too short"',
    '"password": "required"',
    '"password": "invalid."',
    '"password": {"type": "string", "format": "password", "minLength": 8}',
    '"required": ["username", "password"], "secret": "string"',
    "api_key: Explicitly-provided API key, or nothing",
    "api_key: string (optional)",
    "secret: null, password: undefined",
    "password: ${DB_PASSWORD}",
    "password=$DB_PASSWORD",
    "password=********",
    "api_key: <your key here>",
    'api_key: "<API_KEY>"',
    'api_key="YOUR_API_KEY"',
    'api_key="{{ api_key }}"',
    "api_key=OPENAI_API_KEY",
    "password=%(password)s",
    "password: [redacted]",
    "client = Client(api_key=settings.openai_key, password=self.password)",
    "password = getpass.getpass()",
    "secret = load_secret(name)",
    "password=password, secret=client_secret, api_key=apiKey",
    "password: SecretStr",
    "PWD=/home/user/projects",
    "secret: file:/run/secrets/database",
    "secret:\n  client_id: something",
    "token: expected",
    "unexpected token: abcdefghijkl",
    "password: ------",
    "password: short",
]


@pytest.mark.parametrize(("text", "secret"), TAKEN)
def test_what_a_name_calls_a_secret_is_one(text: str, secret: str) -> None:
    raw = text.encode()
    assert [raw[start:end] for start, end in named(raw)] == [secret.encode()]


@pytest.mark.parametrize("text", LEFT)
def test_words_types_and_references_are_none(text: str) -> None:
    assert list(named(text.encode())) == []
