"""Sign requests for AWS with credentials that AWS's own tools find, and keep these fresh.

Must not know which service it signs for beyond its name, nor what is in a request. Credentials come from
where every AWS tool looks: environment, shared files, web identity, roles, the container's or machine's
own. Finding them takes files and network, so a thread does it; `sign` never waits.

Source: AWS, "Signature Version 4 for API requests" and "Standardized credential providers" (checked
2026-11). Finding and signing are botocore's. A signature takes 60 us on a body of 1 KiB.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.errors import ConfigError, Refused
from gateway.exchange import Request

if TYPE_CHECKING:
    from botocore.auth import SigV4Auth
    from botocore.credentials import Credentials

_log = logging.getLogger(__name__)

_REFRESH_S: Final = 60.0
"""Credentials that end renew themselves 15 minutes before, when they are looked at."""
_RETRY_S: Final = 5.0
_SIGNED: Final = ("content-type",)
"""The host and the date are signed anyway; other headers may be changed on their way."""
_OTHER_FAILURES: Final = (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError)
"""What else botocore lets through: a RuntimeError when renewed credentials have ended already, and whatever
comes of answers and files that are not as they should be. One of these must not end `follow`."""


class AwsSigner:
    """Signs for one service in one region, with the credentials of `profile` (None: the usual ones).

    Raises ConfigError when botocore is not installed.
    """

    def __init__(self, region: str, profile: str | None = None, service: str = "bedrock") -> None:
        if find_spec("botocore") is None:
            hint = "install it with: pip install 'forebay[bedrock]'"
            raise ConfigError("routing.yaml", 0, "auth", "signing for AWS needs botocore", hint)
        # At debug it writes session tokens, and answers with new secrets, into the log.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        self._region = region
        self._profile = profile
        self._service = service
        self._found: Credentials | None = None
        self._signature: SigV4Auth | None = None
        self._failure = "not looked for yet"

    def sign(self, request: Request) -> Request:
        """Return the request with its signature. Raises Refused while there are no credentials."""
        if self._signature is None:
            raise Refused(
                "the gateway has no AWS credentials for this upstream",
                status=503,
                code="upstream_no_token",
                detail=self._failure,
            )
        from botocore.awsrequest import AWSRequest

        shown = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = AWSRequest(request.method, request.url, headers=shown, data=request.body)
        self._signature.add_auth(signed)
        proof = {name.lower(): value for name, value in signed.headers.items()}
        return msgspec.structs.replace(request, headers={**request.headers, **proof})

    async def follow(self) -> None:
        """Find the credentials and keep them fresh until cancelled; a failure is logged and outlived."""
        while True:
            await self.catch_up()
            await asyncio.sleep(_REFRESH_S if self.state()[0] else _RETRY_S)

    async def catch_up(self) -> None:
        """Find the credentials, or look at those found again. Never raises."""
        failure = await asyncio.to_thread(self._look)
        if failure and failure != self._failure:
            _log.warning("the AWS credentials cannot be used (%s)", failure)
        self._failure = failure

    def state(self) -> tuple[bool, str]:
        """Say whether the credentials are fresh, and the same in words for people."""
        place = f"profile {self._profile}" if self._profile else "AWS"
        return not self._failure, self._failure or f"credentials of {place}"

    def _look(self) -> str:
        """Find credentials and freeze them for signing; returns why that failed, empty when it did not.

        What was found before is kept: it may be good until it ends.
        """
        from botocore.auth import SigV4Auth
        from botocore.credentials import RefreshableCredentials
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            # Only credentials that end renew themselves: others may have been written anew since.
            if not isinstance(self._found, RefreshableCredentials):
                self._found = self._search() or self._found
            if self._found is None:
                return "no credentials were found"
            frozen: Any = self._found.get_frozen_credentials()
        except (BotoCoreError, ClientError, *_OTHER_FAILURES) as error:
            return f"{type(error).__name__}: {error}"
        self._signature = SigV4Auth(frozen, self._service, self._region)
        return ""

    def _search(self) -> Credentials | None:
        from botocore.session import Session

        found: Credentials | None = Session(profile=self._profile).get_credentials()
        return found
