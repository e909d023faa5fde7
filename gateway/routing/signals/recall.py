"""Keep what decisions looked at in a call, without its content; and decide again on what was kept.

What was not recorded is never guessed: asking for it raises Unrecorded. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from gateway.exchange import Call, Caller, Envelope
from gateway.routing.signals.readers import Readers
from gateway.routing.signals.signals import Signals, Unrecorded

_PLAIN = ("max_tokens", "prompt_tokens", "size_bytes", "task", "language", "priority", "metadata")
_SETS = ("features", "labels")
_DIGESTED = ("user", "conversation")
_CHEAP = ("max_tokens", "prompt_tokens", "size_bytes", "features")
"""What is recorded even where nobody asked, beside the user: some microseconds together."""
_DIGEST_BYTES = 12


def snapshot(signals: Signals, headers: Iterable[str] = ()) -> dict[str, Any]:
    """Return what was read of a call, as values that msgspec writes as JSON.

    `headers` are the names (in lower case) that rules look at: only those are kept, as given or None.
    `user` and `conversation` become digests: equal ones stay equal. Nothing of the prompt is kept.

    Cost: 1 us, where all of it was read before.
    """
    facts: dict[str, Any] = {
        "model": signals.model,
        "format": signals.format,
        "stream": signals.stream,
        "caller": signals.caller,
        "headers": {name: signals.headers.get(name) for name in headers} if headers else {},
    }
    read = signals.__dict__
    if not signals.recalled:
        _read_cheap(signals, read)
    for name in _PLAIN:
        if name in read:
            facts[name] = read[name]
    for name in _SETS:
        if name in read:
            facts[name] = sorted(read[name])
    _add_digests(signals, read, facts)
    return facts


def _read_cheap(signals: Signals, read: Mapping[str, Any]) -> None:
    for name in _CHEAP:
        if name not in read:
            getattr(signals, name)  # it is in `read` then


def _add_digests(signals: Signals, read: Mapping[str, Any], facts: dict[str, Any]) -> None:
    if not signals.recalled:
        _ = signals.user  # as the last: it may read metadata, which counts only where something else did
    for name in _DIGESTED:
        if name in read:
            facts[name] = read[name] if signals.recalled or not read[name] else _digest(read[name])


def recall(facts: Mapping[str, Any], readers: Readers) -> Signals:
    """Return the signals of a call from what `snapshot` gave, also after a way through JSON.

    Raises msgspec.ValidationError for facts that no snapshot gives.
    """
    return Recalled(facts, readers)


class Recalled(Signals):
    """Signals of recorded facts. What was not recorded raises Unrecorded."""

    recalled = True

    def __init__(self, facts: Mapping[str, Any], readers: Readers) -> None:
        seen = msgspec.convert(facts, _Facts)
        headers = RecordedHeaders(seen.headers)
        envelope = Envelope(seen.model, stream=seen.stream)
        super().__init__(Call(seen.format, seen.caller, envelope, {}, headers), readers)
        given = {name: facts[name] for name in (*_PLAIN, *_DIGESTED) if name in facts}
        given |= {name: frozenset(facts[name]) for name in _SETS if name in facts}
        vars(self).update(given)


class RecordedHeaders(Mapping[str, str]):
    """Headers of which only some were recorded, be it that they were not there."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Mapping[str, str | None]) -> None:
        self._lines = lines

    def __getitem__(self, name: str) -> str:
        """Return a header's value. Raises KeyError where it was not sent, Unrecorded where nobody knows."""
        if name not in self._lines:
            raise Unrecorded(f"the header {name}")
        value = self._lines[name]
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, or `default` where it was not sent."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        """Whether it was sent."""
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._lines.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Facts(msgspec.Struct):
    model: str
    format: Any
    stream: bool
    caller: Caller
    headers: dict[str, str | None] = {}


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
