"""The configuration is exchanged a hundred times under load: every call goes wholly by one of the two."""

from __future__ import annotations

import json
import re
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from rig import chat
from rig.gateway import SECRETS, Gateway, eventually, running_gateway
from rig.load import PATH, Answered, put_calls, request
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream

CALLS, CONNECTIONS = 20_000, 32
RELOADS, WATCHED, BAD_EVERY = 100, 12, 20
"""How many edits, how many of them are left to be noticed, after how many comes a bad one."""
LIVE_WITHIN_S = 1.0
"""The median: what holds up one of them may be a busy machine."""
NOTICED_WITHIN_S = 30.0
GROWN_BYTES = 30_000_000
LETTERS = "ab"

ASKED = [("fast", "plain", False), ("fast", "plain", True), ("fast", "red", False), ("quick", "red", True)]
"""Model, team and whether streamed, in turn. `quick` is an alias in the one, a route in the other."""


def routing(letter: str, upstreams: dict[str, Upstream]) -> dict[str, Any]:
    """A configuration that differs from the other one wherever it can."""
    key = f"${{RIG_KEY_{1 + LETTERS.index(letter)}}}"
    first = letter == "a"
    return {
        "timeouts": {"gap_s": 20 if first else 30},
        "backends": {"place": {"base_url": upstreams[letter].base_url, "credentials": [key]}},
        "routes": {
            "fast": {
                "targets": [{"backend": "place", "model": f"plain-{letter}"}],
                "answer_model": "route" if first else "upstream",
                "limits": {"max_latency_ms": 20_000 if first else 30_000},
                "rules": [
                    {
                        "name": f"red-{letter}",
                        "when": {"headers": {"x-team": "r*" if first else "red"}},
                        "targets": [{"backend": "place", "model": f"red-{letter}"}],
                    }
                ],
                **({"aliases": ["quick"]} if first else {}),
            },
            **({} if first else {"qu*": {"rules": [{"name": "all", "use": "fast"}]}}),
        },
    }


def echo(letter: str) -> Any:
    """Answer with what shows by which configuration the call came."""
    keys = {f"Bearer {secret}": LETTERS[at] for at, secret in enumerate(SECRETS.values())}

    def answer(seen: Seen) -> Answer:
        asked = seen.json()
        team = asked["messages"][0]["content"]
        told = [letter, keys[seen.headers["authorization"]], asked["model"], team]
        if asked.get("stream"):
            said = [chat.chunk({"role": "assistant", "content": json.dumps(told)}), chat.chunk({}, "stop")]
            return events(sse(*(chunk | {"model": asked["model"]} for chunk in said)))
        return plain(chat.completion(content=json.dumps(told)) | {"model": asked["model"]})

    return answer


def configuration_of(answered: Answered) -> str:
    """Tell the configuration that a whole answer came by; fails where it was none, or both."""
    assert answered.status == 200, answered.body
    body = answered.body
    if body.startswith(b"data: "):
        assert body.endswith(b"data: [DONE]\n\n"), body
        first = json.loads(body.split(b"\n", 1)[0].removeprefix(b"data: "))
        said = first["choices"][0]["delta"]["content"]
    else:
        first = json.loads(body)
        said = first["choices"][0]["message"]["content"]
    letter, key, model, team = json.loads(said)
    assert (key, model) == (letter, f"{team}-{letter}"), said
    assert first["model"] in ({"fast", "quick"} if letter == "a" else {model}), first
    return str(letter)


