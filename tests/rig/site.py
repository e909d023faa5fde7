"""Two upstreams with one gateway in front of them, whose timeouts are short: where faults are played."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rig import chat
from rig.gateway import CREDENTIALS, ONCE, PATIENT, Gateway, running_gateway
from rig.script import events, plain, sse
from rig.upstream import Upstream, refusing_port, silent_port

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"
TIMEOUTS = {"connect_s": 0.5, "first_byte_s": 1.5, "gap_s": 1.5, "total_s": 6}
PATIENCE = {"connect_s": 30, "first_byte_s": 30, "gap_s": 30}
"""For upstreams that are never silent on purpose."""
SERVER = {"drain_s": 1.5, "header_timeout_s": 3}

JSON_TYPE = [("content-type", "application/json")]
SSE_TYPE = [("content-type", "text/event-stream")]
WHOLE = json.dumps(chat.completion()).encode()
"""What a whole answer is."""
STREAM = sse(*chat.chunks(usage=False))
"""The events of a streamed one, and the first of them, with no finish among them."""
BEGUN = STREAM[:3]

ROUTES = {
    "one": ["first"],
    "two": ["first", "second"],
    "dead": ["dead"],
    "silent": ["silent"],
    "dead-then-second": ["dead", "second"],
    "silent-then-second": ["silent", "second"],
}
"""The routes, and their backends in the order in which they are tried."""


@dataclass(frozen=True)
class Site:
    """The parts; `second` is well, `first` does what the test says."""

    gateway: Gateway
    client: httpx.Client
    first: Upstream
    second: Upstream

    def ask(self, model: str, *, stream: bool) -> httpx.Response:
        return self.client.post(PATH, json=CHAT | {"model": model, "stream": stream})

    def reset(self) -> None:
        self.first.reset()
        self.second.reset()
        self.second.answer_with(lambda seen: events(STREAM) if seen.json().get("stream") else plain(WHOLE))


@contextlib.contextmanager
def running_site(folder: Path, **changes: Any) -> Iterator[Site]:
    """Run a site; `changes` replace whole sections of its routing.yaml."""
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(Upstream()), stack.enter_context(Upstream())
        ports = {"dead": stack.enter_context(refusing_port()), "silent": stack.enter_context(silent_port())}
        urls = {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items()}
        urls |= {"first": first.base_url, "second": second.base_url}
        backends: dict[str, Any] = {
            name: {"base_url": url, "credentials": CREDENTIALS} for name, url in urls.items()
        }
        backends["second"]["timeouts"] = backends["dead"]["timeouts"] = PATIENCE
        routing = {
            "server": SERVER,
            "timeouts": TIMEOUTS,
            "breaker": PATIENT,
            "backends": backends,
            "routes": {
                name: {"targets": [{"backend": b} for b in order], "retry": ONCE}
                for name, order in ROUTES.items()
            },
        }
        gateway = stack.enter_context(running_gateway(folder, routing | changes))
        client = stack.enter_context(gateway.client(headers={"accept-encoding": "identity"}))
        yield Site(gateway, client, first, second)
