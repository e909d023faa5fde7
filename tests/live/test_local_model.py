"""The real local model: it answers in OpenAI's format, comes back when it dies, and ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from gateway.embedded.local_model import DEFAULT_LAUNCH, LocalModel, find_weights, load_launch
from gateway.errors import ConfigError

try:
    find_weights(DEFAULT_LAUNCH, load_launch(DEFAULT_LAUNCH))
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

MODEL = "smollm2-135m-instruct"
READY_WITHIN_S = 20.0
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]

PARENT = """
import sys, threading
from pathlib import Path
from gateway.embedded.local_model import LocalModel
model = LocalModel(Path(sys.argv[1]))
model.start()
model.wait_ready(20)
print(model.state()[1].split()[-1], flush=True)
threading.Event().wait()
"""


def until(holds: Callable[[], Any], within_s: float = 10.0) -> Any:
    deadline_s = time.monotonic() + within_s
    while not (value := holds()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    running = LocalModel(tmp_path_factory.mktemp("state"))
    running.start()
    try:
        running.wait_ready(READY_WITHIN_S)
        yield running
    finally:
        running.stop()


def post(model: LocalModel, path: str, **body: Any) -> httpx.Response:
    with httpx.Client(base_url=model.base_url, timeout=30, trust_env=False) as client:
        return client.post(path, json={"model": MODEL} | body)


def test_a_chat_is_answered_with_sense_and_usage(model: LocalModel) -> None:
    answer = post(model, "/v1/chat/completions", messages=QUESTION, max_tokens=16, temperature=0).json()
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == MODEL
    assert answer["usage"]["prompt_tokens"] > 10
    assert 0 < answer["usage"]["completion_tokens"] <= 16


def test_a_stream_ends_with_usage_when_it_is_asked_for(model: LocalModel) -> None:
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    text = post(model, "/v1/chat/completions", messages=QUESTION, max_tokens=8, **usage).text
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert sum("usage" in chunk for chunk in chunks) == 1
    assert any(chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1])


def test_the_older_completions_are_answered(model: LocalModel) -> None:
    answer = post(model, "/v1/completions", prompt="Once upon a time", max_tokens=4).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"]


def test_the_same_engine_embeds(model: LocalModel) -> None:
    data = post(model, "/v1/embeddings", input=["a river", "a river", "tax law"]).json()["data"]
    river, again, law = (entry["embedding"] for entry in data)
    assert len(river) == len(law) == 576
    assert dot(river, river) == pytest.approx(1.0, abs=1e-3)
    assert dot(river, again) == pytest.approx(1.0, abs=1e-3)
    assert dot(river, law) < 0.99


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_four_chats_at_once_are_all_answered(model: LocalModel) -> None:
    def chat(number: int) -> int:
        messages = [{"role": "user", "content": f"Count from {number}."}]
        answer = post(model, "/v1/chat/completions", messages=messages, max_tokens=12).json()
        return int(answer["usage"]["completion_tokens"])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(chat, range(4)))


def test_web_pages_may_not_use_it(model: LocalModel) -> None:
    with httpx.Client(base_url=model.base_url, trust_env=False) as client:
        answer = client.get("/v1/models", headers={"origin": "http://other.example"})
    assert "other.example" not in answer.headers.get("access-control-allow-origin", "")
    assert answer.headers.get("access-control-allow-origin") != "*"


def test_a_dead_engine_is_started_again_at_the_same_address(model: LocalModel) -> None:
    ok, text = model.state()
    assert ok
    os.kill(int(text.split()[-1]), signal.SIGKILL)
    died = until(lambda: not model.state()[0] and model.state()[1])
    assert "SIGKILL" in died
    model.wait_ready(READY_WITHIN_S)
    assert model.state()[1] != text
    assert post(model, "/v1/chat/completions", messages=QUESTION, max_tokens=2).status_code == 200


def test_the_engine_dies_with_its_killed_parent(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            engine = psutil.Process(int(parent.stdout.readline()))
            assert engine.is_running()
        finally:
            parent.kill()
    until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)


def test_a_stopped_engine_is_gone_and_stays_so(tmp_path: Path) -> None:
    model = LocalModel(tmp_path)
    model.start()
    model.stop()
    model.stop()
    assert model.state() == (False, "stopped")
    with pytest.raises(TimeoutError):
        model.wait_ready(0.1)


def test_a_missing_package_is_said_with_the_way_to_install_it(tmp_path: Path) -> None:
    launch = tmp_path / "launch.yaml"
    launch.write_text(DEFAULT_LAUNCH.read_text().replace("engine: xllamacpp", "engine: no_such_engine"))
    with pytest.raises(ConfigError, match=r'needs the package "no_such_engine".*make run'):
        LocalModel(tmp_path, launch)
