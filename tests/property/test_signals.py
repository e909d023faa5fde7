"""Reading a call never fails, and sensitive data is found wherever it stands and however it is escaped."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.signals import LabelSpec, SensitivitySpec, TaskSpec
from gateway.exchange import Call, Caller, Envelope
from gateway.formats.envelope import decode_members
from gateway.routing.signals import body
from gateway.routing.signals.features import features_of
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.recall import snapshot
from gateway.routing.signals.signals import Signals
from gateway.routing.signals.size import tokens_roughly

READERS = compile_readers(
    {"code": TaskSpec(keywords=("bug",), patterns=("fix.*",))},
    SensitivitySpec(labels={"found": LabelSpec(detect=("email", "phone", "card", "iban", "secret"))}),
)
NAMES = (
    "messages",
    "input",
    "contents",
    "system",
    "role",
    "content",
    "parts",
    "type",
    "text",
    "source",
    "tools",
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8) | st.sampled_from(("user", "image")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
FACTS = (
    "prompt_tokens",
    "features",
    "metadata",
    "user",
    "conversation",
    "prompt",
    "language",
    "task",
    "labels",
)
SENSITIVE = ("bob@example.org", "+49 30 1234567", "4111 1111 1111 1111", "DE89370400440532013000")


def signals(text: str) -> Signals:
    return Signals(Call("chat", Caller("t", "k"), Envelope("m"), decode_members(text.encode()), {}), READERS)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
def test_no_body_makes_a_signal_fail(members):
    seen = signals(json.dumps(members))
    assert None not in [getattr(seen, name) for name in FACTS]
    assert snapshot(seen)["prompt_tokens"] >= 0


PART = st.dictionaries(
    st.sampled_from(("type", "text", "content", "input", "image", "signature", "cache_control")),
    st.sampled_from(("text", "tool_result", "image", None)) | VALUES,
    max_size=4,
)
TURN = st.dictionaries(
    st.sampled_from(("role", "content", "name", "tool_calls", "parts", "images", "encrypted_content")),
    st.none() | st.text(max_size=8) | VALUES | st.lists(PART, max_size=3),
    max_size=4,
)


@given(
    st.lists(TURN | st.text(max_size=4), max_size=4),
    st.sampled_from(("messages", "input", "contents")),
    st.dictionaries(st.sampled_from(body.INSTRUCTIONS), st.text(max_size=4) | st.lists(PART), max_size=1),
)
def test_plain_text_is_told_without_looking_just_as_with(turns, name, instructions):
    seen = signals(json.dumps(instructions | {name: turns}))
    members = seen.call.members
    looked_at = body.turns_of(members)
    contents = body.contents_of(members, looked_at)
    assert seen.features == features_of(members, contents.media)
    assert seen.prompt_tokens == tokens_roughly(members, looked_at, contents)


@given(st.sampled_from(SENSITIVE), st.text(max_size=30), st.text(max_size=30), st.data())
def test_escapes_and_what_stands_around_hide_nothing(sensitive, before, after, data):
    hidden = data.draw(st.sets(st.sampled_from(sensitive)))
    written = "".join(f"\\u{ord(char):04x}" if char in hidden else char for char in sensitive)
    around = json.dumps(f"{before}\n \n{after}")[1:-1].replace("\\n \\n", f"\\n {written} \\n", 1)
    assert signals(f'{{"messages":[{{"role":"user","content":"{around}"}}]}}').labels == {"found"}
