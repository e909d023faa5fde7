"""What hosts really sent, through the codec: what the shared tests of all formats do not look at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from rig.recordings import Recording, load, parameters

from gateway.formats.chat.codec import CODEC
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Faulted, join
from gateway.formats.neutral.parts import Opaque, Reasoning, Text, ToolCall

pytestmark = pytest.mark.wire

RECORDED = [recording for recording in load("openai.chat", "mistral.chat") if recording.status == 200]
HEADING = Heading("abc", "fast", 1_700_000_000, Conversation(()))
HOSTS_WORDS = {"eos", "error"}
"""Words for the end that hosts use beside OpenAI's, which its types do not know."""


def as_if_translated(completion: Completion) -> Completion:
    """The answer without what only its host knows, as it comes from an upstream of another format."""
    choices = tuple(
        replace(
            choice,
            parts=tuple(part for part in choice.parts if not isinstance(part, Opaque)),
            finish_raw="",
            raw=None,
        )
        for choice in completion.choices
    )
    return replace(completion, choices=choices, service_tier="", extra={})


@pytest.mark.parametrize("recording", parameters(r for r in RECORDED if not r.is_stream))
def test_the_sdk_reads_what_is_written_of_an_answer(recording: Recording) -> None:
    completion = as_if_translated(CODEC.decode_answer(recording.body))
    read = ChatCompletion.model_validate(json.loads(CODEC.encode_answer(completion, HEADING)))
    assert len(read.choices) == len(completion.choices)
    for told, choice in zip(completion.choices, read.choices, strict=True):
        words = "".join(part.text for part in told.parts if isinstance(part, Text))
        assert (choice.message.content or "") == words


@pytest.mark.parametrize("recording", parameters(r for r in RECORDED if r.is_stream))
def test_the_sdk_adds_up_what_is_written_of_a_stream(recording: Recording) -> None:
    reader = CODEC.stream_decoder(1 << 22)
    events = reader.feed(recording.body) + reader.close()
    told = join(events).choices[0]
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    written = CODEC.stream_encoder(HEADING).encode([e for e in events if not isinstance(e, Faulted)])
    for event in split_events(written):
        if (data := data_of(event)) != b"[DONE]":
            chunk = json.loads(data)
            for choice in chunk["choices"]:
                if choice["finish_reason"] in HOSTS_WORDS:
                    choice["finish_reason"] = "stop"
            state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    message = state.current_completion_snapshot.choices[0].message
    assert (message.content or "") == "".join(part.text for part in told.parts if isinstance(part, Text))
    calls = [part for part in told.parts if isinstance(part, ToolCall)]
    assert [call.function.arguments for call in message.tool_calls or ()] == [
        call.arguments for call in calls
    ]
    thoughts = [part for part in told.parts if isinstance(part, Reasoning)]
    words = "".join(thought.text or "".join(thought.summary) for thought in thoughts)
    assert (getattr(message, "reasoning_content", None) or "") == words
