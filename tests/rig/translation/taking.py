"""Hands anything to a codec as an upstream or a client might, and on to all the others."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from gateway.errors import BadRequest, Failed, Unsupported, UpstreamError
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Event, join
from gateway.formats.neutral.losses import fit
from rig.translation.formats import CLIENTS, FORMATS, LIMIT_BYTES, codec, heading, stream_of
from rig.translation.mutations import as_bytes


def take_request(format_: str, body: Any) -> None:
    """Decode a request and, where it is one, send it everywhere."""
    if not isinstance(body, dict):
        return
    raws = {name: msgspec.Raw(as_bytes(value)) for name, value in body.items()}
    take_members(format_, raws)


def take_members(format_: str, raws: dict[str, msgspec.Raw]) -> None:
    try:
        conversation = codec(format_).decode_request(raws)
    except (BadRequest, Unsupported):
        return
    assert isinstance(conversation, Conversation)
    for target in FORMATS:
        try:
            kept = conversation if target == format_ else fit(conversation, format_, target)[0]
            msgspec.json.encode(codec(target).encode_request(kept))
        except (BadRequest, Unsupported):
            continue


def take_answer(format_: str, body: bytes) -> None:
    """Decode an answer and, where it is one, write it for every client."""
    try:
        completion = codec(format_).decode_answer(body)
    except UpstreamError:
        return
    for client in CLIENTS:
        with contextlib.suppress(Failed):  # an answer that ended in an error is none for some clients
            codec(client).encode_answer(completion, heading())


def take_stream(format_: str, pieces: list[bytes]) -> None:
    """Decode a stream and write what it said for every client."""
    events: list[Event] = []
    try:
        decoder = codec(format_).stream_decoder(LIMIT_BYTES)
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except UpstreamError:
        pass
    join(events)
    for client in CLIENTS:
        stream_of(client, events, heading())
