"""What translating one chunk of a stream costs, for each pair of formats, in the process itself."""

from __future__ import annotations

import statistics
import time
from itertools import product

from gateway.exchange import Usage
from gateway.formats.neutral.codec import Codec, Heading
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Began, Closed, Ended, Event, Finished, Grew, Metered, Opened
from gateway.formats.neutral.parts import Text
from gateway.formats.passage.codecs import CODECS
from harness.answers import CHUNKS, TOKEN
from harness.table import Row

CLIENTS = ("chat", "responses", "messages", "gemini")
UPSTREAMS = ("chat", "responses", "messages", "gemini", "converse")
LIMIT_US = 30.0
ROUNDS = 40
EVENT_LIMIT_BYTES = 1 << 20

_HEADING = Heading("bench", "gpt-4o-mini", 1_700_000_000, Conversation(()))


def said() -> list[Event]:
    """A stream of `CHUNKS` words."""
    words: list[Event] = [Grew(0, TOKEN) for _ in range(CHUNKS)]
    end: list[Event] = [Closed(0), Finished("stop"), Metered(Usage(25, CHUNKS)), Ended()]
    return [Began("bench", "gpt-4o-mini", 1_700_000_000), Opened(0, Text("")), *words, *end]


def pieces_of(upstream: Codec) -> list[bytes]:
    """The stream as an upstream of this format sends it: a piece for each event."""
    encoder = upstream.stream_encoder(_HEADING)
    return [piece for event in said() if (piece := encoder.encode([event]))]


def median_us(client: Codec, upstream: Codec) -> float:
    """The median time in microseconds from a word's chunk to the client's bytes of it."""
    pieces = pieces_of(upstream)
    spent_ns: list[int] = []
    for _ in range(ROUNDS):
        decoder, encoder = upstream.stream_decoder(EVENT_LIMIT_BYTES), client.stream_encoder(_HEADING)
        for piece in pieces:
            started_ns = time.perf_counter_ns()
            events = decoder.feed(piece)
            if events:
                encoder.encode(events)
            spent_ns.append(time.perf_counter_ns() - started_ns)
    return statistics.median(spent_ns) / 1000


def chunk_rows() -> list[Row]:
    """The dearest pair against the goal, and the median over all."""
    seen = {
        (client, upstream): median_us(CODECS[client], CODECS[upstream])
        for client, upstream in product(CLIENTS, UPSTREAMS)
        if client != upstream
    }
    (client, upstream), most_us = max(seen.items(), key=lambda pair: pair[1])
    what = f"translating a chunk, dearest pair ({upstream} to {client})"
    typical = f"all pairs {statistics.median(seen.values()):.1f} us"
    return [Row(what, "", f"{most_us:.1f} us", typical, f"<= {LIMIT_US:.0f} us", most_us <= LIMIT_US)]
