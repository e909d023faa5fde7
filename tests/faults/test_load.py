"""One of two deployments fails every call, under load: no client sees it, and hardly a call waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, running_gateway
from rig.load import Answered, put_calls, request
from rig.script import Answer, Cut, plain
from rig.upstream import Upstream

CALLS, CONNECTIONS = 10_000, 32
CONSECUTIVE = 5
COOL_DOWN_S = 1.0
PATIENCE_S = 0.3
"""With one that never answers, and with it alone: how fast another one answers, a busy machine decides."""
WELL = json.dumps(chat.completion()).encode()

FAILURES = {
    "500": plain(chat.error("an internal fault", "server_error", "exploded"), 500),
    "never_answers": Answer(before=[Cut.HANG]),
}


@dataclass(frozen=True)
class Pair:
    """A gateway over two deployments that share the calls of one route, of which the first fails."""

    gateway: Gateway
    failing: Upstream
    well: Upstream

    def put(self, calls: int) -> list[Answered]:
        body = {"model": "shared", "messages": [{"role": "user", "content": "hi"}]}
        asked = request(self.gateway.url, self.gateway.headers, body)
        return put_calls(self.gateway.url, islice(repeat(asked), calls), CONNECTIONS)


def backend(upstream: Upstream) -> dict[str, Any]:
    return {"base_url": upstream.base_url, "credentials": CREDENTIALS}


@contextmanager
def running_pair(folder: Path, timeouts: dict[str, float]) -> Iterator[Pair]:
    """Run it; `timeouts` are the failing one's."""
    with Upstream() as failing, Upstream() as well:
        well.answer_with(plain(WELL))
        routing = {
            "breaker": {"consecutive": CONSECUTIVE, "cool_down_s": COOL_DOWN_S, "jitter": 0},
            "backends": {
                "failing": backend(failing) | {"timeouts": timeouts},
                "well": backend(well),
            },
            "routes": {
                "shared": {
                    "targets": [{"backend": name, "model": "gpt-4o-mini"} for name in ("failing", "well")],
                    "strategy": "weighted",
                }
            },
        }
        with running_gateway(folder, routing) as gateway:
            yield Pair(gateway, failing, well)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_deployment_that_fails_every_call_is_hardly_noticed(tmp_path: Path, failure: str) -> None:
    timeouts = {"first_byte_s": PATIENCE_S} if failure == "never_answers" else {}
    with running_pair(tmp_path / "gateway", timeouts) as pair:
        check_that_it_is_hardly_noticed(pair, failure)


def check_that_it_is_hardly_noticed(pair: Pair, failure: str) -> None:
    pair.failing.answer_with(FAILURES[failure])
    put_s = time.monotonic()
    answers = pair.put(CALLS)
    took_s = time.monotonic() - put_s
    assert {(answer.status, answer.body) for answer in answers} == {(200, WELL)}
    assert len(answers) == CALLS == len(pair.well.seen)
    began_s, *later_s = sorted(seen.at_s for seen in pair.failing.seen)
    # Those that were under way when it opened; from then on one call tries, and the next after the cool-down.
    trying_s = [asked_s for asked_s in later_s if asked_s >= began_s + COOL_DOWN_S]
    assert trying_s, "nobody looked whether it is well again"
    assert len(later_s) < CONSECUTIVE + CONNECTIONS + took_s / COOL_DOWN_S
    # What the gateway has given up may still be on its way, and be seen together with what it tried next.
    if failure != "never_answers":
        assert len(later_s) - len(trying_s) < CONSECUTIVE + CONNECTIONS
        assert all(later - earlier >= COOL_DOWN_S for earlier, later in pairwise(trying_s))


def test_a_deployment_that_is_well_again_gets_its_share(tmp_path: Path) -> None:
    with running_pair(tmp_path / "gateway", {}) as pair:
        check_that_it_gets_its_share(pair)


def check_that_it_gets_its_share(pair: Pair) -> None:
    pair.failing.answer_with(FAILURES["500"])
    assert {answer.status for answer in pair.put(500)} == {200}
    pair.failing.answer_with(plain(WELL))
    while len(answers := pair.put(500)) and len(pair.failing.seen) < CONSECUTIVE + CONNECTIONS:
        assert {answer.status for answer in answers} == {200}
    pair.failing.seen.clear()
    pair.put(500)
    assert 150 < len(pair.failing.seen) < 350
