"""Reading a call never fails, and sensitive data is found wherever it stands and however it is escaped."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.signals import LabelSpec, SensitivitySpec, TaskSpec
from gateway.exchange import Call, Caller, Envelope
from gateway.formats.envelope import decode_members
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.recall import snapshot
from gateway.routing.signals.signals import Signals

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


def signals(body: str) -> Signals:
    return Signals(Call("chat", Caller("t", "k"), Envelope("m"), decode_members(body.encode()), {}), READERS)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
def test_no_body_makes_a_signal_fail(body):
    seen = signals(json.dumps(body))
    assert None not in [getattr(seen, name) for name in FACTS]
    assert snapshot(seen)["prompt_tokens"] >= 0


@given(st.sampled_from(SENSITIVE), st.text(max_size=30), st.text(max_size=30), st.data())
def test_escapes_and_what_stands_around_hide_nothing(sensitive, before, after, data):
    hidden = data.draw(st.sets(st.sampled_from(sensitive)))
    written = "".join(f"\\u{ord(char):04x}" if char in hidden else char for char in sensitive)
    around = json.dumps(f"{before}\n \n{after}")[1:-1].replace("\\n \\n", f"\\n {written} \\n", 1)
    assert signals(f'{{"messages":[{{"role":"user","content":"{around}"}}]}}').labels == {"found"}
