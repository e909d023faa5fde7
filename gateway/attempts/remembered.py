"""Answers kept to be given again when nobody else answers: the last of each request, in this process.

Nothing here decides whether an answer may be given; it knows no clock: times are handed in.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus

import msgspec

from gateway.exchange import Call, Format, KeptAnswer
from gateway.formats.neutral.check import TURNS_IN

LIMIT_BYTES = 64 * 1024 * 1024
_SHARE_OF_ONE = 16
"""An answer of more than this part of the limit is not kept: it would push out too many others."""

_ENTRY_BYTES = 256
"""What an entry takes beside its body: key, struct, slot of the table, the bytes' own heads."""

_WITHOUT_EFFECT: Mapping[Format, frozenset[str]] = {
    "chat": frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "store"}),
    "completions": frozenset({"user"}),
    "embeddings": frozenset({"user"}),
    "messages": frozenset({"metadata"}),
    "gemini": frozenset({"labels"}),
}
"""Members that name the caller's user or the call, and change no word of the answer: with them in the key, a
client that numbers its calls would never be given anything again. Answers of the Responses API repeat
theirs, so there they count. `stream_options` counts everywhere: it decides which bytes the client got."""

_KEPT: frozenset[Format] = frozenset({"responses", "rerank", "moderations", *_WITHOUT_EFFECT})
"""Formats whose answers are worth keeping: pictures and sound are large, and forms have no members."""

_STATEFUL = ("conversation", "previous_response_id", "background")
"""Members of a responses call that let its answer rest on more than the request, or come later."""

_RESULTS: Mapping[Format, re.Pattern[bytes]] = {
    "chat": re.compile(rb'"tool_call_id"'),
    "responses": re.compile(rb'"type"\s*:\s*"\w+_output"'),
    "messages": re.compile(rb'"tool_result"'),
    "gemini": re.compile(rb'"function_?[rR]esponse"'),
}
"""What stands among the turns where a tool gave a result. Such a request has ids that were made for it, so it
comes again only when its client repeats it; and what it would be told rests on results that no longer hold.
"""

_HEADERS = ("openai-beta", "anthropic-beta", "anthropic-version")
"""Headers that change answers."""

_NO = frozenset({b"null", b"false"})
_KEY_BYTES = 16


def key_of(call: Call, route: str) -> bytes | None:
    """Name a client's request; None for one whose answer is not to be given again.

    Two are the same of one tenant, to one route, whose members have the same bytes in any order: an SDK
    writes the same request the same way, so a deeper reading would find little more for more time. Cost: 10
    us for 4 KiB, 1.4 ms for 1 MiB.
    """
    if call.format not in _KEPT or call.form:
        return None
    members = {name: msgspec.json.encode(value) for name, value in call.members.items()}
    if any(members.get(name, b"null") not in _NO for name in _STATEFUL):
        return None
    results = _RESULTS.get(call.format)
    if results is not None and results.search(members.get(TURNS_IN[call.format], b"")):
        return None
    ignored = _WITHOUT_EFFECT.get(call.format, frozenset())
    digest = blake2b(digest_size=_KEY_BYTES)
    headers = [f"{name}: {call.headers[name]}" for name in _HEADERS if name in call.headers]
    for word in (call.caller.tenant, route, call.format, str(call.envelope.stream), *headers):
        _add(digest, word.encode())
    for name in sorted(members.keys() - ignored):
        _add(digest, name.encode())
        _add(digest, members[name])
    return digest.digest()


def _add(digest: blake2b, word: bytes) -> None:
    """Add a word with its length: else two requests could be the same bytes, cut in other places."""
    digest.update(b"%d:" % len(word))
    digest.update(word)


class Remembered:
    """The answers given last, as many as `limit_bytes` hold; the one unused for longest goes first."""

    __slots__ = ("_answers", "_bytes", "_limit_bytes")

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._answers: OrderedDict[bytes, KeptAnswer] = OrderedDict()
        self._bytes = 0
        self._limit_bytes = limit_bytes

    def put(self, key: bytes, answer: KeptAnswer) -> None:
        """Keep an answer that was whole and ended well, in place of an older one to the same request."""
        self._drop(key)
        size = _size(answer)
        if answer.status != HTTPStatus.OK or not answer.body or size > self._limit_bytes // _SHARE_OF_ONE:
            return
        self._answers[key] = answer
        self._bytes += size
        while self._bytes > self._limit_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, key: bytes, max_age_s: float, now_s: float) -> KeptAnswer | None:
        """Return the answer to a request that is at most so old."""
        answer = self._answers.get(key)
        if answer is None or now_s - answer.at_s > max_age_s:  # another step may take an older one
            return None
        self._answers.move_to_end(key)
        return answer

    def _drop(self, key: bytes) -> None:
        old = self._answers.pop(key, None)
        if old is not None:
            self._bytes -= _size(old)


def _size(answer: KeptAnswer) -> int:
    return len(answer.body) + _ENTRY_BYTES
