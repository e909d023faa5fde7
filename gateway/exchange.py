"""The nouns of a call: what the stages hand to each other.

Data only. Nothing here knows HTTP servers, HTTP clients, configuration files or wire formats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import msgspec

Format = Literal["chat", "completions", "embeddings"]
"""A wire dialect: OpenAI chat completions, the older completions, embeddings."""

CauseOfEnd = Literal["finished", "broken", "client_gone", "failed"]


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who calls: the tenant that pays, the key (or token subject) it showed, what that may use.

    `routes` are globs over the requested model name; one that matches in every layer is enough.
    Layers are ANDed (tenant, then key): a lower layer only narrows.
    """

    tenant: str
    key: str
    routes: tuple[tuple[str, ...], ...] = ()


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The few fields of a request that decisions need; the rest of the body stays unparsed."""

    model: str
    stream: bool = False
    wants_usage: bool = False
    """The client itself asked for `stream_options.include_usage`."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one attempt by kind.

    `input_tokens` includes `cached_tokens` and `cache_write_tokens`; `output_tokens` includes
    `reasoning_tokens`. `origin` says who counted: the upstream, or our tokenizer on what passed by.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    origin: Literal["reported", "counted"] = "reported"


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a backend wants sent: pure data, ready for a transport."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    stream: bool = False
    method: str = "POST"


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """Limits in seconds on an upstream attempt.

    `connect_s` until a connection is there, `first_byte_s` from the request to the first byte of the
    answer's body, `gap_s` between two reads of it, `total_s` for all of it.
    """

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    gap_s: float = 60.0
    total_s: float = 900.0


class Call(msgspec.Struct, gc=False):
    """One request of a client, as received. `fields` are the members of its JSON body, unparsed."""

    id: str
    format: Format
    caller: Caller
    envelope: Envelope
    fields: Mapping[str, msgspec.Raw]
    headers: Mapping[str, str]
    """Lower-case names; only those that may matter upstream."""
    size_bytes: int
    started_s: float
    """Monotonic clock."""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """What we show an upstream. `repr` hides the secret, so that no log or traceback can hold it."""

    name: str
    secret: str

    def __repr__(self) -> str:
        """Name the credential without its secret."""
        return f"Credential({self.name!r})"


class Reply(msgspec.Struct, gc=False):
    """What the client gets: status, headers, and a whole body or an iterator of its pieces."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | AsyncIterator[bytes]


Json = dict[str, Any]
