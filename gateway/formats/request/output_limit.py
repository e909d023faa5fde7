"""How much a call asks for: read it, refuse what is absurd, and write a cap where its format has one.

Must not know whom a limit is for, nor models and hosts.

Sources: the API references named in `gateway.formats.*.types`, and that of OpenAI's completions.

Cost: 0.2 us to check a call without amounts, 0.5 us with one, 0.9 us where they stand in an object of
settings; 2 us to write a cap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest
from gateway.exchange import Call, Format

ChatLimit = Literal["max_tokens", "max_completion_tokens"]

MOST_OUTPUT_TOKENS = 10_000_000
"""No model gives a tenth of that; sums of it stay far below what counters hold."""
MOST_CHOICES = 128
"""As OpenAI has it."""
MOST_MEMBERS = 1000
"""Of a request, on top; formats have some forty."""
MOST_OF = ((b"{", 200_000, "objects"), (b"[", 200_000, "lists"), (b":", 1_000_000, "names"))
"""In a request, by what each is written with. An object takes up to 3 us to look at, a list or a name 0.6; a
prompt of two million tokens that is all short records has fewer."""
_CROWD_BYTES = 1 << 19
"""Shorter requests cannot hold so many."""
_SHOWN_BYTES = 40


class _Places(msgspec.Struct, frozen=True, gc=False):
    """Where a format has its amounts: within one of `settings`, or on top where it has none.

    What is written is named by the first; other names are read, and changed where the client has them.
    """

    limits: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    least: int = 1
    words: frozenset[int] = frozenset()
    """Amounts that stand for something else: for no limit."""


_PLACES: Mapping[Format, _Places] = {
    "chat": _Places(("max_completion_tokens", "max_tokens"), ("n",)),
    # None at all is asked for to have a prompt scored.
    "completions": _Places(("max_tokens",), ("n", "best_of"), least=0),
    "responses": _Places(("max_output_tokens",)),
    "messages": _Places(("max_tokens",)),
    "gemini": _Places(
        ("maxOutputTokens", "max_output_tokens"),
        ("candidateCount", "candidate_count"),
        ("generationConfig", "generation_config"),
    ),
    "converse": _Places(("maxTokens",), settings=("inferenceConfig",)),
    "cohere": _Places(("max_tokens",)),
    "ollama": _Places(("num_predict",), settings=("options",), words=frozenset({-1, -2})),
    "images": _Places(choices=("n",)),
    "image_edits": _Places(choices=("n",)),
}
_NAMED: Mapping[Format, frozenset[str]] = {
    format_: frozenset(places.settings or places.limits + places.choices)
    for format_, places in _PLACES.items()
}
_NAMED_CHOICES: Mapping[Format, frozenset[str]] = {
    format_: frozenset(places.settings or places.choices)
    for format_, places in _PLACES.items()
    if places.choices
}
_NOTHING: frozenset[str] = frozenset()
_ABSENT = msgspec.Raw(b"")

_count: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_list = msgspec.json.Decoder(list[msgspec.Raw])


def check_crowd(body: bytes) -> None:
    """Raise BadRequest for a body of more values than can be looked at while others wait.

    Signs in texts count too. Cost: nothing below half a megabyte, 20 ms for 32.
    """
    if len(body) < _CROWD_BYTES:
        return
    for sign, most, what in MOST_OF:
        if body.count(sign) > most:
            told = f"the request must have at most {most} {what}, also counting each {sign.decode()} in texts"
            raise BadRequest(told, code="too_many_values")


def check_amounts(call: Call) -> None:
    """Raise BadRequest, naming the field, for a limit or a number of choices that is none or is absurd."""
    if len(call.members) > MOST_MEMBERS:
        told = f"the request must have at most {MOST_MEMBERS} members; it has {len(call.members)}"
        raise BadRequest(told, code="too_many_values")
    if _NAMED.get(call.format, _NOTHING).isdisjoint(call.members):
        return
    places = _PLACES[call.format]
    for prefix, members in _amounts_in(call, places):
        for name in places.limits:
            count = _read(members, name, prefix)
            if count is not None and count not in places.words:
                _check(count, prefix + name, places.least, MOST_OUTPUT_TOKENS)
        for name in places.choices:
            count = _read(members, name, prefix)
            if count is not None:
                _check(count, prefix + name, 1, MOST_CHOICES)


def output_limit_of(call: Call) -> int | None:
    """Return how many tokens an answer may have, as the call says where its format does; None: it does not.

    Of several limits the highest: nobody knows which of them a host goes by. What other formats call it says
    nothing, since hosts ignore that. Counts only what `check_amounts` lets pass.
    """
    if _NAMED.get(call.format, _NOTHING).isdisjoint(call.members):
        return None
    places, highest = _PLACES[call.format], None
    for prefix, members in _amounts_in(call, places):
        for name in places.limits:
            count = _read(members, name, prefix)
            if count is not None and count not in places.words and (highest is None or count > highest):
                highest = count
    return highest


def choices_of(call: Call) -> int:
    """Return how many answers are generated, and paid: 1 where the call does not say.

    Of completions, for all prompts together. Counts only what `check_amounts` lets pass.
    """
    prompts = _prompts_of(call.members) if call.format == "completions" else 1
    if _NAMED_CHOICES.get(call.format, _NOTHING).isdisjoint(call.members):
        return prompts
    places, choices = _PLACES[call.format], 1
    for prefix, members in _amounts_in(call, places):
        for name in places.choices:
            choices = max(choices, _read(members, name, prefix) or 1)
    return choices * prompts


def with_output_limit(call: Call, tokens: int, named: ChatLimit = "max_completion_tokens") -> Call:
    """Return the call with a limit on its output: in place of the client's, wherever that stands.

    `named` is what the host of a chat calls it, for a client that does not say. A call whose format has no
    such limit stays as it is.
    """
    places = _PLACES.get(call.format)
    if places is None or not places.limits:
        return call
    raw = msgspec.Raw(b"%d" % tokens)
    changed: dict[str, msgspec.Raw] = {}
    for prefix, members in _amounts_in(call, places):
        said = {name: raw for name in places.limits if _is_said(members, name)}
        if not places.settings:
            changed |= said
        elif said:
            changed[prefix[:-1]] = msgspec.Raw(msgspec.json.encode({**members, **said}))
    if not changed:
        changed = _first(call, places, named if call.format == "chat" else places.limits[0], raw)
    return msgspec.structs.replace(call, members={**call.members, **changed})


def _first(call: Call, places: _Places, name: str, raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Say the limit where none is said."""
    if not places.settings:
        return {name: raw}
    prefix, members = next(_amounts_in(call, places), (places.settings[0] + ".", {}))
    return {prefix[:-1]: msgspec.Raw(msgspec.json.encode({**members, name: raw}))}


