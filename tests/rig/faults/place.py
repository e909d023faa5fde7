"""Where faults are played: the upstreams that fail, one that is well, and one gateway in front of them.

The name of the model says all: `lone-` or `backed-` (by a fallback), the backend, the fault, and the case,
so that each call has deployments of its own, and none suffers from what another one did to its upstream.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rig.faults.connecting import running_doors
from rig.faults.doors import Authority
from rig.faults.fault import (
    CONNECT_MS,
    DEADLINE_MS,
    FIRST_TOKEN_MS,
    GAP_MS,
    MAX_ANSWER_BYTES,
    MAX_EVENT_BYTES,
    PATIENCE_MS,
    Fault,
    Limit,
)
from rig.faults.hearing import DIALECTS, Heard, Listener
from rig.faults.wire import SPARE_WORDS, well
from rig.gateway import CREDENTIALS, KEY, Gateway, running_gateway
from rig.script import Answer
from rig.upstream import Seen, Upstream

_MODEL_IN_PATH = re.compile(r"/models/([^:?]+)")
_MODES = {False: "whole", True: "stream"}
_KEYS = {"two_keys": CREDENTIALS, "one_key": CREDENTIALS[:1]}

LIMITS = {
    "max_first_token_ms": PATIENCE_MS,
    "max_latency_ms": PATIENCE_MS,
    "max_gap_ms": PATIENCE_MS,
    "deadline_ms": PATIENCE_MS + 3000,
}
SHORT: dict[Limit, dict[str, int]] = {
    "first_token": {"max_first_token_ms": FIRST_TOKEN_MS, "max_latency_ms": FIRST_TOKEN_MS},
    "gap": {"max_gap_ms": GAP_MS},
    "deadline": {"deadline_ms": DEADLINE_MS},
}
"""What the routes of a fault have that meets a limit; connecting is limited where its backend is."""
FALLBACKS = [
    {"on": ["context_length"], "targets": [{"backend": "large"}]},
    {"on": ["content_filter"], "targets": [{"backend": "lenient"}]},
    {"targets": [{"backend": "well"}]},
]
NATIVE = {
    "native_messages": {"provider": "anthropic"},
    "native_gemini": {"provider": "gemini"},
    "native_responses": {"formats": ["responses"]},
}


@dataclass(frozen=True)
class Place:
    """The parts, and the calls that are put to them."""

    gateway: Gateway
    faulty: Upstream
    well: Upstream
    listeners: dict[str, Listener]
    faults: dict[str, Fault]
    turns: Counter[str] = field(default_factory=Counter)
    """How many attempts of each model came to the upstream that fails."""

    def ask(self, fault: Fault, dialect: str, *, stream: bool, terms: str = "lone") -> Heard:
        """Ask as this SDK does, on these terms, for a model of which the upstream does this."""
        return self.listeners[dialect].ask(
            model_of(fault, dialect, stream=stream, terms=terms), stream=stream
        )

    def attempts(self, model: str) -> list[Seen]:
        """The requests that came to the failing upstream."""
        return [seen for seen in list(self.faulty.seen) if asked_model(seen) == model]

    def fallbacks(self, model: str) -> list[Seen]:
        """Those that came to the others."""
        return [seen for seen in list(self.well.seen) if asked_model(seen) == model]

    def forget(self) -> None:
        """Forget what was seen."""
        self.faulty.seen.clear()
        self.well.seen.clear()

    def answer(self, seen: Seen) -> Answer:
        """Play the fault that the model's name says."""
        model = asked_model(seen)
        turn, self.turns[model] = self.turns[model], self.turns[model] + 1
        name, _, mode = model.split("-", 2)[2].split(".")
        case = self.faults[name].case(stream=mode == "stream")
        assert case is not None, model
        return case.play if isinstance(case.play, Answer) else case.play(seen, turn)


def model_of(fault: Fault, dialect: str, *, stream: bool, terms: str) -> str:
    """The name that says what is to happen."""
    return f"{terms}-{fault.backend}-{fault.name}.{dialect}.{_MODES[stream]}"


def asked_model(seen: Seen) -> str:
    """The model of a request; Google's API has it in the path."""
    found = _MODEL_IN_PATH.search(seen.path)
    return found[1] if found else seen.model


