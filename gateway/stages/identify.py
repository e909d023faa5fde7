"""Say who calls, from the credential in the request's head."""

from __future__ import annotations

from collections.abc import Mapping
from time import time

from gateway.exchange import Caller
from gateway.identity.gate import Identity


async def identify(headers: Mapping[str, str], identity: Identity) -> Caller:
    """Return the caller. Raises Unauthenticated for every reason alike, StoreDown when nobody can tell."""
    shown = headers.get("authorization")
    now_unix_s = time()
    return identity.lookup(shown, now_unix_s) or await identity.identify(shown, now_unix_s)
