"""Says what a provider's answer says, read from its JSON by hand.

A second opinion on what the codecs make of recorded traffic, so it knows nothing of `gateway`: no types,
no tables, no decoders of it. What it reads is little and plain: final text, tool calls, how it ended,
tokens.
"""

from __future__ import annotations

from collections.abc import Callable

from rig.translation.witness import anthropic, chat, cohere, converse, gemini, ollama, responses
from rig.translation.witness.facts import Facts

WHOLE: dict[str, Callable[[bytes], Facts]] = {
    "chat": chat.whole,
    "responses": responses.whole,
    "messages": anthropic.whole,
    "gemini": gemini.whole,
    "converse": converse.whole,
    "cohere": cohere.whole,
    "ollama": ollama.whole,
}
STREAM: dict[str, Callable[[bytes], Facts]] = {
    "chat": chat.stream,
    "responses": responses.stream,
    "messages": anthropic.stream,
    "gemini": gemini.stream,
    "converse": converse.stream,
    "cohere": cohere.stream,
    "ollama": ollama.stream,
}
