"""Puts calls to a server on many connections at once, over raw sockets, and keeps what came of each.

It parses only as much HTTP as the gateway speaks to such clients: a length or chunks, connections kept.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvloop

PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Answered:
    """One call: when it began (monotonic seconds), how long it took, and what came."""

    began_s: float
    seconds: float
    status: int
    body: bytes


def median_s(answers: Iterable[Answered]) -> float:
    """The median time that the calls took."""
    return statistics.median(answer.seconds for answer in answers)


def request(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> bytes:
    """A call of chat completions, as bytes."""
    content = json.dumps(body).encode()
    lines = {"host": urlsplit(url).netloc, "content-type": "application/json", **headers}
    lines["content-length"] = str(len(content))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + content


def put_calls(url: str, requests: Iterable[bytes], connections: int) -> list[Answered]:
    """Send all requests, `connections` at a time, each connection one after the other."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_put(url, iter(requests), connections))


async def _put(url: str, requests: Iterator[bytes], connections: int) -> list[Answered]:
    answers: list[Answered] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_one_after_the_other(url, requests, answers))
    return answers


async def _one_after_the_other(url: str, requests: Iterator[bytes], answers: list[Answered]) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        for asked in requests:
            began_s = time.monotonic()
            writer.write(asked)
            status, body = await answer_of(reader)
            answers.append(Answered(began_s, time.monotonic() - began_s, status, body))
    finally:
        writer.close()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer: its status and its body. Raises EOFError where it is cut."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    _, named, rest = head.partition(b"\r\ncontent-length:")
    if named:
        return status, await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
    pieces = []
    while size_bytes := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append((await reader.readexactly(size_bytes + 2))[:-2])
    await reader.readexactly(2)
    return status, b"".join(pieces)
