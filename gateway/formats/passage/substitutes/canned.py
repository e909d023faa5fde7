"""Say a fixed text as if a model had: the answer of last resort, in the client's dialect.

Must not know why, nor what else was tried.
Source: OpenAI API reference, "Completions" (checked 2026-11); the others are their codecs' business.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import ClientError
from gateway.exchange import Call, Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import whole
from gateway.formats.neutral.parts import Text
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.seam import Terms
from gateway.formats.passage.wires import TRANSLATED_TO

_JSON, _EVENTS = b"application/json", b"text/event-stream"
_MOST_CHOICES = 128
"""So many may be asked for at most, in any dialect."""

_NOTHING_USED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def canned(call: Call, text: str, terms: Terms) -> tuple[bytes, bytes] | None:
    """Return the content type and the body of an answer that says `text`: a stream where one was asked for.

    It used nothing, and names the model that was asked for. None: words are no answer in this format.
    """
    if call.format == "completions":
        return _completion(call, text, terms)
    codec = CODECS.get(call.format)
    if codec is None or call.format not in TRANSLATED_TO:
        return None
    try:
        asked = codec.decode_request(call.members)
    except ClientError:  # it was to be relayed unread
        asked = Conversation(())
    heading = Heading(
        id=terms.call_id.removeprefix("call_"),
        model=call.envelope.model,
        created_unix_s=terms.created_unix_s,
        request=asked,
        rename=True,
        wants_usage=call.envelope.wants_usage,
    )
    choices = min(max(asked.choices or 1, 1), _MOST_CHOICES)
    completion = Completion((Choice((Text(text),), "stop"),) * choices, usage=Usage())
    if call.envelope.stream:
        return _EVENTS, codec.stream_encoder(heading).encode(whole(completion))
    return _JSON, codec.encode_answer(completion, heading)


def _completion(call: Call, text: str, terms: Terms) -> tuple[bytes, bytes]:
    """Write an answer of the older dialect; in its stream `usage` has a chunk of its own."""
    head = {
        "id": f"cmpl-{terms.call_id.removeprefix('call_')}",
        "object": "text_completion",
        "created": terms.created_unix_s,
        "model": call.envelope.model,
    }

    def said(words: str, reason: str | None) -> dict[str, Any]:
        choice = {"text": words, "index": 0, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice]}

    if not call.envelope.stream:
        return _JSON, msgspec.json.encode(said(text, "stop") | {"usage": _NOTHING_USED})
    chunks = [said(text, None), said("", "stop")]
    if call.envelope.wants_usage:
        chunks.append({**head, "choices": [], "usage": _NOTHING_USED})
    events = [b"data: %b\n\n" % msgspec.json.encode(chunk) for chunk in chunks]
    return _EVENTS, b"".join([*events, b"data: [DONE]\n\n"])
