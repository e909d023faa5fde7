"""What an upstream tells after a pause: its usage behind the last word, and all of several choices."""

from __future__ import annotations

from time import monotonic
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import Gateway, eventually
from rig.script import Cut, Pause, Step, events, sse
from rig.sse import is_done, split_events
from rig.upstream import Upstream

STREAM = sse(*chat.chunks())
WORDS, USAGE, DONE = STREAM[:-2], STREAM[-2], STREAM[-1]
BODY = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
TOLD, COUNTED = chat.USAGE["prompt_tokens"], 6
"""Tokens of the prompt."""


def ask(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, *steps: Step, choices: int = 1
) -> tuple[bytes, Any]:
    """Returns what the client got, and the access line of the call."""
    upstream.answer_with(events(steps))
    response = client.post("/v1/chat/completions", json=BODY | {"n": choices})
    call_id = response.headers["x-forebay-call-id"]
    assert eventually(lambda: [line for line in gateway.log() if line.get("request_id") == call_id])
    line = next(line for line in gateway.log() if line.get("request_id") == call_id)
    assert line["ending"] == "finished", line
    return response.content, line


TRIES = 5
"""A busy machine may be late in one of them, though not in all; what is told has to be right in each."""


@pytest.mark.parametrize("pause_s", [0.4, 1.2])
def test_usage_is_waited_for(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, pause_s: float
) -> None:
    steps = (*WORDS, Pause(pause_s), USAGE, DONE)
    body, line = ask(client, gateway, upstream, *steps)
    assert is_done(split_events(body)[-1])
    assert line["input_tokens"] == TOLD
    assert line["tokens"] == "reported"


def test_who_has_told_all_is_not_waited_for(
    client: httpx.Client, gateway: Gateway, upstream: Upstream
) -> None:
    def took_s() -> float:
        began_s = monotonic()
        body, line = ask(client, gateway, upstream, *WORDS, USAGE, Cut.HANG)
        took_s = monotonic() - began_s
        assert is_done(split_events(body)[-1])
        assert (line["input_tokens"], line["tokens"]) == (TOLD, "reported")
        return took_s

    assert any(took_s() < 1.5 for _ in range(TRIES)), "two seconds are waited for usage"


def test_usage_that_never_comes_is_counted_and_its_client_not_kept_for_long(
    client: httpx.Client, gateway: Gateway, upstream: Upstream
) -> None:
    began_s = monotonic()
    body, line = ask(client, gateway, upstream, *WORDS, Cut.HANG)
    assert 1.9 < monotonic() - began_s < 6
    assert is_done(split_events(body)[-1])
    assert line["input_tokens"] == COUNTED
    assert line["tokens"] == "counted"


def test_of_several_choices_all_are_waited_for(
    client: httpx.Client, gateway: Gateway, upstream: Upstream
) -> None:
    def of(index: int, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        chunk = chat.chunk(delta, finish)
        return chunk | {"choices": [choice | {"index": index} for choice in chunk["choices"]]}

    first = sse(of(0, {"content": "Yes"}), of(0, {}, "stop"), done=False)
    second = sse(of(1, {"content": "No"}), of(1, {}, "stop"), chat.chunks()[-1])
    body, line = ask(client, gateway, upstream, *first, Pause(2.6), *second, choices=2)
    assert body.count(b'"finish_reason"') == 4
    assert b"No" in body
    assert line["input_tokens"] == TOLD
