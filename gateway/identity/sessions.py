"""Sessions of people at the dashboard: who has shown a key once carries a signed note of it for 12 hours.

It must not know cookies or HTTP. Nothing is kept of a session: what it says is signed (HMAC-SHA256), and the
key that it names is looked up anew at every request, so that a revoked or expired key ends its sessions at
once. Of the key itself it holds no more than the public id, and a mark that only the gateway can compare.
Source: RFC 2104 (HMAC).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

import msgspec

LIFE_S: Final = 12 * 3600
"""From the login; it is not put off by use."""

_LONGEST: Final = 512
_FORM: Final = re.compile(r"([1-9][0-9]{0,11})\.([0-9a-f]{32})\.([0-9a-f]{64})\.([A-Za-z0-9_.-]{1,128})")
_NOTE: Final = b"forebay session 1\0"
_MARK: Final = b"forebay session key 1\0"


class Claim(msgspec.Struct, frozen=True):
    """What a session that was signed here says: the id of its key, and the mark of that key's digest."""

    key_id: str
    mark: str


class Sessions:
    """Signs and reads sessions; all workers have the same `secret`. Pure."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def begin(self, key_id: str, digest: bytes, now_unix_s: float) -> str:
        """Write a session of the key with this id and digest: of characters that a cookie may have."""
        ends = int(now_unix_s) + LIFE_S
        mark = self._mark_of(digest)
        return f"{ends}.{mark}.{self._signature(ends, mark, key_id)}.{key_id}"

    def read(self, session: str, now_unix_s: float) -> Claim | None:
        """Return what a session says; None for one that has ended, or was not written here."""
        found = _FORM.fullmatch(session) if len(session) <= _LONGEST else None
        if found is None:
            return None
        ends, mark, shown, key_id = found.groups()
        if not hmac.compare_digest(shown, self._signature(int(ends), mark, key_id)):
            return None
        return Claim(key_id, mark) if now_unix_s < int(ends) else None

    def fits(self, claim: Claim, digest: bytes) -> bool:
        """Tell whether the session was begun with the very key that has this digest."""
        return hmac.compare_digest(claim.mark, self._mark_of(digest))

    def _signature(self, ends: int, mark: str, key_id: str) -> str:
        text = f"{ends}.{mark}.{key_id}".encode()
        return hmac.new(self._secret, _NOTE + text, hashlib.sha256).hexdigest()

    def _mark_of(self, digest: bytes) -> str:
        return hmac.new(self._secret, _MARK + digest, hashlib.sha256).hexdigest()[:32]
