"""Say who calls, from the credential in the request's head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from gateway.exchange import Caller
from gateway.identity.gate import Identity
from gateway.identity.strangers import Origin


async def identify(
    headers: Mapping[str, str], identity: Identity, peer: Sequence[Any] | None = None
) -> Caller:
    """Return the caller; `peer` is the address and the port of the connection, as ASGI has them.

    Raises Unauthenticated for every reason alike, StoreDown when nobody can tell, QuotaExceeded when too many
    from there were unknown.
    """
    shown = headers.get("authorization")
    now_unix_s = time()
    caller = identity.lookup(shown, now_unix_s)
    if caller is not None:
        return caller
    origin = Origin(peer[0] if peer else "", headers.get("x-forwarded-for", ""))
    return await identity.identify(shown, now_unix_s, origin)