def _amounts_in(call: Call, places: _Places) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give what amounts stand in, with what its place is called in front of their names."""
    if not places.settings:
        yield "", call.members
        return
    for name in places.settings:
        if name not in call.members:
            continue
        try:
            members = _object.decode(call.members[name])
        except (msgspec.DecodeError, UnicodeError):
            raise BadRequest(f"{name} must be an object", param=name, code="invalid_type") from None
        if members is not None:
            yield name + ".", members


def _is_said(members: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in members and bytes(members[name]) != b"null"


def _read(members: Mapping[str, msgspec.Raw], name: str, prefix: str) -> int | None:
    if name not in members:
        return None
    try:
        return _count.decode(members[name])
    except (msgspec.DecodeError, UnicodeError):
        told = f"{prefix}{name} must be an integer; the request has {_shown(members[name])}"
        raise BadRequest(told, param=prefix + name, code="invalid_type") from None


def _check(count: int, name: str, least: int, most: int) -> None:
    if count < least:
        told = f"{name} must be at least {least}; the request has {count}"
        raise BadRequest(told, param=name, code="integer_below_min_value")
    if count > most:
        told = f"{name} must be at most {most}; the request has {count}"
        raise BadRequest(told, param=name, code="integer_above_max_value")


def _prompts_of(members: Mapping[str, msgspec.Raw]) -> int:
    """Return how many prompts are completed: a list of numbers is one, in tokens."""
    prompt = members.get("prompt", _ABSENT)
    begins = bytes(memoryview(prompt)[:_SHOWN_BYTES])
    if begins[:1] != b"[" or begins[1:].lstrip()[:1] not in (b'"', b"["):
        return 1
    try:
        return len(_list.decode(prompt))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return 1


def _shown(raw: msgspec.Raw) -> str:
    shown = bytes(memoryview(raw)[:_SHOWN_BYTES]).decode(errors="replace")
    return shown if len(raw) <= _SHOWN_BYTES else f"{shown}..."
