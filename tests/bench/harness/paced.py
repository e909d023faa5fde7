"""A client that holds many paced streams open and watches the gaps between their chunks.

Raw sockets under uvloop: an HTTP client would cost more than the server it watches. Run as a program, it
prints `open` once every stream has begun (or should have), and a line of JSON (`Seen`) at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from harness.answers import CHUNKS, PACE_S
from harness.children import HOST

LATE_MS = 250
EVENTS = CHUNKS + 1
"""Chunks with a choice and [DONE]; a chunk with the usage may come on top."""
GRACE_S = 15


@dataclass
class Seen:
    """What the client saw. Gaps are between two reads of one stream, its first chunk on.

    `open` connections got a first chunk, `streams` ended whole, `failed` broke, `unfinished` were given up.
    """

    open: int = 0
    streams: int = 0
    failed: int = 0
    unfinished: int = 0
    first_max_ms: float = 0
    gap_p50_ms: int = 0
    gap_p99_ms: int = 0
    gap_max_ms: float = 0
    late_gaps: int = 0


class Watch:
    """The whole run: how many streams, until when, and a histogram of gaps by the millisecond."""

    def __init__(self, request: bytes, connections: int) -> None:
        self.request, self.connections = request, connections
        self.seen = Seen()
        self.gaps = [0] * 60_000
        self.stop_s = float("inf")
        self.begun: set[Stream] = set()
        self.busy = 0
        self.all_begun, self.all_ended = asyncio.Event(), asyncio.Event()

    def begin(self, stream: Stream, waited_s: float) -> None:
        self.seen.first_max_ms = max(self.seen.first_max_ms, waited_s * 1e3)
        if not self.all_begun.is_set():
            self.begun.add(stream)
            self.seen.open = len(self.begun)
            if self.seen.open == self.connections:
                self.all_begun.set()

    def end(self, *, failed: bool) -> None:
        self.busy -= 1
        self.seen.failed += failed
        self.seen.streams += not failed
        if self.busy == 0:
            self.all_ended.set()

    def summary(self) -> Seen:
        self.seen.gap_p50_ms, self.seen.gap_p99_ms = (percentile(self.gaps, part) for part in (0.5, 0.99))
        self.seen.late_gaps = sum(self.gaps[LATE_MS + 1 :])
        self.seen.unfinished = self.busy
        return self.seen


class Stream(asyncio.Protocol):
    """One connection, one stream after the other on it."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.asking = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.asking, self.events, self.tail, self.last_s = True, 0, b"", 0.0
        self.watch.busy += 1
        self.asked_s = time.perf_counter()
        self.transport.write(self.watch.request)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        joined = self.tail + data
        if self.events:
            gap_ms = (now_s - self.last_s) * 1e3
            self.watch.gaps[min(int(gap_ms), 59_999)] += 1
            self.watch.seen.gap_max_ms = max(self.watch.seen.gap_max_ms, gap_ms)
        elif not self.tail and not data.startswith(b"HTTP/1.1 200 "):
            self.transport.close()
            return
        found = joined.count(b"data: ")
        if found and not self.events:
            self.watch.begin(self, now_s - self.asked_s)
        self.events += found
        self.last_s = now_s
        # Five bytes: one less than `data: `, so that none is counted twice; and all of the last HTTP chunk.
        self.tail = joined[-5:]
        if self.events >= EVENTS and self.tail == b"0\r\n\r\n":
            self.finish()

    def finish(self) -> None:
        self.asking = False
        if time.perf_counter() < self.watch.stop_s:
            self.watch.seen.streams += 1
            self.watch.busy -= 1
            self.ask()
        else:
            self.watch.end(failed=False)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.asking:
            self.asking = False
            self.watch.end(failed=True)


def percentile(histogram: list[int], part: float) -> int:
    """The first index at or below which `part` of the counts lie; 0 for an empty histogram."""
    wanted, seen = part * sum(histogram), 0
    for index, count in enumerate(histogram):
        seen += count
        if seen >= wanted:
            return index
    return 0


async def hold(port: int, request: bytes, connections: int, hold_s: float) -> Seen:
    """Open the streams over the time that one takes, hold them for `hold_s`, let the last ones end."""
    watch = Watch(request, connections)
    loop = asyncio.get_running_loop()
    begin_s = time.perf_counter()
    for index in range(connections):
        due_s = begin_s + index * CHUNKS * PACE_S / connections
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        await loop.create_connection(lambda: Stream(watch), HOST, port)
    # A server that is too slow for the pace is a result too: the streams that it kept waiting are counted.
    await _within(GRACE_S, watch.all_begun)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.sleep(hold_s)
    watch.stop_s = 0
    await _within(GRACE_S, watch.all_ended)
    return watch.summary()


async def _within(limit_s: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()


def main() -> None:
    """Arguments: port, connections, seconds to hold. The raw request comes on standard input."""
    port, connections, hold_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    seen = uvloop.run(hold(port, sys.stdin.buffer.read(), connections, hold_s))
    sys.stdout.write(json.dumps(asdict(seen)) + "\n")


if __name__ == "__main__":
    main()
