"""Requests made to exhaust a gateway: answered or refused, at a bounded cost, while others are answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, ONCE, PATIENT, Gateway, eventually, running_gateway
from rig.script import plain
from rig.upstream import Upstream

PATH = "/v1/chat/completions"
MAX_BODY_BYTES = 32 << 20
"""The default."""
HUGE_BYTES = 100_000_000
MEGABYTE = 1_000_000
WHOLE = json.dumps(chat.completion()).encode()

UNHINDERED_S = 1.0
"""So much of the gateway's CPU time may pass while a small call beside a hostile one waits: it may stop for
half a second. By the clock it may be any time on a busy machine."""


def cpu_s(gateway: Gateway) -> float:
    """What a gateway has spent since it began."""
    spent = psutil.Process(gateway.process.pid).cpu_times()
    return spent.user + spent.system


@dataclass
class Beside:
    """Small calls, one after the other, beside what a test does."""

    gateway: Gateway
    cpu_s: list[float] = field(default_factory=list)
    """What the gateway spent while each of them waited."""
    statuses: set[int] = field(default_factory=set)
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        body = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
        with self.gateway.client(timeout=60) as client:
            while True:
                before_s = cpu_s(self.gateway)
                self.statuses.add(client.post(PATH, json=body).status_code)
                self.cpu_s.append(cpu_s(self.gateway) - before_s)
                self.begun.set()
                if self.over.wait(0.002):
                    return


@dataclass(frozen=True)
class Target:
    """A gateway that looks at all there is to see in a call, and its upstream."""

    gateway: Gateway
    client: httpx.Client
    upstream: Upstream

    def post(self, body: bytes, path: str = PATH) -> httpx.Response:
        return self.client.post(path, content=body, headers={"content-type": "application/json"})

    def send(self, pieces: Iterator[bytes]) -> httpx.Response:
        """Post what comes in pieces, without saying how long it will be."""
        return self.client.post(PATH, content=pieces, headers={"content-type": "application/json"})

    @property
    def models_asked(self) -> list[str]:
        return [seen.model for seen in self.upstream.seen]

    def counted(self, answered: httpx.Response) -> int:
        """The tokens of a call's prompt in the log; 0 where the call is not there yet."""
        named = f'"{answered.headers["x-request-id"]}"'
        found = [json.loads(line) for line in list(self.gateway.lines) if named in line]
        return max((line.get("input_tokens", 0) for line in found), default=0)

    @contextmanager
    def bounded(self, most_s: float) -> Iterator[None]:
        """Hold what happens inside to so much of the gateway's time, and to letting other calls through."""
        beside = Beside(self.gateway)
        thread = threading.Thread(target=beside.run)
        thread.start()
        assert beside.begun.wait(10)
        before_s = cpu_s(self.gateway)
        try:
            yield
        finally:
            beside.over.set()
            thread.join()
        spent_s = cpu_s(self.gateway) - before_s
        print(f"{spent_s:.2f} s of CPU; during the slowest of {len(beside.cpu_s)}: {max(beside.cpu_s):.2f} s")
        assert spent_s < most_s
        assert beside.statuses == {200}
        assert max(beside.cpu_s) < UNHINDERED_S


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Upstream() as upstream:
        fake = {"base_url": upstream.base_url, "credentials": CREDENTIALS}
        named = {"backend": "fake", "model": "of-unknown-length"}
        judged = [
            {"name": name, "when": when, "targets": [named]}
            for name, when in {
                "long": {"prompt_tokens": {"min": 1_000_000_000}},
                "proofs": {"task": ["proof"]},
                "Greek": {"language": ["el"]},
                "seen": {"features": ["images"]},
            }.items()
        ]
        routing = {
            "server": {"drain_s": 2},
            "timeouts": {"connect_s": 2, "first_byte_s": 20, "gap_s": 20, "total_s": 60},
            "breaker": PATIENT,
            "tasks": {"proof": {"keywords": ["prove", "derive"], "patterns": ["step +by +step"]}},
            "backends": {"fake": fake},
            "routes": {
                "plain": {"targets": [named], "retry": ONCE},
                "short": {"targets": [{"backend": "fake", "model": "gpt-4o-mini"}], "retry": ONCE},
                "judged": {"targets": [named], "retry": ONCE, "rules": judged},
            },
        }
        folder = tmp_path_factory.mktemp("hostile")
        with running_gateway(folder, routing) as gateway, gateway.client(timeout=60) as client:
            yield Target(gateway, client, upstream)


