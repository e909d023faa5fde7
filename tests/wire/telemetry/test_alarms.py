"""A running gateway tells a webhook what begins and what is over, once for all of its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway, started
from rig.programs.redis import running_redis
from rig.script import plain
from rig.upstream import Upstream

BODY = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
RUNBOOKS = "https://wiki.example.com/runbooks"
FAILING = plain({"error": {"message": "out of order"}}, 500)


class Place:
    """A gateway of one backend, and the receiver of its alerts."""

    def __init__(self, folder: Path, **server: Any) -> None:
        self.folder = folder
        self.server = {"drain_s": 2, **server}
        self.upstream, self.receiver = Upstream(), Upstream()

    @contextlib.contextmanager
    def running(self, *arguments: str, **backend: Any) -> Iterator[Gateway]:
        with self.upstream, self.receiver:
            self.receiver.answer_with(plain({}))
            alerts = {"url": f"{self.receiver.base_url}/hook", "secret": "${RIG_KEY_1}"}
            policies = {"budgets": {"alerts": alerts}, "telemetry": {"runbooks_url": RUNBOOKS}}
            self.routing = self._routing(backend)
            with running_gateway(
                self.folder / "gateway", self.routing, *arguments, policies=policies
            ) as gateway:
                yield gateway

    def _routing(self, backend: dict[str, Any]) -> dict[str, Any]:
        fake = {"base_url": self.upstream.base_url, "credentials": CREDENTIALS, **backend}
        target = {"backend": "fake", "model": "m"}
        return {
            "server": self.server,
            "breaker": {"consecutive": 1, "cool_down_s": 300},
            "backends": {"fake": fake, "spare": {"base_url": self.upstream.base_url}},
            "routes": {
                "fast": {"targets": [target], "retry": {"attempts": 0}},
                "other": {"targets": [{"backend": "spare", "model": "m"}]},
            },
        }

    def edit(self, text: str) -> None:
        path = self.folder / "gateway/routing.yaml"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def told(self, type_: str = "") -> list[dict[str, Any]]:
        """The events of a type that have come, each once."""
        events = {event["id"]: event for event in (seen.json() for seen in list(self.receiver.seen))}
        return [event for event in events.values() if type_ in {"", event["type"]}]


@pytest.mark.parametrize("shares", [False, True], ids=["alone", "redis"])
def test_four_workers_tell_each_alarm_once_when_it_begins_and_once_when_it_is_over(
    tmp_path: Path, *, shares: bool
) -> None:
    with contextlib.ExitStack() as stack:
        server = {"redis_url": stack.enter_context(running_redis()).url} if shares else {}
        place = Place(tmp_path, **server)
        gateway = stack.enter_context(place.running("--workers", "4"))
        place.upstream.answer_with(FAILING)
        for _ in range(24):  # each on a connection of its own: they reach all workers
            fail_once(gateway)
        assert eventually(lambda: place.told("breaker_open") and place.told("backend_down"), 30), (
            gateway.tail()
        )
        place.edit("rutes: {}")
        assert eventually(lambda: place.told("config_reload_failed"), 30), gateway.tail()
        place.edit(yaml.safe_dump(place.routing))
        assert eventually(lambda: place.told("config_reload_failed_over"), 30), gateway.tail()
    # Every worker has looked several times meanwhile.
    assert sorted(event["type"] for event in place.told()) == [
        "backend_down",
        "breaker_open",
        "config_reload_failed",
        "config_reload_failed_over",
    ]
    (opened,), (refused,) = place.told("breaker_open"), place.told("config_reload_failed")
    assert opened["data"] | {"why": ""} == {
        "about": "fake/m",
        "backend": "fake",
        "model": "m",
        "why": "",
        "summary": opened["summary"],
    }
    assert opened["summary"].startswith("the circuit breaker of fake/m is open: ")
    assert (opened["severity"], opened["runbook"]) == ("ticket", f"{RUNBOOKS}/breaker-open.md")
    assert "rutes" in refused["data"]["reason"]
    assert place.told("config_reload_failed_over")[0]["severity"] == "info"
    logged = [line["type"] for line in gateway.log() if line["event"] == "alarm"]
    assert sorted(logged) == sorted(event["type"] for event in place.told())


def test_a_restart_tells_nothing_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.running() as gateway:
        place.upstream.answer_with(FAILING)
        fail_once(gateway)
        assert eventually(lambda: len(place.told()) == 2, 30), gateway.tail()
        gateway.terminate()
        assert gateway.wait() == 0
        after = started(tmp_path / "gateway")
        try:
            after.wait_until_ready()
            fail_once(after)
            place.edit("rutes: {}")  # when this was told, the breaker was looked at too
            assert eventually(lambda: place.told("config_reload_failed"), 30), after.tail()
        finally:
            after.terminate()
            after.wait()
    types = sorted(event["type"] for event in place.told())
    assert types == ["backend_down", "breaker_open", "config_reload_failed"]


def test_what_its_receiver_did_not_take_is_told_again_after_a_restart(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.running() as gateway:
        place.upstream.answer_with(FAILING)
        place.receiver.answer_with(plain({}, 503))
        fail_once(gateway)
        assert eventually(lambda: len(place.told()) == 2, 30), gateway.tail()
        gateway.terminate()
        assert gateway.wait() == 0
        place.receiver.answer_with(plain({}))
        after = started(tmp_path / "gateway")
        try:
            after.wait_until_ready()
            fail_once(after)
            assert eventually(lambda: len(place.told()) == 4, 30), after.tail()
        finally:
            after.terminate()
            after.wait()
    types = sorted(event["type"] for event in place.told())
    assert types == ["backend_down", "backend_down", "breaker_open", "breaker_open"]


def fail_once(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json=BODY).status_code >= 500


def test_a_backend_whose_probe_fails_is_told_and_shown_with_its_time(tmp_path: Path) -> None:
    place = Place(tmp_path)
    probe = {"path": "/well", "every_s": 0.1, "down_after": 1, "up_after": 1}
    with place.running(probe=probe) as gateway, gateway.client() as client:

        def part() -> dict[str, Any]:
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["ready"]) == (200, True), "others may take its calls"
            return dict(answer.json()["parts"]["backend fake"])

        place.upstream.answer_with(plain({}))
        assert eventually(lambda: part()["ok"])
        well = part()
        place.upstream.answer_with(plain({}, 503))
        assert eventually(lambda: not part()["ok"])
        assert eventually(lambda: place.told("backend_down"), 30), gateway.tail()
        down = part()
        assert down["detail"] == "its probe fails: it answers 503"
        assert down["since"] >= well["since"]
        place.upstream.answer_with(plain({}))
        assert eventually(lambda: part()["ok"])
        assert part()["since"] > well["since"]
        assert {"event": "a part works again", "part": "backend fake"}.items() <= next(
            line for line in gateway.log() if line["event"] == "a part works again" and "fake" in line["part"]
        ).items()
    (event,) = place.told("backend_down")
    assert event["summary"] == "backend fake is down: its probe fails: it answers 503"
    assert (event["severity"], event["runbook"]) == ("page", f"{RUNBOOKS}/backend-down.md")
