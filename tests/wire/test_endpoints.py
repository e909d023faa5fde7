"""The edges of the HTTP surface: what is refused and how, and the endpoints that call no upstream."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import KEY, Gateway
from rig.script import Coding, encode, events, plain, split_in_bytes, sse
from rig.upstream import Upstream

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "fast", "messages": MESSAGES}
POSTS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
MAX_BODY_BYTES = 4 * 1024 * 1024
"""`server.max_body_bytes` of the shared gateway."""
DEEP = 20_000


def post(client: httpx.Client, body: bytes, path: str = POSTS[0], **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, content=body, headers={"content-type": "application/json"} | names)


def error_of(response: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The error object of a refusal that has OpenAI's shape; fails when it has another."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    if code is not None:
        assert error["code"] == code
    return error


# Paths and methods


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nope", "/v1/chat", "/v1/chat/completions/x", "/nope"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(client: httpx.Client, path: str, method: str) -> None:
    error_of(client.request(method, path), 404)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_405_and_says_which_is_right(client: httpx.Client, path: str, method: str) -> None:
    response = client.request(method, path)
    error_of(response, 405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/readyz", "/metrics"])
def test_posting_to_what_is_read_is_405(client: httpx.Client, path: str) -> None:
    error_of(client.post(path, json={}), 405, "method_not_allowed")


# Bodies


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"{", "cut"),
        (b'{"model":"fast"} x', "rest"),
        (b'{"model":"fast",}', "comma"),
        (b"{'model':'fast'}", "quotes"),
        (b'{"model":"fast","n":NaN}', "nan"),
        (b"null", "null"),
        (b"[]", "list"),
        (b'"fast"', "text"),
        (b'\xff\xfe{"model":"fast"}', "utf-16 mark"),
        (b'{"model":"fast","messages":"\xff"}', "invalid utf-8"),
        (b'{"model":"fast","messages":"\xed\xa0\x80"}', "encoded surrogate"),
        (b'{"model":"fast","\xff":1}', "invalid utf-8 in a name"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_400(
    client: httpx.Client, upstream: Upstream, body: bytes, reason: str
) -> None:
    error_of(post(client, body), 400, "invalid_json")
    assert upstream.seen == [], reason


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("model", [None, 1, True, [], {}, ["fast"]])
def test_a_model_that_is_no_text_is_400(
    client: httpx.Client, upstream: Upstream, path: str, model: object
) -> None:
    error = error_of(client.post(path, json=CHAT | {"model": model}), 400)
    assert error["param"] == "model"
    assert upstream.seen == []


@pytest.mark.parametrize("body", [b"{}", b'{"messages":[]}', b'{"model":""}'])
def test_a_missing_or_empty_model_is_400(client: httpx.Client, body: bytes) -> None:
    assert error_of(post(client, body), 400, "missing_required_parameter")["param"] == "model"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream", "true"),
        ("stream", 1),
        ("stream", []),
        ("stream_options", "x"),
        ("stream_options", []),
        ("stream_options", {"include_usage": "yes"}),
    ],
)
def test_a_wrong_type_of_what_decides_is_400(
    client: httpx.Client, upstream: Upstream, field: str, value: object
) -> None:
    error = error_of(client.post(POSTS[0], json=CHAT | {"stream": True} | {field: value}), 400)
    assert error["param"].split(".")[0] == field
    assert upstream.seen == []


def test_null_stands_for_no_stream(client: httpx.Client, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion()))
    response = client.post(POSTS[0], json=CHAT | {"stream": None, "stream_options": None})
    assert response.json() == chat.completion()
    assert upstream.only_request().json()["stream_options"] is None


def test_a_wrong_type_of_anything_else_is_the_upstreams_to_judge(
    client: httpx.Client, upstream: Upstream
) -> None:
    refusal = chat.error("temperature must be a number")
    upstream.answer_with(plain(refusal, 400))
    odd = {"model": "any/judge", "messages": 7, "temperature": "hot", "x_new": {"a": [None]}}
    response = client.post(POSTS[0], json=odd)
    assert (response.status_code, response.json()) == (400, refusal)
    assert upstream.only_request().json() == odd


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("over_bytes", [1, MAX_BODY_BYTES])
def test_a_body_over_the_limit_is_413(
    client: httpx.Client, upstream: Upstream, framing: str, over_bytes: int
) -> None:
    body = json.dumps(CHAT).encode()
    body += b" " * (MAX_BODY_BYTES + over_bytes - len(body))
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    response = client.post(POSTS[0], content=body if framing == "length" else pieces)
    error_of(response, 413, "request_too_large")
    assert upstream.seen == []


def test_a_body_of_exactly_the_limit_is_taken(client: httpx.Client, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion()))
    body = json.dumps(CHAT).encode()
    assert post(client, body + b" " * (MAX_BODY_BYTES - len(body))).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_compressed_request_is_understood(client: httpx.Client, upstream: Upstream, coding: Coding) -> None:
    upstream.answer_with(plain(chat.completion()))
    response = post(client, encode(coding, json.dumps(CHAT).encode()), content_encoding=coding)
    assert response.json() == chat.completion()
    got = upstream.only_request()
    assert got.json() == CHAT | {"model": "gpt-4o-mini"}
    assert "content-encoding" not in got.headers


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_decompression_bomb_is_413(client: httpx.Client, upstream: Upstream, coding: Coding) -> None:
    bomb = encode(coding, json.dumps(CHAT).encode() + b" " * (16 * MAX_BODY_BYTES))
    assert len(bomb) < 100_000
    error_of(post(client, bomb, content_encoding=coding), 413, "request_too_large")
    assert upstream.seen == []


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "rot13"])
def test_a_body_that_is_not_compressed_as_it_says_is_400_or_415(client: httpx.Client, coding: str) -> None:
    response = post(client, json.dumps(CHAT).encode(), content_encoding=coding)
    error_of(response, 415 if response.status_code == 415 else 400)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_compressed_body_that_is_cut_is_400(client: httpx.Client, coding: Coding) -> None:
    whole = encode(coding, json.dumps(CHAT | {"x": list(range(500))}).encode())
    error_of(post(client, whole[:-6], content_encoding=coding), 400)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("place", ["messages", "model", "stream_options", "whole"])
def test_a_deeply_nested_body_is_400(
    client: httpx.Client, upstream: Upstream, opening: str, place: str
) -> None:
    closing = "]" if opening == "[" else "}"
    deep = opening * DEEP + "1" + closing * DEEP
    fields = {"model": '"fast"', "stream": "true", "messages": "[]"} | {place: deep}
    members = ",".join(f'"{name}":{value}' for name, value in fields.items())
    body = deep if place == "whole" else "{" + members + "}"
    error_of(post(client, body.encode()), 400)
    assert upstream.seen == []


# What policy judged is what the upstream sees


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"nope","model":"fast","messages":[]}',
        b'{"model":"fast","mod\\u0065l":"fast","messages":[]}',
        b'{"mod\\u0065l":"fast","messages":[]}',
        b'{"model":"f\\u0061st","messages":[]}',
    ],
)
def test_the_upstream_sees_exactly_one_model(client: httpx.Client, upstream: Upstream, body: bytes) -> None:
    upstream.answer_with(plain(chat.completion()))
    assert post(client, body).status_code == 200
    names = [name for name, _ in json.loads(upstream.only_request().body, object_pairs_hook=list)]
    assert names.count("model") == 1
    assert upstream.only_request().model == "gpt-4o-mini"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"fast","mod\\u0065l":"any/other","messages":[]}',
        b'{"mod\\u0065l":"any/other","model":"fast","messages":[]}',
        b'{"model":"any/other","model":"fast","messages":[]}',
        b'{"model":"fast","model":"any/other","messages":[]}',
        b'{"model":"fast","Model":"any/other","MODEL":"x","messages":[]}',
    ],
)
def test_of_two_models_one_is_judged_and_sent(client: httpx.Client, upstream: Upstream, body: bytes) -> None:
    """Whichever of the two counts: the upstream never gets the other one, in any spelling of the key."""
    upstream.answer_with(plain(chat.completion()))
    response = post(client, body)
    if response.status_code == 400:
        assert upstream.seen == []
        return
    pairs = json.loads(upstream.only_request().body, object_pairs_hook=list)
    last = json.loads(body)["model"]
    assert [v for name, v in pairs if name == "model"] == ["gpt-4o-mini" if last == "fast" else last]


def test_duplicate_stream_keys_are_decided_once(client: httpx.Client, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion()))
    post(client, b'{"model":"fast","stream":true,"str\\u0065am":false,"messages":[]}')
    pairs = json.loads(upstream.only_request().body, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "stream"] == [False]
    assert "stream_options" not in dict(pairs)


# Who calls


GUARDED = [*POSTS, "/v1/models", "/v1/models/fast"]


@pytest.mark.parametrize("path", GUARDED)
def test_every_failed_authentication_looks_the_same(gateway: Gateway, upstream: Upstream, path: str) -> None:
    wrong = [
        None,
        "",
        "Bearer",
        "Bearer nope",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
    ]
    wrong += [f"Bearer {KEY.upper()}", f"Bearer {KEY} {KEY}", "Bearer " + "k" * 10_000, "Bearer sch\u00f6n"]
    bodies = set()
    # Of each path from an address of its own: too many failures of one are answered otherwise.
    address = httpx.HTTPTransport(local_address=f"127.0.2.{GUARDED.index(path) + 1}")
    with httpx.Client(base_url=gateway.url, trust_env=False, transport=address) as stranger:
        for shown in wrong:
            headers = {} if shown is None else {"authorization": shown.encode("latin-1")}
            method = "GET" if "models" in path else "POST"
            content = None if method == "GET" else json.dumps(CHAT).encode()
            response = stranger.request(method, path, content=content, headers=headers)
            error_of(response, 401, "invalid_api_key")
            bodies.add(response.content)
    assert len(bodies) == 1
    assert upstream.seen == []


def test_a_stranger_learns_nothing_about_routes_or_bodies(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False) as stranger:
        answers = [
            stranger.post(POSTS[0], content=body)
            for body in (b"", b"{", json.dumps(CHAT).encode(), json.dumps(CHAT | {"model": "nope"}).encode())
        ]
        answers.append(stranger.get("/v1/models/nope"))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_the_scheme_of_the_credential_has_no_case(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        assert client.get("/v1/models", headers={"authorization": f"bearer {KEY}"}).status_code == 200


# What the gateway answers itself


def test_models_are_listed_in_openais_shape(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert {"fast", "renamed"} <= {model["id"] for model in listed["data"]}
    for model in listed["data"]:
        assert {"id", "object", "created", "owned_by"} <= set(model)
        assert (model["object"], type(model["created"])) == ("model", int)


@pytest.mark.parametrize("name", ["nope", "fast/x", "%00", "a" * 2000])
def test_retrieving_an_unknown_model_is_404(client: httpx.Client, name: str) -> None:
    error_of(client.get(f"/v1/models/{name}"), 404)


def test_health_readiness_metrics_and_the_description_need_no_key(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False) as stranger:
        for path in ("/healthz", "/readyz"):
            assert stranger.get(path).status_code == 200
        metrics = stranger.get("/metrics")
        described = stranger.get("/openapi.json")
    assert metrics.headers["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    assert "\n# TYPE forebay_" in metrics.text
    assert described.json()["openapi"].startswith("3.")
    assert {*POSTS, "/v1/models"} <= set(described.json()["paths"])


def test_calls_are_counted_in_the_metrics(client: httpx.Client, upstream: Upstream) -> None:
    def samples() -> dict[str, float]:
        lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    before = samples()
    upstream.answer_with(plain(chat.completion()))
    assert client.post(POSTS[0], json=CHAT).status_code == 200
    grown = {name for name, value in samples().items() if value > before.get(name, 0)}
    assert any(name.startswith("forebay_") and "_total{" in name for name in grown)


def test_an_answer_carries_the_gateways_request_id_when_the_upstream_has_none(
    client: httpx.Client, upstream: Upstream
) -> None:
    upstream.answer_with(plain(chat.completion()))
    ids = {client.post(POSTS[0], json=CHAT).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


# What compression does to answers


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_compressed_answer_arrives_plain(
    client: httpx.Client, upstream: Upstream, *, coding: Coding, stream: bool
) -> None:
    """Asked for or not: some hosts compress whatever the request says."""
    if stream:
        body = b"".join(sse(*chat.chunks(usage=False)))
        packed = split_in_bytes(encode(coding, body))
        upstream.answer_with(events(packed, headers=[("content-encoding", coding)]))
    else:
        body = json.dumps(chat.completion()).encode()
        upstream.answer_with(plain(body, coding=coding))
    response = client.post(POSTS[0], json=CHAT | {"stream": stream})
    assert "content-encoding" not in response.headers
    assert response.content == body


# What does not go upstream


def test_the_clients_credentials_and_cookies_stay_here(client: httpx.Client, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion()))
    private = {
        "cookie": "a=b",
        "x-api-key": KEY,
        "proxy-authorization": "Basic eA==",
        "x-forwarded-for": "10.0.0.1",
    }
    assert client.post(POSTS[0], json=CHAT, headers=private).status_code == 200
    got = upstream.only_request()
    assert KEY not in str(got.headers)
    assert not set(private) & set(got.headers)
    assert got.headers["content-type"].startswith("application/json")


def test_a_head_request_is_answered_without_a_body(client: httpx.Client) -> None:
    response = client.head("/healthz", timeout=30)
    assert (response.status_code, response.content) == (405, b"")
    assert client.get("/healthz").status_code == 200
