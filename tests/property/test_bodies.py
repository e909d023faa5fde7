"""What holds for every body, route, secret and compression that anybody can think of."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from typing import Any

import brotli
import msgspec
from backports import zstd
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.formats.chat.response import rename_model
from gateway.formats.chat.usage import decode_usage
from gateway.formats.envelope import decode_envelope, decode_members, encode_request
from gateway.formats.errors.verdicts import judge
from gateway.formats.http.compression import decompress
from gateway.formats.request.prompt import decode_prompt
from gateway.routing.matching.globs import is_glob
from gateway.routing.routes import Route
from gateway.routing.table import Routes, allows
from gateway.texts.credentials import redact

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=10),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.just("model"), st.text(max_size=8)), inner, max_size=3),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(
    st.one_of(
        st.sampled_from(["model", "stream", "stream_options", "messages", 'x"model', "mod\\u0065l"]),
        st.text(max_size=8),
    ),
    VALUES,
    max_size=6,
)
STYLES = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def escaped(name: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in name)


def written(value: dict[str, Any], style: dict[str, Any], *, escape: bool) -> bytes:
    text = json.dumps(value, **style)
    return (text.replace('"model"', f'"{escaped("model")}"') if escape else text).encode()


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.builds(written, OBJECTS, STYLES, escape=st.booleans())))
def test_a_request_is_opened_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadRequest):  # any other exception fails
        members = decode_members(body)
        text, messages = decode_prompt(members)
        assert isinstance(text, str)
        assert messages >= 0
        assert decode_envelope(members).model


@settings(max_examples=200, deadline=None)
@given(OBJECTS, STYLES, st.booleans(), st.text(min_size=1, max_size=10))
def test_a_request_written_again_means_the_same(
    value: dict[str, Any], style: Any, escape: bool, model: str
) -> None:
    assume(not escape or "mod\\u0065l" not in value)
    body = written(value, style, escape=escape)
    sent = encode_request(decode_members(body), model, ask_usage=False)
    assert json.loads(sent) == json.loads(body) | {"model": model}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["model", "a", "stream"]), st.text(max_size=5)), max_size=8))
def test_of_duplicates_the_last_is_what_is_sent(pairs: list[tuple[str, str]]) -> None:
    body = (
        "{" + ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs) + "}"
    ).encode()
    sent = encode_request(decode_members(body), "m", ask_usage=False)
    assert json.loads(sent, object_pairs_hook=list) == list({**dict(pairs), "model": "m"}.items())


@settings(max_examples=400, deadline=None)
@given(OBJECTS, STYLES, st.booleans(), st.text(max_size=6))
def test_renaming_changes_the_top_level_model_and_nothing_else(
    value: dict[str, Any], style: Any, escape: bool, name: str
) -> None:
    body = written(value, style, escape=escape)
    renamed = rename_model(body, name)
    before, after = json.loads(body), json.loads(renamed)
    assert after == (before | {"model": name} if "model" in before else before)
    start, end = same_ends(body, renamed)
    if "model" in before:
        # Byte for byte outside of the value, which is all that may differ.
        assert len(body) - start - end <= len(bytes(decode_members(body)["model"]))


def same_ends(one: bytes, other: bytes) -> tuple[int, int]:
    shorter = min(len(one), len(other))
    start = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    end = next((at for at in range(shorter - start) if one[-1 - at] != other[-1 - at]), shorter - start)
    return start, end


SECRETS = st.text("abcdefgxyzABZ0189_-+/=", min_size=5, max_size=40).map("sk-".__add__)


@settings(max_examples=300, deadline=None)
@given(SECRETS, st.lists(st.one_of(st.text(max_size=10), st.just(None)), max_size=6), STYLES)
def test_the_secret_is_never_left_and_json_stays_json(
    secret: str, parts: list[str | None], style: Any
) -> None:
    message = "".join(secret if part is None else part for part in parts)
    body = json.dumps({"error": {"message": message, "code": None}}, **style).encode()
    hidden = redact(body, secret)
    assert secret.encode() not in hidden
    assert set(json.loads(hidden)["error"]) == {"message", "code"}


@settings(max_examples=200, deadline=None)
@given(
    SECRETS,
    st.integers(3, 20),
    st.integers(0, 20),
    st.sampled_from(["**", "***********", "...", "....", "\u2026"]),
)
def test_masked_forms_show_nothing_of_the_secret(secret: str, start: int, end: int, mask: str) -> None:
    assume(start + end < len(secret))
    shown = secret[:start] + mask + (secret[-end:] if end else "")
    assert redact(f"key:\n{shown}; no".encode(), secret).endswith(b"key:\n[redacted]; no")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=12))
def test_redacting_survives_any_bytes(text: bytes, secret: str) -> None:
    hidden = redact(text, secret)
    assert (
        not secret
        or secret.encode() in b"[redacted]"
        or secret.encode() not in hidden.replace(b"[redacted]", b"\x00")
    )


FOLD = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.binary(max_size=300), st.builds(bytes, st.integers(0, 5000))),
    st.lists(st.sampled_from(sorted(FOLD)), max_size=3),
    st.integers(0, 3000),
    st.booleans(),
)
def test_no_more_than_the_limit_is_unfolded(
    body: bytes, codings: list[str], limit_bytes: int, spoil: bool
) -> None:
    folded = body
    for coding in codings:
        folded = FOLD[coding](folded)
    if spoil:
        folded = folded[: len(folded) // 2]
    try:
        unfolded = decompress(folded, ", ".join(codings), limit_bytes)
    except (BadRequest, TooLarge):
        return
    assert unfolded == (folded if not codings else body)
    assert not codings or len(unfolded) <= limit_bytes


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(400, 599))
def test_any_error_body_gives_a_message(body: bytes, status: int) -> None:
    message = judge(status, [], body).message
    assert 0 < len(message) <= 2000


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.builds(lambda value: json.dumps(value).encode(), VALUES)))
def test_any_usage_is_read_or_none(raw: bytes) -> None:
    usage = decode_usage(raw)
    assert usage is None or min(msgspec.structs.astuple(usage)[:5]) >= 0


NAMES = st.text("ab*?[]-", min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, unique=True, max_size=6), NAMES)
def test_an_exact_route_beats_every_glob(names: list[str], model: str) -> None:
    routes = Routes(Route(name, None) for name in names)
    found = routes.find(model)
    if model in names and not is_glob(model):
        assert found is not None
        assert found.name == model
    elif found is not None:
        assert is_glob(found.name)
        assert allows(((found.name,),), model)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(NAMES, max_size=3).map(tuple), max_size=3).map(tuple),
    st.lists(NAMES, max_size=3).map(tuple),
    NAMES,
)
def test_another_layer_only_narrows(
    layers: tuple[tuple[str, ...], ...], layer: tuple[str, ...], model: str
) -> None:
    assert allows(layers, model) or not allows((*layers, layer), model)
