"""Try whether a place can be reached: its name, its port, its certificate. Sends nothing beyond TLS.

Must not know what answers there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from gateway.commands.doctor.running import aside

WITHIN_S: Final = 5.0
_DAY_S: Final = 86_400
_EXPIRED, _NOT_YET_VALID = 10, 9
"""OpenSSL's codes, of x509_vfy.h."""


class Reach(msgspec.Struct, frozen=True):
    """How it went. `problem` is empty where the place was reached; `certificate_s`: so long it is valid."""

    place: str
    problem: str = ""
    todo: str = ""
    certificate_s: float | None = None


async def reach(url: str, within_s: float = WITHIN_S) -> Reach:
    """Connect to the host and port of a URL, with TLS for https."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with asyncio.timeout(within_s):
            await aside(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):  # a TimeoutError is one
        return Reach(place, f"the name {host} cannot be resolved", f"Correct it, or try: getent hosts {host}")
    try:
        async with asyncio.timeout(within_s):
            return Reach(place, certificate_s=await _connect(host, port, is_tls=is_tls))
    except (OSError, ssl.CertificateError) as error:
        problem, todo = _reason(error, place)
        return Reach(place, problem, todo)


async def _connect(host: str, port: int, *, is_tls: bool) -> float | None:
    """Connect and leave; gives for how many seconds its certificate is valid."""
    _, writer = await asyncio.open_connection(
        host, port, ssl=ssl.create_default_context() if is_tls else None
    )
    shown = writer.get_extra_info("peercert")
    writer.transport.abort()
    return ssl.cert_time_to_seconds(shown["notAfter"]) - time.time() if shown else None


def _reason(error: OSError, place: str) -> tuple[str, str]:
    """Say what went wrong, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, place)
    if isinstance(error, ssl.SSLError):
        return f"{place} does not speak TLS ({error.reason or 'no TLS'})", "Write http:// or another port."
    if isinstance(error, ConnectionRefusedError):
        return f"{place} refuses connections", "Start what should listen there, or correct the address."
    if isinstance(error, TimeoutError):
        todo = "Let this machine through the firewall; a proxy is used by `transport: httpx` only."
        return f"{place} does not answer", todo
    return f"{place} cannot be reached: {error.strerror or type(error).__name__}", "Look at the network path."


def _untrusted(error: ssl.SSLCertVerificationError, place: str) -> tuple[str, str]:
    why = f"the certificate of {place} is not accepted: {error.verify_message}"
    if error.verify_code == _EXPIRED:
        return why, "Renew it there."
    if error.verify_code == _NOT_YET_VALID:
        return why, "Set this machine's clock, or wait until it is valid."
    return why, "Correct the host name, or name your authority: SSL_CERT_FILE=/path/to/authorities.pem"


def days(seconds: float) -> str:
    """Write a time in whole days."""
    count = int(seconds // _DAY_S)
    return f"{count} day" if count == 1 else f"{count} days"
