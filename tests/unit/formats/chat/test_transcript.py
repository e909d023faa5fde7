"""What was generated, remembered for counting."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from rig import chat
from rig.script import sse

from gateway.errors import Rejected
from gateway.exchange import Usage
from gateway.formats.chat.stream import RelayedStream
from gateway.formats.chat.transcript import RAW_LIMIT_BYTES, Transcript, last_fault, text_of


def text_in(*chunks: Any) -> str:
    transcript = Transcript()
    for event in sse(*chunks):
        transcript.add(event)
    return transcript.text()


def test_the_text_of_a_stream() -> None:
    assert text_in(*chat.chunks()) == "Hello, world"


def test_tool_calls_refusals_and_reasoning_are_generated_too() -> None:
    assert text_in(*chat.tool_chunks("look", '{"at":"it"}')) == 'look{"at":"it"}'
    assert text_in(chat.chunk({"refusal": "no"}), chat.chunk({"reasoning_content": "hm"})) == "nohm"
    assert text_in(chat.chunk({"reasoning": "hm"})) == "hm"
    assert text_in(chat.text_completion("old")) == "old"


def test_content_in_parts_counts() -> None:
    """Mistral's thinking models switch between a list and a string."""
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm "}]}]
    assert text_in(chat.chunk({"content": thinking}), chat.chunk({"content": "yes"})) == "hm yes"


@pytest.mark.parametrize(
    "text", ['"quoted"', "back\\slash", "new\nline\ttab", "é😀", "\u2028", '{"content":"x"}', ""]
)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_escapes_are_undone(text: str, *, ensure_ascii: bool) -> None:
    body = json.dumps(chat.completion(content=text), ensure_ascii=ensure_ascii).encode()
    assert text_of(body) == text


def test_a_broken_escape_still_counts_for_about_what_it_is() -> None:
    assert len(text_of(b'{"content":"half \\ud83d of a pair"}')) >= len("half of a pair")
    assert "ab" in text_of(b'{"content":"ab\xff"}')


@pytest.mark.parametrize(
    "event",
    [
        b": comment\n\n",
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b"\n\n",
        b'data: {"content": null}\n\n',
        b"data: [1]\n\n",
    ],
)
def test_what_carries_no_text_adds_none(event: bytes) -> None:
    transcript = Transcript()
    transcript.add(event)
    assert transcript.text() == ""


def test_an_answer_without_text_has_none() -> None:
    embedding = {"data": [{"embedding": [0.1], "index": 0}], "model": "m", "usage": {"prompt_tokens": 1}}
    assert text_of(json.dumps(embedding).encode()) == ""


def test_text_can_be_asked_for_in_the_middle_and_again() -> None:
    transcript = Transcript()
    one, two = sse(chat.chunk({"content": "a"}), chat.chunk({"content": "b"}), done=False)
    transcript.add(one)
    assert transcript.text() == "a"
    transcript.add(two)
    assert transcript.text() == "ab"
    assert transcript.text() == "ab"


def test_a_long_error_is_an_error() -> None:
    """Hosts repeat the whole request in what they say of it."""
    events = sse(chat.chunk({"content": "a"}), chat.error("bad input: " + "x" * 20_000), done=False)
    assert isinstance(last_fault(b"".join(events)), Rejected)


def test_an_error_an_end_and_a_usage_are_remembered_however_long_the_stream_goes_on() -> None:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=1 << 20)
    other = {"index": 1, "delta": {"content": "x" * 100}, "finish_reason": None}
    word = sse(chat.chunk(None, choices=[other]), done=False)[0]
    begin = sse(chat.chunk({}, "stop"), chat.chunk(None, usage=chat.USAGE), chat.error("no"), done=False)
    for event in [*begin, *[word] * 1000]:
        stream.feed(event)
    assert not stream.finished
    stream.feed(sse(chat.chunk(None, choices=[other | {"finish_reason": "stop"}]), done=False)[0])
    assert stream.finished
    assert isinstance(stream.fault, Rejected)
    assert stream.usage == Usage(9, 3)


@pytest.mark.parametrize("word", ["error", "prompt_tokens"])
def test_an_event_full_of_a_word_is_looked_at_once(word: str) -> None:
    event = b'data: {"choices": [' + b'{"%b": 1},' % word.encode() * 30_000 + b"1]}\n\n"
    transcript = Transcript()
    started_s = time.process_time()
    transcript.add(event)
    assert (last_fault(event), transcript.usage()) == (None, None)
    assert time.process_time() - started_s < 1


def test_a_long_stream_is_boiled_down_as_it_goes() -> None:
    transcript = Transcript()
    event = sse(chat.chunk({"content": "x"}), done=False)[0]
    count = 4 * RAW_LIMIT_BYTES // len(event)
    for _ in range(count):
        transcript.add(event)
        assert sum(map(len, transcript._raw)) <= RAW_LIMIT_BYTES
    assert transcript.text() == "x" * count
