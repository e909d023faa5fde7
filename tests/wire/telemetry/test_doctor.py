"""`forebay doctor` on deployments with something wrong: each has a line of its own, none a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from rig.faults.doors import Authority, Door, answers_in_plain, says_nothing, tls_of
from rig.gateway import CREDENTIALS, SECRETS, eventually, prepared_folder, running_gateway
from rig.programs.redis import VALKEY, free_port, running_redis
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream, refusing_port

GOOD, REFUSED = SECRETS["RIG_KEY_1"], SECRETS["RIG_KEY_2"]
REDIS_PASSWORD = "redis-secret-77"
RECEIVER_TOKEN = "Bearer receiver-secret-3"
AN_HOUR_S = 3600
QUICK_S = 25.0
"""On a machine that is busy; a connection alone may take minutes to be given up."""


class Findings:
    """What a run has said, by the names of its checks."""

    def __init__(self, done: subprocess.CompletedProcess[str], seconds: float) -> None:
        self.status, self.text, self.seconds = done.returncode, done.stdout, seconds
        assert not done.stderr, done.stderr
        self.json: dict[str, Any] = json.loads(done.stdout)

    def state(self, name: str) -> str:
        return str(self.of(name)["state"])

    def of(self, name: str) -> dict[str, Any]:
        found = [check for check in self.json["checks"] if check["name"] == name]
        assert found, (name, [check["name"] for check in self.json["checks"]])
        return dict(found[0])

    def all_of(self, name: str) -> list[str]:
        return [
            f"{check['state']}: {check['seen']}" for check in self.json["checks"] if check["name"] == name
        ]


def ran(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    places = ["--config", str(folder), "--state", str(folder / "state")]
    argv = [sys.executable, "-m", "gateway", "doctor", *places, *words]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=60, env=os.environ | SECRETS | ENVIRONMENT, check=False
    )


ENVIRONMENT = {"REDIS_PASSWORD": REDIS_PASSWORD, "RECEIVER_TOKEN": RECEIVER_TOKEN}


def doctor(folder: Path, *words: str) -> Findings:
    began_s = time.monotonic()
    return Findings(ran(folder, "--json", *words), time.monotonic() - began_s)


def takes_one_key(seen: Seen) -> Answer:
    shown = seen.headers.get("authorization", "").removeprefix("Bearer ")
    if shown == GOOD:
        return plain({"data": []})
    return plain(
        {"error": {"message": f"Incorrect API key provided: {shown}", "code": "invalid_api_key"}}, 401
    )


def of_backend(base_url: str, *, keys: bool = False, **settings: Any) -> dict[str, Any]:
    return {"base_url": base_url, **({"credentials": CREDENTIALS} if keys else {}), **settings}


def routing_of(backends: dict[str, Any], **rest: Any) -> dict[str, Any]:
    targets = [{"backend": name, "model": "m"} for name in backends]
    return {"backends": backends, "routes": {"fast": {"targets": targets}}, **rest}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Findings]:
    """A deployment in which every backend has something else."""
    place = tmp_path_factory.mktemp("broken")
    authority = Authority(place)
    with ExitStack() as stack:
        strict, public, sick, asking = (stack.enter_context(Upstream()) for _ in range(4))
        good, expired = (
            stack.enter_context(Upstream(tls_of(pem))) for pem in (authority.good(), authority.expired())
        )
        mute = stack.enter_context(Door(answers_in_plain))
        strict.answer_with(takes_one_key)
        public.answer_with(plain({"data": []}))
        good.answer_with(plain({"data": []}))
        date = formatdate(time.time() + AN_HOUR_S, usegmt=True)
        sick.answer_with(plain({"error": {"message": "loading"}}, 503, headers=[("date", date)]))
        asking.answer_with(plain({"error": {"message": "who are you?"}}, 401))
        dead = stack.enter_context(refusing_port())
        backends = {
            "strict": of_backend(strict.base_url, keys=True),
            "public": of_backend(public.base_url, keys=True),
            "sick": of_backend(sick.base_url, self_hosted=True),
            "asking": of_backend(asking.base_url),
            "secure": of_backend(f"https://127.0.0.1:{good.port}/v1"),
            "expired": of_backend(f"https://127.0.0.1:{expired.port}/v1"),
            "plain": of_backend(f"https://127.0.0.1:{mute.port}/v1"),
            "dead": of_backend(f"http://127.0.0.1:{dead}/v1"),
            "nameless": of_backend(f"http://{'x' * 64}.test/v1"),
        }
        prepared_folder(place / "config", routing_of(backends))
        stack.enter_context(authority.trusted())
        yield doctor(place / "config")


@pytest.mark.parametrize(
    ("name", "state", "seen"),
    [
        ("backend strict", "ok", "answers in"),
        ("credential strict#1", "ok", "is accepted"),
        ("credential strict#2", "fail", "is refused with 401"),
        ("credential public#1", "skipped", "needs no credential"),
        ("backend sick", "fail", "answers 503"),
        ("credential asking", "fail", "none is configured"),
        ("backend secure", "warn", "its certificate is valid for"),
        ("backend expired", "fail", "certificate has expired"),
        ("backend plain", "fail", "does not speak TLS"),
        ("backend dead", "fail", "refuses connections"),
        ("backend nameless", "fail", "cannot be resolved"),
        ("clocks", "fail", "behind that of backend sick"),
    ],
)
def test_each_thing_that_is_wrong_with_a_backend_has_a_line(
    broken: Findings, name: str, state: str, seen: str
) -> None:
    found = broken.of(name)
    assert found["state"] == state, found
    assert seen in found["seen"]
    assert state in {"ok", "skipped"} or found["todo"]


def test_something_that_fails_makes_the_status_one_and_a_key_is_not_shown(broken: Findings) -> None:
    assert broken.status == 1
    assert broken.json["ok"] is False
    assert broken.seconds < QUICK_S
    assert "Incorrect API key provided: [redacted]" in broken.of("credential strict#2")["seen"]
    assert GOOD not in broken.text
    assert REFUSED not in broken.text


def test_a_place_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with Door(says_nothing) as mute:
        backends = {"mute": of_backend(f"http://127.0.0.1:{mute.port}/v1", keys=True)}
        prepared_folder(tmp_path / "config", routing_of(backends))
        found = doctor(tmp_path / "config", "--only", "backends")
    assert "no answer within" in found.of("backend mute")["seen"]
    assert found.state("credential mute#1") == "skipped"
    assert found.seconds < QUICK_S


def redis_findings(folder: Path, url: str, **limits: Any) -> Findings:
    routing = routing_of(
        {"fake": {"provider": "scripted", "script": "script.yaml"}}, server={"redis_url": url}
    )
    prepared_folder(folder, routing, limits)
    (folder / "script.yaml").write_text("answers: []\n")
    return doctor(folder, "--only", "redis", "clocks")


def test_a_redis_that_forgets_counters_fails_and_one_without_a_disk_is_warned_of(tmp_path: Path) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with running_redis(VALKEY, *options) as redis:
        found = redis_findings(tmp_path / "config", redis.url)
    forgets, unkept = found.all_of("redis")
    assert forgets == "fail: full, it forgets counters (allkeys-lru): limits are exceeded then"
    assert unkept.startswith("warn: it writes nothing to a disk")
    assert found.state("clocks") == "ok"
    assert found.status == 1


def test_a_redis_as_it_should_be_is_well(tmp_path: Path) -> None:
    with running_redis(VALKEY, "--appendonly", "yes") as redis:
        found = redis_findings(tmp_path / "config", redis.url)
    assert found.state("redis") == "ok"
    assert found.of("redis")["seen"].startswith("Valkey ")
    assert found.status == 0


def test_a_redis_that_refuses_the_password_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with running_redis(VALKEY, "--requirepass", "another") as redis:
        url = f"redis://:${{REDIS_PASSWORD}}@127.0.0.1:{redis.port}/0"
        refused = redis_findings(tmp_path / "refused", url)
    gone = redis_findings(tmp_path / "gone", url)
    assert refused.all_of("redis") == ["fail: Redis does not let us in: WRONGPASS"]
    assert gone.of("redis")["seen"].startswith("Redis cannot be reached: ")
    assert REDIS_PASSWORD not in refused.text + gone.text


def takes_the_token(seen: Seen) -> Answer:
    is_export = seen.path in {"/v1/traces", "/v1/metrics"} and not seen.body
    is_known = seen.headers.get("authorization") == RECEIVER_TOKEN
    return plain(b"", 200 if is_export and is_known else 401)


@pytest.mark.parametrize(("header", "state"), [("${RECEIVER_TOKEN}", "ok"), ("${RIG_KEY_1}", "fail")])
def test_the_receiver_takes_an_empty_export_or_refuses_it(tmp_path: Path, header: str, state: str) -> None:
    with Upstream() as receiver:
        receiver.answer_with(takes_the_token)
        otlp = {"endpoint": f"http://127.0.0.1:{receiver.port}", "headers": {"authorization": header}}
        routing = routing_of({"fake": of_backend("http://127.0.0.1:9/v1")})
        prepared_folder(tmp_path / "config", routing, {"telemetry": {"otlp": otlp}})
        found = doctor(tmp_path / "config", "--only", "receiver")
    assert found.state("receiver traces") == found.state("receiver metrics") == state
    assert found.status == (0 if state == "ok" else 1)
    assert RECEIVER_TOKEN not in found.text
    assert GOOD not in found.text


def test_a_configuration_that_cannot_be_served_fails_where_it_is_wrong(tmp_path: Path) -> None:
    routing = routing_of({"fake": of_backend("http://127.0.0.1:9/v1")})
    routing["routes"]["fast"]["targets"].append({"backend": "fak", "model": "m"})
    prepared_folder(tmp_path / "config", routing)
    found = doctor(tmp_path / "config")
    assert found.status == 1
    assert 'there is no backend "fak", did you mean "fake"?' in found.of("configuration")["seen"]
    assert found.state("python") == "ok"


def test_offline_asks_nobody_and_changes_nothing(tmp_path: Path) -> None:
    with Upstream() as upstream:
        prepared_folder(tmp_path / "config", routing_of({"fake": of_backend(upstream.base_url, keys=True)}))
        before = sorted(tmp_path.rglob("*"))
        done = ran(tmp_path / "config", "--offline")
        assert upstream.connections == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert any(line.split()[:3] == ["skipped", "backend", "fake"] for line in lines)
    assert not any(line.startswith("fail") for line in lines)


def test_a_deployment_that_runs_is_well(tmp_path: Path) -> None:
    folder, port = tmp_path / "config", free_port()
    with Upstream() as upstream:
        upstream.answer_with(takes_one_key)
        backends = {"fake": of_backend(upstream.base_url) | {"credentials": CREDENTIALS[:1]}}
        routing = routing_of(backends, server={"port": port}, ledger={"enabled": True})
        with running_gateway(folder, routing, f"--port={port}") as gateway:
            (folder / "state").chmod(0o700)
            told: list[Findings] = []

            def is_well() -> bool:
                told.append(doctor(folder))
                return told[-1].state("ledger") == told[-1].state("meter") == "ok"

            assert eventually(is_well, 60), (told[-1].text, gateway.tail())
    found = told[-1]
    assert found.status == 0, found.text
    wanted = (
        "credential fake#1",
        "database",
        "keys",
        "spool",
        "gateway",
        "control socket",
        "state directory",
    )
    assert {name: found.state(name) for name in wanted} == dict.fromkeys(wanted, "ok")
    assert found.of("ledger")["seen"].startswith("ClickHouse ")
    assert GOOD not in found.text
