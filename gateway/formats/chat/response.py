"""Read and rename whole JSON answers of OpenAI's dialect, byte for byte where nothing has to change.

What counts as saying something is here too, for whole answers and for the chunks of streams. Must not know
backends or HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gateway.errors import BadAnswer
from gateway.exchange import Usage
from gateway.formats.chat.answer import read_finish
from gateway.formats.chat.message import read_arguments, read_signature
from gateway.formats.chat.types import ChunkChoice, Delta
from gateway.formats.chat.types import ToolCall as WireCall
from gateway.formats.chat.usage import decode_usage
from gateway.formats.errors.told import fault_in
from gateway.formats.framing.whole import is_object
from gateway.formats.neutral.completion import MOST_CHARS, MUTE, About, Finish, in_tier, tier_of
from gateway.formats.neutral.parts import Part, Refusal, ToolCall
from gateway.formats.neutral.reading import lenient, not_json, value_in, without_halves

_NULL = msgspec.Raw(b"null")
_NOTHING = frozenset({b"null", b'""', b"[]", b"{}"})


class _Said(msgspec.Struct):
    """The members of a message, or of what a chunk adds to one, that hold what was generated."""

    content: msgspec.Raw = _NULL
    tool_calls: msgspec.Raw = _NULL
    reasoning_content: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = _NULL
    reasoning_details: msgspec.Raw = _NULL
    refusal: msgspec.Raw = _NULL
    function_call: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    images: msgspec.Raw = _NULL


class Spoken(msgspec.Struct):
    """A choice of a whole answer (`message`, or `text` of an old completion) or of a chunk (`delta`)."""

    message: _Said | None = None
    delta: _Said | None = None
    text: msgspec.Raw = _NULL
    finish_reason: msgspec.Raw = _NULL
    stop_reason: msgspec.Raw = _NULL
    matched_stop: msgspec.Raw = _NULL


class _Answer(msgspec.Struct):
    choices: list[Spoken] | None = None
    model: msgspec.Raw = _NULL
    usage: msgspec.Raw = _NULL
    service_tier: msgspec.Raw = _NULL


class _Call(msgspec.Struct):
    name: str | None = None


class _Named(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw(b"")


_decoder = msgspec.json.Decoder(_Answer)
_named = msgspec.json.Decoder(_Named)
_call = msgspec.json.Decoder(_Call)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:]')
_OPEN, _CLOSE = (b"{", b"["), (b"}", b"]")
_MEMBERS = _Said.__struct_fields__
_NO_DEEDS = frozenset[type[Part]]()
CALLED, _REFUSED = frozenset[type[Part]]({ToolCall}), frozenset[type[Part]]({Refusal})


def decode_answer(body: bytes) -> tuple[Usage | None, bool, About]:
    """Check that `body` is one whole answer; return its usage (None: not told), and whether it is empty.

    The third is what it tells of itself.
    Raises BadAnswer when it is truncated, HTML, no JSON object, or has no choices; or the error it tells.
    """
    try:
        answer = lenient(_decoder.decode, body)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the upstream's answer is not what its format promises: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(body, error) from None
    if not answer.choices:
        raise fault_in(without_halves(body)) or BadAnswer("the upstream's answer has no choices")
    tier = "" if answer.service_tier is _NULL else tier_of(value_in(answer.service_tier))
    about = About((value_in(answer.model) or "")[:MOST_CHARS], _finish_of(answer.choices[0]) or "", tier)
    return in_tier(decode_usage(answer.usage), tier), not says(answer.choices), about


def _finish_of(choice: Spoken) -> Finish | None:
    stops = (value_in(each) for each in (choice.stop_reason, choice.matched_stop) if each is not _NULL)
    return read_finish(value_in(choice.finish_reason), deeds_of(choice), next(filter(None, stops), ""))


def deeds_of(choice: Spoken) -> frozenset[type[Part]]:
    """Tell what a choice does that changes what its end means: it calls, or it refuses."""
    said = choice.message or choice.delta
    if said is None:
        return _NO_DEEDS
    if _holds(said.tool_calls) or (_holds(said.function_call) and _names(said.function_call)):
        return CALLED
    return _REFUSED if _holds(said.refusal) else _NO_DEEDS


def _names(call: msgspec.Raw) -> bool:
    """Tell whether a call is one: Snowflake writes an empty one beside every text."""
    try:
        return bool(_call.decode(call).name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _holds(raw: msgspec.Raw) -> bool:
    return raw is not _NULL and bytes(raw) not in _NOTHING


def says(choices: Sequence[Spoken]) -> bool:
    """Tell whether any of these says something: a word, a thought, a part of a call.

    So does an end that is an answer by itself: a limit that was met, a filter that struck.
    """
    for choice in choices:
        said = choice.message or choice.delta
        if said is not None and bytes(said.content) not in _NOTHING:  # nearly always
            return True
        if said is not None and any(bytes(getattr(said, name)) not in _NOTHING for name in _MEMBERS):
            return True
        if bytes(choice.text) not in _NOTHING or _tells_by_its_end(bytes(choice.finish_reason)):
            return True
    return False


def _tells_by_its_end(word: bytes) -> bool:
    finish = read_finish(word.decode(errors="replace").strip('"'), frozenset()) if word != b"null" else None
    return finish is not None and finish not in MUTE


def speaks(choice: ChunkChoice) -> bool:
    """Tell whether a chunk adds anything to a choice: what is no word and no call may follow its end."""
    delta = choice.delta
    return delta is not None and (_has_words(delta) or bool(delta.tool_calls or delta.function_call))


def repeats(choice: ChunkChoice) -> bool:
    """Tell whether a choice that had told its end speaks again, and so says all of it twice.

    Together tells an end after each call: calls beside the first still belong to the answer.
    """
    delta = choice.delta
    if delta is None or not delta.tool_calls or _has_words(delta):
        return speaks(choice)
    return not all(call.index for call in delta.tool_calls)


def _has_words(delta: Delta) -> bool:
    thoughts = delta.reasoning_content or delta.reasoning or delta.reasoning_details
    return bool(delta.content or thoughts or delta.refusal or delta.audio or delta.images)


def piece_of(call: WireCall) -> tuple[str, str]:
    """Read what a chunk adds to a call that was begun: to its arguments or input, and to its signature."""
    said = (call.custom and call.custom.input) or read_arguments(call.function and call.function.arguments)
    return said, read_signature(call.extra_content)


def bare_error(text: bytes) -> bytes:
    """Return an error that stands in a stream with nothing of an event around it; empty for all else."""
    return text if is_object(text) and fault_in(text) is not None else b""


def rename_model(body: bytes, name: str) -> bytes:
    """Put `name` in place of the top-level `model` of an answer; every other byte stays.

    An object without `model` is returned as it is.
    """
    old, new = _model_in(body), msgspec.json.encode(name)
    if old in (b"", new):
        return body
    found = list(re.finditer(rb'"model"\s*:\s*(' + re.escape(old) + rb")", body))
    if len(found) == 1:
        renamed = _spliced(body, found[0].start(1), old, new)
        if _model_in(renamed) == new:  # nearly always: the only match was the member itself
            return renamed
    return _spliced(body, _place_of_model(body), old, new)


def _model_in(body: bytes) -> bytes:
    """Return the value of `model` as written; empty when there is none, or no JSON object."""
    try:
        return bytes(lenient(_named.decode, body).model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def _spliced(body: bytes, start: int, old: bytes, new: bytes) -> bytes:
    return body[:start] + new + body[start + len(old) :]


def _place_of_model(body: bytes) -> int:
    """Find where the value of the last top-level `model` begins, walking over strings and brackets."""
    depth, place, last = 0, 0, b""
    for token in _TOKEN.finditer(body):
        text = token.group()
        if text in _OPEN:
            depth += 1
        elif text in _CLOSE:
            depth -= 1
        elif depth == 1 and text == b":" and msgspec.json.decode(without_halves(last)) == "model":
            place = token.end()
        last = text
    while body[place] in b" \t\r\n":
        place += 1
    return place
