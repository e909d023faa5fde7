"""The servers that are compared: the fake upstream itself, the floor, the gateway; and how each is asked."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.answers import CHUNKS, KINDS, STREAMED_TEXT, TEXT, Dialect, Kind, messages_body, request_body
from harness.children import HOST, SERVER_CPU, BenchError, Child, free_port

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
PAIRS = {"healthy": ("json", "spare"), "halved": ("json", "failing")}
"""Routes over two deployments."""


@dataclass(frozen=True)
class Ask:
    """How a server is asked for one kind of answer."""

    path: str
    model: str = "gpt-4o-mini"
    headers: Mapping[str, str] = field(default_factory=dict)
    dialect: Dialect = "chat"


@dataclass(frozen=True)
class Target:
    """A server to put under load; `same_chunks` if it must pass on every chunk of a stream as it came."""

    name: str
    port: int
    asks: Mapping[Kind, Ask]
    ready_path: str = "/readyz"
    same_chunks: bool = True

    def body(self, kind: Kind, padding_bytes: int = 0) -> bytes:
        """The request's body for this kind of answer."""
        ask = self.asks[kind]
        if ask.dialect == "messages":
            return messages_body(ask.model, stream=kind != "json")
        return request_body(ask.model, stream=kind != "json", padding_bytes=padding_bytes)

    def headers(self, kind: Kind) -> dict[str, str]:
        """The request's headers for this kind of answer."""
        return {"content-type": "application/json", "authorization": "Bearer k", **self.asks[kind].headers}

    def fetch(self, kind: Kind) -> bytes:
        """Ask once and check the answer; return its body. Raises `BenchError` when anything is missing."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("POST", self.asks[kind].path, self.body(kind), self.headers(kind))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise BenchError(f"{self.name} answered {kind} with {answer.status}: {body[:300]!r}")
        check_answer(self, kind, body)
        return body


def check_answer(target: Target, kind: Kind, body: bytes) -> None:
    """Raise `BenchError` unless `body` is the fake upstream's answer, whole."""
    if target.asks[kind].dialect == "messages":
        check_messages(target.name, kind, body)
        return
    if kind == "json":
        if json.loads(body)["choices"][0]["message"]["content"] != TEXT:
            raise BenchError(f"{target.name} changed the answer: {body[:300]!r}")
        return
    events = [
        part.removeprefix("data: ") for part in body.decode().split("\n\n") if part.startswith("data: ")
    ]
    if not events or events[-1] != "[DONE]":
        raise BenchError(f"{target.name}: the stream has no [DONE]: {body[-300:]!r}")
    chunks = [chunk for event in events[:-1] if (chunk := json.loads(event)).get("choices")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    if text != STREAMED_TEXT or (target.same_chunks and len(chunks) != CHUNKS):
        raise BenchError(
            f"{target.name}: {len(chunks)} chunks of {CHUNKS} with {len(text)} characters came through"
        )


def check_messages(name: str, kind: Kind, body: bytes) -> None:
    """Raise `BenchError` unless `body` is the fake upstream's answer in Anthropic's dialect, whole."""
    if kind == "json":
        if json.loads(body)["content"] != [{"type": "text", "text": TEXT}]:
            raise BenchError(f"{name} changed the answer: {body[:300]!r}")
        return
    events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]
    text = "".join(event["delta"].get("text", "") for event in events if "delta" in event)
    if text != STREAMED_TEXT or not events or events[-1]["type"] != "message_stop":
        raise BenchError(f"{name}: the stream is not whole: {body[-300:]!r}")


def direct(port: int) -> Target:
    """The fake upstream, with nothing in between."""
    return Target("direct", port, {kind: Ask(f"/{kind}/chat/completions") for kind in KINDS})