@pytest.fixture(autouse=True)
def well(target: Target) -> None:
    target.upstream.reset()
    target.upstream.answer_with(plain(WHOLE))


def asking(**members: Any) -> bytes:
    return json.dumps({"model": "judged", "messages": [{"role": "user", "content": "hi"}]} | members).encode()


def nested(size_bytes: int, depth: int) -> bytes:
    """A request of that size, of lists of this depth, one beside the other."""
    one = b"[" * depth + b"1" + b"]" * depth + b","
    inner = one * (size_bytes // len(one)) + b"1"
    return b'{"model":"judged","messages":[{"role":"user","content":"hi"}],"metadata":[' + inner + b"]}"


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text[:500]
    error = response.json()["error"]
    assert error["message"]
    assert len(response.content) < 1000
    return error


@pytest.mark.parametrize("letter", [" ", "a", "\n", "\u00e9", "\u6f22", "\U0001f600", "a "])
def test_a_prompt_of_a_million_times_the_same_is_answered(target: Target, letter: str) -> None:
    body = asking(messages=[{"role": "user", "content": letter * MEGABYTE}])
    with target.bounded(most_s=2):
        assert target.post(body).content == WHOLE


@pytest.mark.parametrize("letter", [" ", "a"])
def test_a_prompt_of_a_million_spaces_is_counted_when_nobody_else_does(target: Target, letter: str) -> None:
    untold = json.dumps({**chat.completion(), "usage": None}).encode()
    target.upstream.answer_with(plain(untold))
    body = asking(messages=[{"role": "user", "content": letter * MEGABYTE}])
    with target.bounded(most_s=10):
        answered = target.post(body)
        assert eventually(lambda: target.counted(answered) > 0, within_s=20)
    assert target.counted(answered) < MEGABYTE


@pytest.mark.parametrize("depth", [1, 100, 900])
def test_a_body_of_a_hundred_megabytes_is_413_and_hardly_read(target: Target, depth: int) -> None:
    body = nested(HUGE_BYTES, depth)
    with target.bounded(most_s=2):
        error = refused(target.post(body), 413)
    assert str(MAX_BODY_BYTES) in error["message"]


@pytest.mark.parametrize("depth", [1, 100, 900])
def test_a_body_of_lists_in_lists_below_the_limit_costs_little(target: Target, depth: int) -> None:
    with target.bounded(most_s=2):
        assert target.post(nested(31 * MEGABYTE, depth)).status_code in {200, 400}


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("member", ["metadata", "messages", "tools", "response_format"])
def test_a_body_that_is_nested_too_deeply_is_refused(
    target: Target, member: str, begin: bytes, end: bytes
) -> None:
    depth = 31 * MEGABYTE // (len(begin) + len(end))
    inner = begin * depth + b"1" + end * depth
    with target.bounded(most_s=2):
        error = refused(target.post(b'{"model":"judged","%b":%b}' % (member.encode(), inner)), 400)
    assert error["code"] in {"invalid_json", "too_many_values"}


def test_a_prompt_longer_than_its_model_takes_is_refused(target: Target) -> None:
    body = asking(model="short", messages=[{"role": "user", "content": "a " * 3 * MEGABYTE}])
    with target.bounded(most_s=2):
        refused(target.post(body), 400)
    assert "gpt-4o-mini" not in target.models_asked


def deep_schema(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def wide_schema(count: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(count)}}


@pytest.mark.parametrize(
    "schema", [lambda: deep_schema(200), lambda: wide_schema(150_000)], ids=["deep", "wide"]
)
def test_a_tool_with_a_huge_schema_is_answered(target: Target, schema: Callable[[], dict[str, Any]]) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema()}}]
    with target.bounded(most_s=2):
        assert target.post(asking(tools=tools)).status_code == 200


def test_fifty_thousand_tools_are_answered(target: Target) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with target.bounded(most_s=2):
        assert target.post(asking(tools=[tool] * 50_000)).status_code == 200


def test_thousands_of_members_are_refused(target: Target) -> None:
    body = asking(**{f"m{at}": at for at in range(300_000)})
    with target.bounded(most_s=2):
        assert refused(target.post(body), 400)["code"] == "too_many_values"


