"""Read where a Redis is from its URL, and find the one server that keeps our keys.

    redis://[user:password@]host[:port][/db]       rediss:// with TLS
    unix://[user:password@]/path/of/socket[?db=0]
    redis+sentinel://[user:password@]host:port,host:port/service[/db]
    redis+cluster://[user:password@]host:port,host:port

All our keys carry the tag `{forebay}`, so that of a cluster, too, one server has them all. With TLS
(`rediss+sentinel://` and `rediss+cluster://` as well) the URL's query may say `ssl_ca_certs`, `ssl_certfile`,
`ssl_keyfile` and `ssl_cert_reqs=none`; with sentinels `sentinel_username` and `sentinel_password`.

Must not know what is kept. Sources: redis.io/docs, "Cluster specification" and "Guidelines for Redis clients
with Redis Sentinel".
"""

from __future__ import annotations

import ssl
from binascii import crc_hqx
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from redis.asyncio import Redis

TAG = "{forebay}:"
_SLOT = crc_hqx(b"forebay", 0) % 16_384
_PORT, _SENTINEL_PORT = 6379, 26_379
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


class Address(msgspec.Struct, frozen=True):
    """Of one server: a host and port, or the path of a socket."""

    host: str = ""
    port: int = _PORT
    path: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says. `addresses` are of the server, or of sentinels or nodes that know where it is."""

    kind: Literal["server", "sentinel", "cluster"]
    addresses: tuple[Address, ...]
    service: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    is_encrypted: bool = False
    options: dict[str, str] = {}

    async def find(self, patience_s: float) -> Address:
        """Return the address of the server that takes our writes now. Raises RedisError, OSError."""
        if self.kind == "server":
            return self.addresses[0]
        if self.kind == "sentinel":
            return await self._ask_sentinels(patience_s)
        return await self._ask_nodes(patience_s)

    def client(self, address: Address, patience_s: float, **settings: Any) -> Redis:
        """Return a client of one server."""
        from redis.asyncio import Redis

        if address.path:
            settings["unix_socket_path"] = address.path
        return Redis(
            host=address.host,
            port=address.port,
            db=self.db,
            username=self.username or None,
            password=self.password or None,
            **self._connecting(patience_s),
            **settings,
        )

    def tls(self) -> ssl.SSLContext | None:
        """Return how connections are encrypted."""
        if not self.is_encrypted:
            return None
        context = ssl.create_default_context(cafile=self.options.get("ssl_ca_certs"))
        if self.options.get("ssl_cert_reqs") == "none":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "ssl_certfile" in self.options:
            context.load_cert_chain(self.options["ssl_certfile"], self.options.get("ssl_keyfile"))
        return context

    async def _ask_sentinels(self, patience_s: float) -> Address:
        from redis.asyncio import Sentinel

        untyped: Any = Sentinel
        sentinels = untyped(
            [(address.host, address.port) for address in self.addresses],
            sentinel_kwargs={
                "username": self.options.get("sentinel_username"),
                "password": self.options.get("sentinel_password"),
                **self._connecting(patience_s),
            },
        )
        try:
            host, port = await sentinels.discover_master(self.service)
        finally:
            await sentinels.aclose()
        return Address(str(host), int(port))

    async def _ask_nodes(self, patience_s: float) -> Address:
        from redis.exceptions import RedisError

        node: Any
        failure: Exception = ConnectionError("no node of the cluster knows who has our keys")
        for address in self.addresses:
            try:
                async with self.client(address, patience_s) as node:
                    ranges = await node.execute_command("CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                failure = error
                continue
            if (owner := _owner(ranges, address)) is not None:
                return owner
        raise failure

    def _connecting(self, patience_s: float) -> dict[str, Any]:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        settings: dict[str, Any] = {
            "socket_connect_timeout": patience_s,
            "socket_timeout": patience_s,
            "ssl": self.is_encrypted,
        }
        # Whoever wants a connection tries again itself.
        settings["retry"] = Retry(NoBackoff(), 0)
        if self.is_encrypted:
            settings |= {name: self.options[name] for name in _TLS_OPTIONS if name in self.options}
        return settings


def place_of(url: str) -> Place:
    """Read a URL. Raises ValueError."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query))
    path = [unquote(piece) for piece in parts.path.split("/") if piece]
    service = path.pop(0) if kind == "sentinel" and path else ""
    if scheme == "unix":
        addresses: tuple[Address, ...] = (Address(path=unquote(parts.path)),)
        path = []
    else:
        port = _SENTINEL_PORT if kind == "sentinel" else _PORT
        addresses = tuple(_address(host, port) for host in hosts.split(","))
    return Place(
        kind=msgspec.convert(kind or "server", Literal["server", "sentinel", "cluster"]),
        addresses=addresses,
        service=service,
        db=int(options.pop("db", path[0] if path else 0)),
        username=unquote(username) or options.pop("username", ""),
        password=unquote(password) or options.pop("password", ""),
        is_encrypted=scheme == "rediss",
        options=options,
    )


def _address(text: str, port: int) -> Address:
    parts = urlsplit(f"//{text}")
    return Address(parts.hostname or "127.0.0.1", parts.port or port)


def _owner(ranges: Sequence[Any], asked: Address) -> Address | None:
    """Find who has our slot by CLUSTER SLOTS; the node that was asked may leave out its own name."""
    for first, last, owner, *_ in ranges:
        if first <= _SLOT <= last:
            host = owner[0].decode() if isinstance(owner[0], bytes) else owner[0]
            return Address(host if host and host != "?" else asked.host, int(owner[1]))
    return None