def floor(upstream_port: int, folder: Path, name: str = "floor") -> tuple[Target, Child]:
    """The least a gateway on this stack can cost: see floor.py."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "floor:app", "--app-dir", str(BENCH), "--host", HOST]
    argv += ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    argv += ["--no-access-log"]
    env = {"BENCH_UPSTREAM": f"http://{HOST}:{upstream_port}"}
    asks = {kind: Ask(f"/{kind}/v1/chat/completions") for kind in KINDS}
    return Target(name, port, asks), Child(argv, SERVER_CPU, folder / f"{name}.log", env, BENCH)


def gateway(
    upstream_port: int, folder: Path, redis_url: str = "", *, ledger: bool = False
) -> tuple[Target, Child]:
    """The gateway with one key and a route for each kind of answer; `BenchError` if there is none.

    With a Redis it has six limits that hold for every call, and room for all.
    """
    if not (ROOT / "gateway" / "__main__.py").exists():
        raise BenchError("there is no gateway to start (python -m gateway)")
    key = f"bench-{secrets.token_hex(16)}"
    config, port = folder / "config", free_port()
    write_gateway_config(config, upstream_port, key, redis_url)
    place = config / "routing.yaml"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"ledger": {"enabled": ledger}}))
    argv = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--config",
        str(config),
        "--state",
        str(folder / "state"),
    ]
    argv += ["--host", HOST, "--port", str(port)]
    asks = {
        kind: Ask("/v1/chat/completions", f"gpt-4o-mini-{kind}", {"authorization": f"Bearer {key}"})
        for kind in KINDS
    }
    return Target("Forebay", port, asks), Child(
        argv, SERVER_CPU, folder / "gateway.log", {"BENCH_CREDENTIAL": "k"}, ROOT
    )


def in_messages(gateway: Target) -> Target:
    """The same gateway, asked in Anthropic's dialect; its upstreams still speak OpenAI's."""
    asks = {kind: replace(ask, path="/v1/messages", dialect="messages") for kind, ask in gateway.asks.items()}
    return replace(gateway, name=f"{gateway.name}, translating", asks=asks)


def in_pairs(gateway: Target) -> tuple[Target, Target]:
    """The same gateway, asked for a route over two deployments that are well, and one of which one fails."""
    ask = gateway.asks["json"]
    healthy, halved = (replace(ask, model=f"gpt-4o-mini-{pair}") for pair in PAIRS)
    return (
        replace(gateway, name=f"{gateway.name}, both well", asks={"json": healthy}),
        replace(gateway, name=f"{gateway.name}, one failing", asks={"json": halved}),
    )


def add_flooder(config: Path) -> str:
    """Add a tenant that may make ten calls a minute; returns its key."""
    key = f"flood-{secrets.token_hex(16)}"
    place = config / "policies" / "tenants.yaml"
    written = json.loads(place.read_text())
    digest = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    written["tenants"]["flood"] = {"keys": [{"id": "flood", "digest": digest}]}
    place.write_text(json.dumps(written))
    quota = {"for": {"tenant": ["flood"]}, "requests_per_minute": 10}
    (config / "policies" / "quotas.yaml").write_text(json.dumps({"quotas": {"flood": quota}}))
    return key


def write_limits(config: Path) -> None:
    """Six limits that hold for every call, and are never reached."""
    quota = {
        "per": ["tenant"],
        **dict.fromkeys(("requests_per_minute", "requests_per_day"), 10**9),
        **dict.fromkeys(("tokens_per_minute", "input_tokens_per_day"), 10**12),
        "concurrent_calls": 10**6,
    }
    budget = {"per": ["tenant"], "usd": 1_000_000, "every": "month"}
    (config / "policies").mkdir(parents=True, exist_ok=True)
    (config / "policies" / "quotas.yaml").write_text(json.dumps({"quotas": {"all": quota}}))
    (config / "policies" / "budgets.yaml").write_text(json.dumps({"budgets": {"money": budget}}))


def write_gateway_config(config: Path, upstream_port: int, key: str, redis_url: str = "") -> None:
    """routing.yaml and policies/*.yaml below `config`. JSON is YAML too."""
    places = {**{kind: kind for kind in KINDS}, "spare": "json", "failing": "failing"}
    backends = {
        name: {"base_url": f"http://{HOST}:{upstream_port}/{place}", "credentials": ["${BENCH_CREDENTIAL}"]}
        for name, place in places.items()
    }
    routes: dict[str, object] = {f"gpt-4o-mini-{kind}": {"targets": [{"backend": kind}]} for kind in KINDS}
    for pair, names in PAIRS.items():
        targets = [{"backend": name, "model": "gpt-4o-mini"} for name in names]
        routes[f"gpt-4o-mini-{pair}"] = {"strategy": "weighted", "targets": targets}
    digest = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    tenants = {"tenants": {"bench": {"keys": [{"id": "bench", "digest": digest}]}}}
    (config / "policies").mkdir(parents=True, exist_ok=True)
    (config.parent / "state").mkdir(exist_ok=True)
    # The prompt of 1 MB is longer than the window of the model whose name the fake one has.
    models = {"gpt-4o-mini*": {"context_tokens": 10_000_000}}
    written: dict[str, object] = {"backends": backends, "routes": routes, "models": models}
    if redis_url:
        written["server"] = {"redis_url": redis_url}
        write_limits(config)
    (config / "routing.yaml").write_text(json.dumps(written, indent=2))
    (config / "policies" / "tenants.yaml").write_text(json.dumps(tenants, indent=2))
