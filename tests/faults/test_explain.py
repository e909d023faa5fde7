"""A call can be explained: to its client at once, and from what was kept, while the gateway runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.gateway import eventually
from rig.site import Site, running_site

ROOT = Path(__file__).resolve().parents[2]
ASKS = {"x-forebay-decision": "1"}
ROUTES: dict[str, Any] = {
    "plain": {"targets": [{"backend": "second"}]},
    "fails-over": {"targets": [{"backend": "dead"}, {"backend": "second"}], "retry": {"attempts": 0}},
    "denied": {
        "targets": [{"backend": "second"}],
        "rules": [{"name": "closed", "deny": "this route is closed"}],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain") / "config"


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    folder.mkdir()
    with running_site(folder, routes=ROUTES) as site:
        site.reset()
        yield site


def asked(site: Site, model: str, *, stream: bool = False) -> Any:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "SECRET WORDS"}]}
    return site.client.post("/v1/chat/completions", json=body, headers=ASKS)


def forebay(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_asks_is_told_how_it_was_decided(site: Site, *, stream: bool) -> None:
    answer = asked(site, "fails-over", stream=stream)
    assert answer.status_code == 200
    told = json.loads(answer.headers["x-forebay-decision"])
    assert told["route"] == "fails-over"
    assert told["candidates"] == ["dead/fails-over", "second/fails-over"]
    failed, answered = told["attempts"]
    assert failed.startswith("dead/fails-over first upstream_unreachable")
    assert answered.startswith("second/fails-over next")


def test_a_call_that_is_turned_away_is_told_by_what(site: Site) -> None:
    answer = asked(site, "denied")
    assert answer.status_code == 403
    told = json.loads(answer.headers["x-forebay-decision"])
    assert told == {"route": "denied", "rule": "closed", "error": "denied_by_rule"}


def test_a_call_that_does_not_ask_is_told_nothing(site: Site) -> None:
    for model in ("plain", "denied"):
        assert "x-forebay-decision" not in site.ask(model, stream=False).headers


def test_the_command_explains_a_call_by_its_id_and_keeps_nothing_of_what_it_said(
    site: Site, folder: Path
) -> None:
    call_id = asked(site, "fails-over").headers["x-forebay-call-id"]
    kept = folder / "state" / "decisions"
    assert eventually(lambda: any(call_id in file.read_text() for file in kept.glob("*.jsonl")))
    told = forebay("explain", call_id, "--state", folder / "state")
    assert told.returncode == 0, told.stderr
    assert "dead/fails-over (first) upstream_unreachable" in told.stdout
    assert "second/fails-over (next) answered" in told.stdout
    kept_text = "".join(file.read_text() for file in kept.glob("*.jsonl"))
    assert "SECRET" not in kept_text
    assert "fb-test-key" not in kept_text


def test_kept_calls_can_be_asked_where_they_would_go_now(
    site: Site, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_id = asked(site, "fails-over").headers["x-forebay-call-id"]
    kept = folder / "state" / "decisions"
    assert eventually(lambda: any(call_id in file.read_text() for file in kept.glob("*.jsonl")))
    for name in ("RIG_KEY_1", "RIG_KEY_2"):
        monkeypatch.setenv(name, "any")
    new = tmp_path / "new.yaml"
    new.write_text((folder / "routing.yaml").read_text().replace("- backend: dead\n", "- backend: first\n"))
    places = ("--config", folder, "--state", folder / "state")
    told = forebay("diff", folder, new, *places)
    assert told.returncode == 0, told.stderr
    assert "dead/fails-over -> first/fails-over" in told.stdout
