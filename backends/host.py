"""What every configured place has in common, and the header lines that go to each."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Literal

import msgspec

from gateway.exchange import Call, Format

OutputLimit = Literal["max_tokens", "max_completion_tokens"]
USER_AGENT = "forebay"
ACCEPT_ENCODING = "gzip, deflate, br, zstd"
_HEADERS = {"content-type": "application/json", "user-agent": USER_AGENT}


class Host(msgspec.Struct, frozen=True):
    """What a configured host is: where, which formats (the preferred first), header lines of our own.

    `ask_usage` says that its streams tell their usage when they are asked to; `output_limit` is what it
    calls the limit on generated tokens.
    """

    base_url: str
    formats: tuple[Format, ...] = ()
    headers: Mapping[str, str] = {}
    ask_usage: bool = True
    output_limit: OutputLimit = "max_tokens"


def left_out(given: Container[str], sent: Container[str], names: Iterable[str]) -> tuple[str, ...]:
    """Return those of `names` that were given and are not sent."""
    return tuple(name for name in names if name in given and name not in sent)


def opening_headers(host: Host, call: Call, forwarded: tuple[str, ...] = ()) -> dict[str, str]:
    """Begin the header lines of a request: all but the credential's.

    `forwarded` are the client's header lines that change what this upstream does; all others stay here.
    A compressed stream would be held back by the compressor; whole answers gain from compression.
    """
    coding = "identity" if call.envelope.stream else ACCEPT_ENCODING
    headers = {**_HEADERS, "accept-encoding": coding, **host.headers}
    for name in forwarded:
        if name in call.headers:
            headers[name] = call.headers[name]
    return headers
