"""What a key looks like: made, recognised, digested.

It must not know where keys are kept. A plain key is shown once, when it is made; what is stored is its
SHA-256 digest, which needs no salt and no slow hash because the key is random, not chosen.

    fb-  0Jk...33 characters...Zq  1aB2cD
    |    |                         CRC-32 of all before it, in base62, 6 characters
    |    196 random bits in base62
    fixed, so that secret scanners find keys: fb-[0-9A-Za-z]{39}

The form follows https://github.blog/engineering/behind-githubs-new-authentication-token-formats/ (2021):
a CRC-32 sees every change within 32 bits in a row, so any one mistyped character or two swapped
neighbours are noticed without asking a store.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "fb-"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS: Final = 33
_CHECK_CHARACTERS: Final = 6
_ID_CHARACTERS: Final = 16


def mint_key() -> str:
    """Make a new plain key of 42 URL-safe characters, 196 bits of them random."""
    body = PREFIX + _random(_RANDOM_CHARACTERS)
    return body + _checksum(body)


def mint_key_id() -> str:
    """Make a key's public name: `key_` and 16 characters, in no relation to the key."""
    return "key_" + _random(_ID_CHARACTERS)


def is_well_formed(secret: str) -> bool:
    """Say whether `mint_key` can have made this; False for typos, cut keys and foreign secrets."""
    if len(secret) != len(PREFIX) + _RANDOM_CHARACTERS + _CHECK_CHARACTERS:
        return False
    if not secret.startswith(PREFIX) or not secret.isascii():
        return False
    body = secret[:-_CHECK_CHARACTERS]
    return body[len(PREFIX) :].isalnum() and secret == body + _checksum(body)


def digest_of(secret: str) -> bytes:
    """Digest a presented secret: 32 bytes. Any string has one, lone surrogates included."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode("ascii")), []
    for _ in range(_CHECK_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
