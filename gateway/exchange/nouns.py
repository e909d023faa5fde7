"""The nouns of a call: what the stages hand to each other.

Nothing here knows HTTP servers, HTTP clients, configuration files or wire formats.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from math import inf
from random import random
from time import monotonic, time
from typing import Any, Literal, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.exchange.price import Price
from gateway.exchange.trace import Trace
from gateway.exchange.usage import Usage

Format = Literal[
    # Generation: each can be translated into each other.
    "chat",
    "responses",
    "messages",
    "gemini",
    "converse",
    "cohere",
    "ollama",
    "completions",
    # How many tokens a request has.
    "count_tokens",
    "gemini_count",
    "converse_count",
    "responses_count",
    # Vectors and ranks.
    "embeddings",
    "gemini_embeddings",
    "cohere_embeddings",
    "titan_embeddings",
    "ollama_embeddings",
    "rerank",
    "voyage_rerank",
    # Relayed only.
    "moderations",
    "images",
    "image_edits",
    "speech",
    "transcriptions",
    "translations",
]
"""A wire dialect: the shape of one API's requests and answers, named after who defined it."""

Ending = Literal["finished", "broken", "client_gone", "refused", "failed", "bug"]
"""How a call ended: whole; cut after its beginning; left by the client; turned away by us (4xx);
without an answer of any upstream; or by a defect of the gateway."""

Reason = Literal["client_gone", "shutdown", "body_late"]
"""Why a running call is interrupted."""

Priority = Literal["interactive", "batch"]
Feature = Literal["tools", "images", "audio", "files", "json_schema", "reasoning"]
"""What a call may hold or ask for, and a model may take."""

Try = Literal["first", "next", "retry", "fallback", "hedge", "continue", "restart"]
"""Why an attempt was made: the first choice; another target; the same ones after a pause; a declared
fallback; beside a slow one; to go on with a broken stream, or to begin it anew."""

Headers = Sequence[tuple[bytes, bytes]]
"""Header lines as they came from the wire; names in any case."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who calls: the tenant that pays, the key (or token subject) it showed, what that may use.

    `routes` are globs over the requested model name; one that matches in every layer is enough.
    Layers are ANDed (tenant, then key): a lower layer only narrows.
    """

    tenant: str
    key: str
    routes: tuple[tuple[str, ...], ...] = ()
    tags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    priority: Priority = "interactive"
    """The best that its calls may have."""
    share: float = 1.0
    """Its part of a busy backend, against other tenants'."""
    team: str = ""
    """Of the key; empty: it has none."""
    timezone: str = "UTC"
    """In which the tenant's days and months begin."""
    class_: str = "default"
    """The class of its tenant: few for all tenants, so that metrics can tell them apart."""
    admin: bool = False
    """It sees the usage of all tenants. What it may call, and who pays for that, is as for any other key."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The few fields of a request that decisions need; the rest of the body stays unparsed."""

    model: str
    stream: bool = False
    wants_usage: bool = False
    """The client itself asked for `stream_options.include_usage`."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a backend wants sent: pure data, ready for a transport."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    dropped: tuple[str, ...] = ()
    """Members of the call that this very model or host refuses, and that were left out for that."""


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """Limits in seconds on an upstream attempt.

    `connect_s` until a connection is there, `first_byte_s` from the request to the first byte of the
    answer's body, `first_token_s` to its first content, `gap_s` between two reads of it, `total_s` for all
    of it.
    """

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    gap_s: float = 60.0
    total_s: float = 900.0
    first_token_s: float = inf


class FormField(msgspec.Struct, frozen=True, gc=False):
    """One part of a multipart form: its header lines as received, its field's name, its content."""

    name: str
    head: bytes
    content: bytes


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request, as the client sent it or translated for an upstream.

    `members` are those of its JSON body: unparsed (Raw) as received, values that JSON can be written from
    once translated. A multipart body has its fields in `form`, and in `members` only those that decide
    something.
    """

    format: Format
    caller: Caller
    envelope: Envelope
    members: Mapping[str, Any]
    headers: Mapping[str, str]
    """Lower-case names; only those that decide something."""
    form: tuple[FormField, ...] = ()
    translated: bool = False
    """It came in another format than it stands in now."""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """What we show an upstream. `repr` hides the secret, so that no log or traceback can hold it."""

    name: str
    secret: str
    kind: Literal["key", "token"] = "key"
    """A key of the provider's own, or an OAuth bearer token that was got for it."""

    def __repr__(self) -> str:
        """Name the credential without its secret."""
        return f"Credential({self.name!r})"


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known of a model; None: it is not known."""

    context_tokens: int | None = None
    """Prompt and answer together."""
    output_tokens: int | None = None
    takes: frozenset[Feature] | None = None
    prefill: bool = False
    """It goes on with a last message of the assistant, instead of answering it."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a decision may know of the world beside the call: the time, and chance.

    `now_s` is of the monotonic clock, `unix_s` the time of day; `draw` gives numbers in [0, 1).
    """

    now_s: float
    unix_s: float
    draw: Callable[[], float]

    @classmethod
    def now(cls) -> Moment:
        """Look at the clocks."""
        return cls(monotonic(), time(), random)


class Reply(msgspec.Struct):
    """What the client gets: status, headers, and a whole body or a generator of its pieces."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | AsyncGenerator[bytes, None]
    ending: Callable[[], None] | None = None
    """Called when all is known of it, before the end of it goes out."""


