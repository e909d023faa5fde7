"""Upstreams that fail before they have read a request: at the connection, and at TLS.

Their certificates are made here; a gateway trusts those of `Authority` when it is started with `trusting`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rig.upstream import Upstream

_LINGER_ZERO = struct.pack("ii", 1, 0)
_DAY = dt.timedelta(days=1)

Greeting = Callable[[asyncio.Transport], None]


def resets(transport: asyncio.Transport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def closes(transport: asyncio.Transport) -> None:
    transport.close()


def answers_in_plain(transport: asyncio.Transport) -> None:
    """As nginx does when TLS is spoken to its plain port."""
    transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    transport.close()


def talks_garbage(transport: asyncio.Transport) -> None:
    transport.write(bytes(range(256)))
    transport.close()


def says_nothing(_: asyncio.Transport) -> None:
    """The connection stays open."""


class _Entry(asyncio.Protocol):
    """One connection, greeted when it is made or when its first bytes have come."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._door.live.add(self)
        if self._door.at_once:
            self._door.greet(transport)

    def data_received(self, data: bytes) -> None:
        if not self._door.at_once:
            self._door.greet(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.live.discard(self)

    def drop(self) -> None:
        self._transport.abort()


class Door(Upstream):
    """Listens, and greets each connection; it never reads a request."""

    def __init__(self, greet: Greeting, *, at_once: bool = False) -> None:
        super().__init__()
        self.greet, self.at_once = greet, at_once

    def accept(self) -> asyncio.Protocol:
        return _Entry(self)


def tls_of(pem: Path) -> ssl.SSLContext:
    """What a server needs to show this certificate, which is in the file with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class Authority:
    """Signs certificates, and writes them to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the rig's authority")])
        self.path = self.issue("authority", self._key, issuer=True)

    def good(self) -> Path:
        return self.issue("good")

    def expired(self) -> Path:
        return self.issue("expired", ends=-_DAY)

    def for_another_host(self) -> Path:
        return self.issue("another", host=x509.DNSName("another.invalid"))

    def unknown(self) -> Path:
        """Signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self.issue("unknown", key, signed_by=key)

    def issue(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey | None = None,
        *,
        issuer: bool = False,
        ends: dt.timedelta = _DAY,
        host: x509.GeneralName | None = None,
        signed_by: ec.EllipticCurvePrivateKey | None = None,
    ) -> Path:
        """Make a certificate; gives the file that holds it and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        by_itself = issuer or signed_by is not None
        subject = self._name if issuer else own
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if by_itself else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * _DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=issuer, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([host or x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(signed_by or self._key, hashes.SHA256())
        )
        path = self._folder / f"{name}.pem"
        form = serialization.PrivateFormat.PKCS8
        pem = serialization.Encoding.PEM
        path.write_bytes(
            certificate.public_bytes(pem) + key.private_bytes(pem, form, serialization.NoEncryption())
        )
        return path

    @contextlib.contextmanager
    def trusted(self) -> Iterator[None]:
        """What is started meanwhile takes this authority's word, by OpenSSL's own variable."""
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(self.path)
        try:
            yield
        finally:
            if before is None:
                del os.environ["SSL_CERT_FILE"]
            else:
                os.environ["SSL_CERT_FILE"] = before