@pytest.mark.parametrize("length", ["declared", "chunked"])
def test_a_body_of_a_hundred_megabytes_of_spaces_is_413(target: Target, length: str) -> None:
    spaces = asking(messages=[{"role": "user", "content": " " * HUGE_BYTES}])
    with target.bounded(most_s=2):
        if length == "declared":
            refused(target.post(spaces), 413)
        else:
            refused(target.send(spaces[at : at + MEGABYTE] for at in range(0, len(spaces), MEGABYTE)), 413)


@pytest.mark.parametrize("digits", [4_000, 30 * MEGABYTE])
def test_a_number_of_many_digits_costs_little(target: Target, digits: int) -> None:
    body = b'{"model":"judged","messages":[],"seed":' + b"9" * digits + b"}"
    with target.bounded(most_s=2):
        assert target.post(body).status_code in {200, 400}


# Amounts

GEMINI = "/v1beta/models/judged:generateContent"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
AMOUNTS = [
    (PATH, {"max_tokens": -1}, "max_tokens"),
    (PATH, {"max_tokens": 0}, "max_tokens"),
    (PATH, {"max_completion_tokens": -(2**63)}, "max_completion_tokens"),
    (PATH, {"max_completion_tokens": 10**12}, "max_completion_tokens"),
    (PATH, {"max_tokens": 10**400}, "max_tokens"),
    (PATH, {"max_tokens": "many"}, "max_tokens"),
    (PATH, {"max_tokens": 1.5}, "max_tokens"),
    (PATH, {"n": 1000}, "n"),
    (PATH, {"n": -1}, "n"),
    ("/v1/completions", {"prompt": "hi", "best_of": 1000}, "best_of"),
    ("/v1/responses", {"input": "hi", "max_output_tokens": -1}, "max_output_tokens"),
    ("/v1/messages", {"max_tokens": 10**12}, "max_tokens"),
    (GEMINI, CONTENTS | {"generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
    (GEMINI, CONTENTS | {"generationConfig": {"candidateCount": 1000}}, "generationConfig.candidateCount"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "members", "name"), AMOUNTS)
def test_an_absurd_amount_is_refused_by_name(
    target: Target, path: str, members: dict[str, Any], name: str, *, stream: bool
) -> None:
    path = path.replace(":generateContent", ":streamGenerateContent?alt=sse") if stream else path
    response = target.post(asking(stream=stream, **members), path)
    assert response.status_code == 400
    assert f"{name} must be" in response.json()["error"]["message"]
    assert target.models_asked == []


TINY = [
    ("messages", b'{"role":"user","content":""},'),
    ("messages", b"{},"),
    ("system", b"{},"),
    ("system", b'{"type":"text","text":""},'),
    ("tools", b"{},"),
    ("user", b"[],"),
    ("reasoning", b"[],"),
    ("response_format", b"{},"),
    ("max_tokens", b"[],"),
]
"""Members, and what they are filled with up to the limit of a body."""


@pytest.mark.parametrize(("member", "tiny"), TINY)
def test_a_million_tiny_values_are_refused(target: Target, member: str, tiny: bytes) -> None:
    body = (
        b'{"model":"judged","%b":[' % member.encode()
        + tiny * (31 * MEGABYTE // len(tiny))
        + tiny[:-1]
        + b"]}"
    )
    with target.bounded(most_s=2):
        assert refused(target.post(body), 400)["code"] == "too_many_values"


def test_a_million_tiny_parts_are_refused(target: Target) -> None:
    tiny = b'{"type":"text","text":""},'
    body = b'{"model":"judged","messages":[{"role":"user","content":['
    with target.bounded(most_s=2):
        refused(target.post(body + tiny * MEGABYTE + tiny[:-1] + b"]}]}"), 400)


def test_a_million_members_are_refused(target: Target) -> None:
    body = asking(**{f"m{at}": at for at in range(MEGABYTE)})
    with target.bounded(most_s=2):
        assert refused(target.post(body), 400)["code"] == "too_many_values"


@pytest.mark.parametrize("tiny", [b"{},", b'{"type":"text","text":""},', b'{"role":"user","content":""},'])
def test_as_many_tiny_values_as_may_be_are_answered_in_time(target: Target, tiny: bytes) -> None:
    body = b'{"model":"judged","messages":[{"role":"user","content":[' + tiny * 199_000 + tiny[:-1] + b"]}]}"
    with target.bounded(most_s=2):
        assert target.post(body).status_code == 200
