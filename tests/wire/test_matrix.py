"""Every conversation, from every SDK, through the running gateway, to an upstream of every format.

The upstream is a fake that answers in its own format; the SDKs are the real ones. What arrives there and
what the SDK's user sees must be what was said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from rig.conversations import CASES, ERRORS, HELLO, MISHAPS, PNG, Case, Mishap, ask
from rig.dialects import Heard, Speaker, Trouble, speaking
from rig.gateway import CREDENTIALS, KEY, ONCE, PATIENT, Gateway, running_gateway
from rig.script import Answer, events, plain
from rig.translation.formats import CLIENTS, FORMATS, codec, heading, members, stream_of
from rig.translation.gist import answers, can_ask, holds
from rig.translation.limits import ONE_CHOICE, finishes, tokens
from rig.translation.structure import as_json, differences, normal
from rig.upstream import Seen, Upstream

from gateway.errors import Broken, Unsupported
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.crossing import crossing_request
from gateway.formats.neutral.events import Faulted, whole
from gateway.formats.neutral.fields import FIELDS
from gateway.formats.neutral.losses import features, fit

FLOWING = (False, True)
PROVIDERS: dict[str, dict[str, Any]] = {
    "chat": {"base_url": "/v1", "formats": ["chat"]},
    "responses": {"base_url": "/v1", "formats": ["responses"]},
    "messages": {"provider": "anthropic", "base_url": "", "formats": ["messages"]},
    "gemini": {"provider": "gemini", "base_url": "", "formats": ["gemini"]},
    "converse": {"provider": "bedrock", "base_url": "", "formats": ["converse"], "region": "eu-west-1"},
    "cohere": {"provider": "cohere", "base_url": "", "formats": ["cohere"]},
    "ollama": {"provider": "ollama", "base_url": "", "formats": ["ollama"]},
}
"""A backend of each format, its address relative to the fake upstream's."""


def erring(mishap: Mishap, target: str, client: str, *, stream: bool) -> str:
    """The backend of one mishap's own: it may not be asked for a while afterwards."""
    return f"{target}-{mishap.name.replace('_', '-')}-{client}-{'stream' if stream else 'whole'}"


def all_backends() -> dict[str, dict[str, Any]]:
    own = {
        erring(mishap, target, client, stream=stream): PROVIDERS[target]
        for target, bodies in ERRORS.items()
        for mishap in MISHAPS
        if mishap.name in bodies
        for client in CLIENTS
        for stream in FLOWING
    }
    return {**PROVIDERS, **own}


STREAM_TYPES = {"converse": "application/vnd.amazon.eventstream", "ollama": "application/x-ndjson"}
WORDS: dict[str, dict[str, set[str]]] = {
    "chat": {
        "stop": {"stop"},
        "stop_sequence": {"stop"},
        "length": {"length"},
        "tool_calls": {"tool_calls"},
        "content_filter": {"content_filter"},
        "refusal": {"stop", "content_filter"},
    },
    "responses": {
        "stop": {"completed"},
        "stop_sequence": {"completed"},
        "length": {"incomplete"},
        "tool_calls": {"completed"},
        "content_filter": {"incomplete"},
        "refusal": {"completed"},
    },
    "messages": {
        "stop": {"end_turn"},
        "stop_sequence": {"stop_sequence"},
        "length": {"max_tokens"},
        "tool_calls": {"tool_use"},
        "content_filter": {"refusal"},
        "refusal": {"refusal"},
    },
    "gemini": {
        "stop": {"STOP"},
        "stop_sequence": {"STOP"},
        "length": {"MAX_TOKENS"},
        "tool_calls": {"STOP"},
        "content_filter": {"SAFETY", "PROHIBITED_CONTENT"},
        "refusal": {"SAFETY", "PROHIBITED_CONTENT", "STOP"},
    },
}
"""What users of each SDK see as the reason for the end."""

CELLS = [
    pytest.param(case, client, id=f"{case.name}-{client}")
    for case in CASES
    for client in CLIENTS
    if can_ask(client, case.asked)
]


