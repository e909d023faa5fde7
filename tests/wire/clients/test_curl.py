"""curl as the client: what the README's first example does."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from rig import chat
from rig.gateway import KEY, Gateway
from rig.programs.lacking import lacking
from rig.script import Gate, events, plain, sse
from rig.upstream import Upstream


@pytest.fixture
def curl() -> str:
    return shutil.which("curl") or lacking("curl is not installed")


def command(curl: str, gateway: Gateway, body: dict[str, object], *options: str) -> list[str]:
    call = [curl, "-sS", "--noproxy", "*", "--max-time", "20", *options, f"{gateway.url}/v1/chat/completions"]
    headers = ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
    return [*call, *headers, "-d", json.dumps({"messages": [{"role": "user", "content": "hi"}]} | body)]


def test_a_json_answer_is_printed_as_the_upstream_wrote_it(
    curl: str, gateway: Gateway, upstream: Upstream
) -> None:
    body = json.dumps(chat.completion(), indent=2).encode()
    upstream.answer_with(plain(body))
    run = subprocess.run(command(curl, gateway, {"model": "fast"}), check=True, capture_output=True)
    assert run.stdout == body


def test_an_error_has_its_status_and_a_request_id(curl: str, gateway: Gateway) -> None:
    run = subprocess.run(
        command(curl, gateway, {"model": "nope"}, "-i"), check=True, capture_output=True, text=True
    )
    head, _, body = run.stdout.partition("\n\n")
    assert head.startswith("HTTP/1.1 404")
    assert "\nx-request-id: " in head.lower()
    assert json.loads(body)["error"]["code"] == "model_not_found"


def test_unbuffered_each_event_is_printed_as_it_comes(
    curl: str, gateway: Gateway, upstream: Upstream
) -> None:
    gate = Gate()
    role, word, *rest = sse(*chat.chunks(usage=False))
    upstream.answer_with(events([role, word, gate, *rest]))
    call = command(curl, gateway, {"model": "fast", "stream": True}, "-N")
    with subprocess.Popen(call, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        begun = b"".join(running.stdout.readline() for _ in range(3))
        assert begun == role + word[:-1], "the first word is held back"
        gate.open()
        assert running.stdout.read() == b"\n" + b"".join(rest)
    assert running.returncode == 0


def test_a_compressed_answer_reaches_a_client_that_takes_none(
    curl: str, gateway: Gateway, upstream: Upstream
) -> None:
    body = json.dumps(chat.completion()).encode()
    upstream.answer_with(plain(body, coding="gzip"))
    run = subprocess.run(command(curl, gateway, {"model": "fast"}), check=True, capture_output=True)
    assert run.stdout == body
