"""From an Authorization header, or a session, to a Caller, or to one refusal that tells a stranger nothing.

It must not know how keys and tokens are checked. Source: RFC 6750 section 2.1; RFC 9110 section 11.1
(the scheme's name is case-insensitive).
"""

from __future__ import annotations

from secrets import token_bytes
from typing import Final

from gateway.errors import Unauthenticated
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.keys import digest_of
from gateway.identity.sessions import Sessions
from gateway.identity.strangers import Origin, Strangers
from gateway.identity.tokens import TokenVerifier

REFUSAL: Final = (
    "missing or invalid credentials; "
    "send 'Authorization: Bearer <key>', or the key as x-api-key or x-goog-api-key"
)
NOT_LOGGED_IN: Final = "this is no valid key; a token of an identity provider cannot log in here"
_SESSION_ENDED: Final = "your session has ended; log in again"
_LONGEST_SECRET: Final = 16_384
"""In characters; more is refused unread, so that no one makes the gateway digest megabytes."""

_DOTS_OF_A_JWT: Final = 2
_NOWHERE: Final = Origin()


class Identity:
    """Asks the keys, then the issuers' tokens (None: no issuer is configured).

    `strangers` limits what is asked for whom; `sessions` are of people who have shown a key once (by default
    they end with the process).
    """

    def __init__(
        self,
        directory: KeyDirectory,
        tokens: TokenVerifier | None = None,
        strangers: Strangers | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._strangers = strangers or Strangers()
        self._sessions = sessions or Sessions(token_bytes())

    def lookup(self, authorization: str | None, now_unix_s: float) -> Caller | None:
        """Say who calls without waiting: a known key, or a token seen before; None: ask `identify`."""
        secret = _bearer(authorization)
        if secret is None:
            return None
        digest = digest_of(secret)
        caller = self._directory.find(digest, now_unix_s)
        if caller is None and self._tokens is not None:
            caller = self._tokens.find(digest, now_unix_s)
        return caller

    async def identify(
        self, authorization: str | None, now_unix_s: float, origin: Origin = _NOWHERE
    ) -> Caller:
        """Say who calls. May wait for the key store, or 3 s for an issuer's keys.

        Raises Unauthenticated, with the same message for every reason; StoreDown where the credential may be
        good but those who would know it do not answer; QuotaExceeded where too many from there were not.
        """
        caller = self.lookup(authorization, now_unix_s)
        secret = _bearer(authorization)
        if caller is None and secret is not None:
            with await self._strangers.admit(origin) as trial:
                caller = await self._ask(secret, now_unix_s)
                trial.proven = caller is not None
        if caller is None:
            raise Unauthenticated(REFUSAL)
        return caller

    async def log_in(self, key: str, now_unix_s: float, origin: Origin = _NOWHERE) -> str:
        """Return a session of whoever has this key, for `resume`. May wait for the key store.

        Raises Unauthenticated, StoreDown and QuotaExceeded, as `identify` does and counted with its failures.
        """
        secret = _bearer(f"Bearer {key}")
        caller = None
        if secret is not None:
            caller = self._directory.find(digest_of(secret), now_unix_s)
        if secret is not None and caller is None:
            with await self._strangers.admit(origin) as trial:
                caller = await self._directory.search(secret, now_unix_s)
                trial.proven = caller is not None
        if secret is None or caller is None:
            raise Unauthenticated(NOT_LOGGED_IN)
        return self._sessions.begin(caller.key, digest_of(secret), now_unix_s)

    async def resume(self, session: str, now_unix_s: float) -> Caller:
        """Say whose session this is: as its key stands now, which may have been revoked meanwhile.

        Raises Unauthenticated; StoreDown where nobody can tell. No failure is counted: none can be guessed,
        and a page that asks ten things at once with yesterday's session must not shut its reader out.
        """
        claim = self._sessions.read(session, now_unix_s)
        digests = [] if claim is None else await self._directory.digests_of(claim.key_id)
        for digest in digests:
            if claim is not None and self._sessions.fits(claim, digest):
                caller = self._directory.find(digest, now_unix_s)
                if caller is not None:
                    return caller
        raise Unauthenticated(_SESSION_ENDED, code="session_ended")

    def trusts(self, peer: str) -> bool:
        """Tell whether an address is one of our own proxies."""
        return self._strangers.trusts(peer)

    async def _ask(self, secret: str, now_unix_s: float) -> Caller | None:
        if self._tokens is not None and secret.count(".") == _DOTS_OF_A_JWT:
            return await self._tokens.identify(secret, now_unix_s)
        return await self._directory.search(secret, now_unix_s)


def _bearer(authorization: str | None) -> str | None:
    """Take the secret out of the header's value; None where there is none of a sane length."""
    if authorization is None or authorization[:7].lower() != "bearer ":
        return None
    secret = authorization[7:].strip()
    return secret if 0 < len(secret) <= _LONGEST_SECRET else None