@pytest.fixture(scope="module")
def providers() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def translating(providers: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a backend of each format, and a route to each."""
    place = f"http://127.0.0.1:{providers.port}"
    routing = {
        "server": {"drain_s": 2},
        "timeouts": {"connect_s": 2, "first_byte_s": 10, "gap_s": 10, "total_s": 30},
        "breaker": PATIENT,
        "backends": {
            name: {**settings, "base_url": place + settings["base_url"], "credentials": CREDENTIALS}
            for name, settings in all_backends().items()
        },
        "routes": {
            f"to-{name}": {"targets": [{"backend": name, "model": "model-1"}], "retry": ONCE}
            for name in all_backends()
        },
    }
    with running_gateway(tmp_path_factory.mktemp("translating"), routing) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def speakers(translating: Gateway) -> Iterator[dict[str, Speaker]]:
    """A real SDK of each client's format."""
    with (
        speaking("chat", translating.url, KEY) as chat,
        speaking("responses", translating.url, KEY) as responses,
        speaking("messages", translating.url, KEY) as messages,
        speaking("gemini", translating.url, KEY) as gemini,
    ):
        yield {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini}


@pytest.fixture
def fake(providers: Upstream) -> Upstream:
    providers.reset()
    return providers


def format_of(seen: Seen) -> str:
    """Which format a request came in, by its path."""
    path = seen.path.partition("?")[0]
    ends = {
        "/chat/completions": "chat",
        "/v1/responses": "responses",
        "/v1/messages": "messages",
        "Content": "gemini",
        "/converse": "converse",
        "/converse-stream": "converse",
        "/v2/chat": "cohere",
        "/api/chat": "ollama",
    }
    return next(format_ for end, format_ in ends.items() if path.endswith(end))


def answering(completion: Completion, target: str, *, stream: bool) -> Answer:
    """The answer as that provider would write it."""
    if not stream:
        return plain(codec(target).encode_answer(completion, heading()))
    body = stream_of(target, whole(completion), heading())
    half = len(body) // 2
    return events([body[:half], body[half:]], content_type=STREAM_TYPES.get(target, "text/event-stream"))


def put(speaker: Speaker, case: Case, target: str, *, stream: bool, place: str = "") -> Heard | Trouble:
    body = as_json(codec(speaker.dialect).encode_request(case.asked))
    speaker.sent.clear()
    body.pop("stream", None)
    return speaker.ask(f"to-{place or target}", body, stream=stream)


def answer_for(case: Case, *ways: str) -> Completion:
    """What can be answered through these formats: most have one choice."""
    if set(ways) & ONE_CHOICE:
        return Completion(case.answered.choices[:1], "a-1", "model-1", 1_700_000_000, case.answered.usage)
    return case.answered


@pytest.mark.parametrize("stream", FLOWING, ids=["whole", "stream"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize(("case", "client"), CELLS)
def test_a_conversation(
    speakers: dict[str, Speaker], fake: Upstream, case: Case, client: str, target: str, *, stream: bool
) -> None:
    told = answer_for(case, client, target)
    fake.answer_with(lambda seen: answering(told, format_of(seen), stream=stream))
    heard = put(speakers[client], case, target, stream=stream)
    sent = speakers[client].sent[0]
    asked = codec(client).decode_request(members(sent))
    missing = {row for row, _ in features(asked, client, target) if target not in FIELDS[row].says}
    if client != target and any(FIELDS[row].loss == "refuse" for row in missing):
        assert isinstance(heard, Trouble), heard
        assert heard.status == 400
        assert not fake.seen
        with pytest.raises(Unsupported):
            fit(asked, client, target)
        return
    assert isinstance(heard, Heard), heard
    check_arrived(fake.only_request(), case, client, sent, missing)
    check_heard(heard, told, client, target)


OF_THE_BACKEND: dict[str, set[str]] = {
    "chat": {"stream", "stream_options", "max_tokens", "max_completion_tokens"},
    "messages": {"stream", "thinking", "output_config"},
}
"""What a backend writes beside the model: the stream and its usage, which of two names a host has for the
limit, how a thinking budget is said to an Anthropic model."""


def check_arrived(seen: Seen, case: Case, client: str, sent: dict[str, Any], missing: set[str]) -> None:
    """The upstream got what the codecs say, and (by a look of its own) what the user said."""
    target, body = format_of(seen), seen.json()
    facts = [fact for fact, row in case.facts if row not in missing]
    if client == target == "gemini":  # Google's SDK writes base64 for URLs, and a relay changes nothing
        facts = [fact.replace("/", "_") if fact == PNG else fact for fact in facts]
    lost = [fact for fact in facts if not holds(body, fact)]
    assert not lost, body
    wanted = sent
    if client != target:
        fitting, _ = fit(codec(client).decode_request(members(sent)), client, target)
        wanted = as_json(codec(target).encode_request(crossing_request(fitting)))
    changed = [
        path
        for path in differences(normal(wanted), normal(body))
        if path.lstrip("+-").partition(".")[0] not in {"model"} | OF_THE_BACKEND.get(target, {"stream"})
    ]
    assert not changed, body
    assert ("thinking" in body) == ("thinking" in wanted)
    assert limit_of(body) == limit_of(wanted)
    assert "model-1" in (body.get("model"), *seen.path.replace(":", "/").split("/"))


def limit_of(body: dict[str, Any]) -> Any:
    return body.get("max_completion_tokens") or body.get("max_tokens")


def check_heard(heard: Heard, told: Completion, client: str, target: str) -> None:
    """The SDK's user sees what the upstream said."""
    ways = (target, client) if client != target else (target,)
    text, thoughts, calls, refusal = answers(told)[0]
    assert heard.text == text + refusal
    assert heard.thoughts == thoughts
    assert heard.calls == calls
    words = {word for finish in finishes(told, *ways)[0] for word in WORDS[client].get(finish, set())}
    assert heard.finish in words
    used = tokens(told, *ways)
    assert used is not None
    assert (heard.input_tokens, heard.output_tokens) == (used.input, used.output)
    assert heard.choices == len(told.choices)


STATUS_OF = {("overloaded", "messages"): 529}
"""The status of a mishap where a provider has one of its own; else 503 for `overloaded`."""


def status_of(mishap: Mishap, target: str) -> int:
    return STATUS_OF.get((mishap.name, target), 503 if mishap.name == "overloaded" else mishap.status)


@pytest.mark.parametrize("stream", FLOWING, ids=["whole", "stream"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("mishap", "target"),
    [
        pytest.param(mishap, target, id=f"{mishap.name}-{target}")
        for mishap in MISHAPS
        for target, bodies in ERRORS.items()
        if mishap.name in bodies
    ],
)
def test_an_error_of_an_upstream(
    speakers: dict[str, Speaker], fake: Upstream, mishap: Mishap, target: str, client: str, *, stream: bool
) -> None:
    body, status = ERRORS[target][mishap.name], status_of(mishap, target)
    fake.answer_with(plain(body, status, headers=mishap.headers))
    place = erring(mishap, target, client, stream=stream)
    heard = put(speakers[client], CASES[0], target, stream=stream, place=place)
    assert isinstance(heard, Trouble), heard
    assert heard.status == status
    assert "a rig-made error" in heard.message
    assert KIND[client](status) == heard.kind
    waits = dict(mishap.headers).get("retry-after", "")
    assert client == "gemini" or heard.retry_after == waits  # Google's errors keep no headers
    assert client not in CODES or not mishap.codes or heard.code in mishap.codes


CODES = {"chat", "responses"}
"""The formats whose errors carry a stable word for programs."""


def _openai_kind(status: int) -> str:
    kinds = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}
    return kinds.get(status, "InternalServerError")


def _anthropic_kind(status: int) -> str:
    own = {503: "ServiceUnavailableError", 529: "OverloadedError"}
    return own.get(status) or _openai_kind(status)


KIND = {
    "chat": _openai_kind,
    "responses": _openai_kind,
    "messages": _anthropic_kind,
    "gemini": lambda status: "ClientError" if status < 500 else "ServerError",
}
"""The exception that each SDK raises for a status."""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", FORMATS)
def test_an_error_in_mid_stream(
    speakers: dict[str, Speaker], fake: Upstream, target: str, client: str
) -> None:
    """It is never taken for an end: the SDK raises."""
    begun = whole(HELLO)[:2]
    body = stream_of(target, [*begun, Faulted(Broken("a rig-made error"))], heading())
    fake.answer_with(events([body], content_type=STREAM_TYPES.get(target, "text/event-stream")))
    heard = put(speakers[client], CASES[0], target, stream=True)
    assert isinstance(heard, Trouble), heard
    assert "a rig-made error" in heard.message


def test_what_was_dropped_is_named(translating: Gateway, fake: Upstream) -> None:
    body = as_json(codec("chat").encode_request(ask("Say hello.", seed=4711))) | {"model": "to-messages"}
    fake.answer_with(answering(HELLO, "messages", stream=False))
    with translating.client() as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-forebay-dropped"] == "seed"
    assert json.loads(answer.content)["choices"][0]["message"]["content"] == "Hello, world"