@dataclass
class Place:
    """A gateway whose configuration is exchanged, and what was seen of that."""

    gateway: Gateway
    folder: Path
    upstreams: dict[str, Upstream]
    client: httpx.Client
    live_s: list[float] = field(default_factory=list)
    """How long the edits took that nobody told the gateway of."""

    def write(self, text: str, *, tell: bool) -> None:
        """Put a new routing.yaml in the place of the old one, at once and whole."""
        beside = self.folder / "routing.new"
        beside.write_text(text)
        beside.replace(self.folder / "routing.yaml")
        if tell:
            self.gateway.process.send_signal(signal.SIGHUP)

    def edit(self, letter: str, *, tell: bool) -> None:
        """Edit, and wait until it is live."""
        written_s = time.monotonic()
        self.write(yaml.safe_dump(routing(letter, self.upstreams)), tell=tell)
        assert eventually(lambda: self.serves() == letter, NOTICED_WITHIN_S), self.gateway.tail()
        if not tell:
            self.live_s.append(time.monotonic() - written_s)

    def edit_badly(self) -> None:
        """Make an edit that cannot be used, and see that it is told and changes nothing."""
        before = self.serves()
        self.write('{"backends": {}, "rutes": {}}', tell=True)
        assert eventually(lambda: "rutes" in self.detail(), NOTICED_WITHIN_S), self.detail()
        assert self.serves() == before

    def serves(self) -> str:
        """Tell by which configuration a call goes now."""
        body = {"model": "fast", "messages": [{"role": "user", "content": "plain"}]}
        answer = self.client.post(PATH, json=body)
        return configuration_of(Answered(0, 0, answer.status_code, answer.content))

    def detail(self) -> str:
        """What readiness says of the configuration."""
        answer = self.client.get("/readyz")
        assert answer.status_code == 200
        return answer.text

    def reloads(self, result: str) -> int:
        """How many edits came to this, as the metric has it."""
        found = re.search(
            rf'^forebay_reloads_total{{result="{result}"}} (\S+)$',
            self.client.get("/metrics").text,
            re.MULTILINE,
        )
        return int(float(found[1])) if found else 0

    def requests(self, calls: int, goes_on: threading.Event | None = None) -> Iterator[bytes]:
        """Ask so many calls, and more until told to stop."""
        kinds = [
            request(
                self.gateway.url,
                self.gateway.headers | {"x-team": team},
                {"model": model, "stream": stream, "messages": [{"role": "user", "content": team}]},
            )
            for model, team, stream in ASKED
        ]
        asked = 0
        while asked < calls or (goes_on is not None and goes_on.is_set()):
            yield kinds[asked % len(kinds)]
            asked += 1

    def holdings(self) -> dict[str, int]:
        """What the gateway holds: descriptors, threads, and connections to each upstream."""
        process = psutil.Process(self.gateway.process.pid)
        ports = Counter(line.raddr.port for line in process.net_connections("tcp") if line.raddr)
        held = {letter: ports[upstream.port] for letter, upstream in self.upstreams.items()}
        return held | {"threads": process.num_threads(), "descriptors": process.num_fds()}

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.gateway.process.pid).memory_info().rss)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream() as first, Upstream() as second:
        upstreams = dict(zip(LETTERS, (first, second), strict=True))
        for letter, upstream in upstreams.items():
            upstream.answer_with(echo(letter))
        folder = tmp_path / "gateway"
        with running_gateway(folder, routing("b", upstreams)) as gateway, gateway.client() as client:
            yield Place(gateway, folder, upstreams, client)


def exchange(place: Place, goes_on: threading.Event) -> None:
    """Make all the edits; the last one is of the configuration `b`."""
    try:
        for index in range(RELOADS):
            place.edit(LETTERS[index % 2], tell=index >= WATCHED)
            if index % BAD_EVERY == BAD_EVERY - 1:
                place.edit_badly()
        place.edit("b", tell=True)
    finally:
        goes_on.clear()


def beside_the_pool(holdings: dict[str, int]) -> int:
    """Count the descriptors beside the connections that are warm: as many as calls once ran at a time."""
    return holdings["descriptors"] - holdings["b"]


def test_a_hundred_reloads_under_load_fail_no_call_mix_nothing_and_leak_nothing(place: Place) -> None:
    """Also that a bad edit is told in readiness, log and metric, and changes nothing."""
    for letter in LETTERS * 4:  # what is loaded once is loaded before anything is measured
        place.edit(letter, tell=True)
        assert len(put_calls(place.gateway.url, place.requests(250), CONNECTIONS)) == 250
    assert eventually(lambda: place.holdings()["a"] == 0), place.holdings()
    applied, held, rss_bytes = place.reloads("applied"), place.holdings(), place.rss_bytes()

    goes_on = threading.Event()
    goes_on.set()
    with ThreadPoolExecutor(1) as beside:
        edits = beside.submit(exchange, place, goes_on)
        answers = put_calls(place.gateway.url, place.requests(CALLS, goes_on), CONNECTIONS)
        edits.result()
    came_by = Counter(map(configuration_of, answers))
    assert len(answers) >= CALLS
    assert min(came_by[letter] for letter in LETTERS) > len(answers) // 10, came_by

    assert place.reloads("applied") >= applied + RELOADS
    assert place.reloads("refused") >= RELOADS // BAD_EVERY
    assert (
        sum(entry["event"] == "configuration refused" for entry in place.gateway.log())
        >= RELOADS // BAD_EVERY
    )
    assert "rutes" not in place.detail()
    assert statistics.median(place.live_s) < LIVE_WITHIN_S

    assert eventually(lambda: place.holdings()["a"] == 0), "an old configuration is still open"
    assert eventually(lambda: beside_the_pool(place.holdings()) <= beside_the_pool(held) + 2), (
        place.holdings()
    )
    assert place.holdings()["b"] <= CONNECTIONS + 1, "and the one that looks which configuration serves"
    assert place.holdings()["threads"] <= held["threads"] + 1
    assert place.rss_bytes() - rss_bytes < GROWN_BYTES