class KeptAnswer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer as its client got it: with its framing where it was streamed."""

    status: int
    content_type: bytes
    body: bytes
    at_s: float
    """Of the monotonic clock."""


class Attempt(msgspec.Struct):
    """One try upstream: where, why, how it went, and what it used. Times are of the monotonic clock."""

    backend: str
    model: str
    started_s: float
    why: Try = "first"
    seconds: float = 0.0
    """Until it was accepted, or had failed."""
    first_token_s: float | None = None
    cause: str = ""
    """The code of its error; empty for one whose answer the client got to its end."""
    usage: Usage | None = None
    told_early: Usage | None = None
    """What an answer that did not come to its end told of its usage before: the rest has to be counted."""
    transcript: Callable[[], str] | None = None
    """Gives what it has generated so far, for counting where the upstream never told; None: nothing was."""
    skipped_events: int = 0
    """Events of its stream that were damaged, and left out."""
    price: Price | None = None
    queued_s: float = 0.0
    """How long it waited for its turn at the backend."""
    connect_s: float = 0.0
    """How long the connection took; 0: one was there."""
    finish: str = ""
    """Why the answer ended, in the words of its format; empty: it did not tell."""
    answered_model: str = ""
    """The name that the answer gives the model; empty: none."""
    tier: str = ""
    """The class of service that the answer tells, as in `Usage`: also where it tells no usage."""
    call: Call | None = None
    """What was asked, in the client's format."""
    ended_s: float | None = None
    """When its answer was over; None: it still is under way, or it had none."""
    trace: Trace | None = None
    """The span that its upstream was told of; None: it was told of none."""

    def sent(self) -> None:
        """Its request was handed over: from here on something may be generated. So far that is empty."""
        self.transcript = str

    def unsent(self) -> None:
        """The upstream had closed that connection before: it has not got the request."""
        self.transcript = None


class Lease(Protocol):
    """What a call has taken of its limits. To end or settle it again changes nothing."""

    def has_room(self, price: Price | None) -> bool:
        """Reckon with the cost of one more attempt; False: more has to be taken first (`enlarge`)."""

    async def enlarge(self) -> bool:
        """Take what the attempts reckoned with lack; False: a limit does not have it."""

    def spare(self, price: Price | None) -> None:
        """Reckon no more with an attempt: it has cost nothing."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Tell the client what is left of its limits."""

    def end(self) -> None:
        """The call runs no more."""

    def cancel(self) -> None:
        """Give all of it back: the call goes another way, where other limits hold."""

    def settle(self, attempts: Sequence[Attempt]) -> None:
        """Give back what the attempts did not use."""


class Record(msgspec.Struct):
    """What is known of a call, filled in as it goes its way, and settled once at its end.

    Times are of the monotonic clock, in seconds; None for what did not happen.
    """

    call_id: str
    format: Format
    started_s: float
    tenant: str = ""
    key: str = ""
    model: str = ""
    route: str = ""
    stream: bool = False
    status: int = 0
    ending: Ending = "failed"
    attempts: list[Attempt] = []
    translated_to: Format | Literal[""] = ""
    """The format in which the upstream got the call, where it is another than the client's."""
    dropped: tuple[str, ...] = ()
    """The client's fields that were left out on the way."""
    first_byte_s: float | None = None
    error: GatewayError | None = None
    call: Call | None = None
    rule: str = ""
    """The name of the rule that held."""
    plan: object = None
    """The plan that was made, for whoever explains it: the nouns must not know it."""
    lease: Lease | None = None
    """None: no limit holds for it."""
    purpose: Literal["call", "shadow", "classify"] = "call"
    """A client's call; or one of our own, for another call: a copy of it, or a question about its task."""
    made_for: str = ""
    """The id of the call that it is made for."""
    cache: Literal["", "hit", "miss"] = ""
    """What came of looking for an earlier answer; empty: nobody looked."""
    likeness: float | None = None
    """How alike a copy's answer and the original's are, 0 to 1."""
    is_settled: bool = False
    trace: Trace | None = None
    """None: it belongs to none, and begins none."""
    class_: str = "default"
    """The class of its tenant."""
    received_s: float | None = None
    """When the whole request was there."""
    planned_s: float | None = None
    admitted_s: float | None = None
    when_settled: asyncio.Event | None = None
    """Set once the call was entered, where somebody waits for that."""

    @property
    def backend(self) -> str:
        """Who answered, else who was asked last; empty: nobody was."""
        attempts = self.attempts
        if not attempts:
            return ""
        return next((attempt.backend for attempt in attempts if not attempt.cause), attempts[-1].backend)


class Flight:
    """A running call as seen from outside: it can be interrupted, for a reason, now or later."""

    __slots__ = ("_call_later", "_cancel", "reason")

    def __init__(
        self, cancel: Callable[[], object], call_later: Callable[..., asyncio.TimerHandle] | None = None
    ) -> None:
        self._cancel = cancel
        self._call_later = call_later
        self.reason: Reason | Literal[""] = ""

    def interrupt(self, reason: Reason) -> None:
        """Cancel the call's task; the first reason counts, further ones change nothing."""
        if not self.reason:
            self.reason = reason
            self._cancel()

    def interrupt_after(self, seconds: float, reason: Reason) -> asyncio.TimerHandle:
        """Interrupt the call then, unless the timer that is returned is cancelled before."""
        call_later = self._call_later or asyncio.get_running_loop().call_later
        return call_later(seconds, self.interrupt, reason)


class Arrival(msgspec.Struct, frozen=True):
    """A request at the door: its head, and the two ways to talk to the client."""

    call_id: str
    format: Format
    headers: Mapping[str, str]
    flight: Flight
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    """The next `http.request` message of ASGI."""
    deliver: Callable[[Reply], Awaitable[None]]
    """Send the reply; returns when its last byte was handed to the server."""
    named: Mapping[str, msgspec.Raw] = {}
    """What the URL says of the call where its format puts it there: members `model` and `stream`."""
    peer: Sequence[Any] | None = None
    """Address and port of the other end of the connection, where they are known."""