@contextlib.contextmanager
def running_place(
    folder: Path,
    faults: Iterable[Fault],
    ways: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    **sections: Any,
) -> Iterator[Place]:
    """Run all of it. `ways` are terms beside `lone` and `backed`, `sections` further ones of routing.yaml."""
    known = {fault.name: fault for fault in faults}
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        certificates = folder / "certificates"
        certificates.mkdir(parents=True)
        authority = Authority(certificates)
        doors = enter(running_doors(authority))
        faulty, spring = enter(Upstream()), enter(Upstream())
        enter(authority.trusted())
        routing = _routing(known, doors, faulty, spring) | sections
        for fault in known.values():
            if fault.limit == "connect":
                routing["backends"][fault.backend]["timeouts"] = {"connect_s": CONNECT_MS / 1000}
        for terms, way in ways.items():
            routing["routes"][f"{terms}-faulty-*"] = {"limits": LIMITS, "targets": _at("faulty")} | way
        gateway = enter(running_gateway(folder / "gateway", routing))
        listeners = {dialect: Listener(dialect, gateway.url, KEY) for dialect in DIALECTS}
        for listener in listeners.values():
            stack.callback(listener.close)
        place = Place(gateway, faulty, spring, listeners, known)
        faulty.answer_with(place.answer)
        spring.answer_with(lambda seen: well(SPARE_WORDS, streamed=bool(seen.json().get("stream"))))
        yield place


def _at(*backends: str) -> list[dict[str, str]]:
    return [{"backend": backend} for backend in backends]


def _routing(
    faults: dict[str, Fault], doors: dict[str, str], faulty: Upstream, spring: Upstream
) -> dict[str, Any]:
    root = f"http://127.0.0.1:{faulty.port}"
    backends: dict[str, Any] = {name: _backend(url) for name, url in doors.items()}
    backends["faulty"] = _backend(f"{root}/v1")
    for name in ("well", "large", "lenient"):
        backends[name] = _backend(f"http://127.0.0.1:{spring.port}/{name}/v1")
    for name, more in NATIVE.items():
        backends[name] = _native(root, more)
    routes: dict[str, Any] = {}
    for backend in [*doors, "faulty", *NATIVE]:
        routes[f"lone-{backend}-*"] = _route(backend, backed=False)
        routes[f"backed-{backend}-*"] = _route(backend, backed=True)
    for fault in (one for one in faults.values() if one.limit in SHORT):
        for terms in ("lone", "backed"):
            route = _route(fault.backend, backed=terms == "backed")
            routes[f"{terms}-{fault.backend}-{fault.name}.*"] = route | {
                "limits": LIMITS | SHORT[fault.limit]
            }
    for fault in (one for one in faults.values() if one.own_backend):
        for dialect, stream, terms in product(DIALECTS, (False, True), ("lone", "backed")):
            name = f"{terms}.{fault.name}.{dialect}.{_MODES[stream]}"
            backends[name] = _backend(f"{root}/v1") | {"credentials": _KEYS[fault.backend]}
            model = model_of(fault, dialect, stream=stream, terms=terms)
            routes[model] = _route(name, backed=terms == "backed")
    return {
        "server": {
            "drain_s": 2,
            "max_event_bytes": MAX_EVENT_BYTES,
            "max_answer_bytes": MAX_ANSWER_BYTES,
            "watch": False,
        },
        "timeouts": dict.fromkeys(("connect_s", "first_byte_s", "gap_s", "total_s"), PATIENCE_MS / 1000),
        "backends": backends,
        "routes": routes,
    }


def _backend(url: str) -> dict[str, Any]:
    return {"base_url": url, "credentials": CREDENTIALS[:1], "formats": ["chat"]}


def _route(backend: str, *, backed: bool) -> dict[str, Any]:
    return {
        "limits": LIMITS,
        "retry": {"attempts": 0},
        "targets": _at(backend),
        "fallbacks": FALLBACKS if backed else [],
    }


def _native(root: str, more: dict[str, Any]) -> dict[str, Any]:
    url = root if "provider" in more else f"{root}/v1"
    return {"base_url": url, "credentials": CREDENTIALS[:1]} | more
