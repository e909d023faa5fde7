"""The app's edge without sockets: endpoints, refusals and their shapes, documents, numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar.openapi.spec import OpenAPI
from unit.stand_ins import WHOLE, FakeAnswer, route, routing, runtime, streaming, target

from gateway.api.app import build_app
from gateway.identity.keys import digest_of, mint_key
from gateway.runtime import PartState
from gateway.server.connection import DISCONNECT, Disconnect
from gateway.server.flights import Flights
from gateway.stores import StoredKey
from gateway.telemetry.books import Books
from gateway.telemetry.metrics import Metrics

ALL, SOME = mint_key(), mint_key()
KEYS = [
    StoredKey("all", "acme", digest_of(ALL), ("*",), name="", created_unix_s=0),
    StoredKey("some", "acme", digest_of(SOME), ("gpt-*",), name="", created_unix_s=0),
]
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")

HOT = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
CHAT = {"model": "fast", "messages": []}


class Place:
    """An app with three routes; `ask` sends it one request, `ask_often` the same one several times."""

    def __init__(self, **parts: Callable[[], PartState]) -> None:
        self.parts = parts
        self.flights = Flights()
        self.seen_flights: list[int] = []
        self.answer = FakeAnswer()

    def ask(self, method: str, path: str, *, key: str | None = ALL, **request: Any) -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        (response,) = self.ask_often(method, path, 1, headers=headers, **request)
        return response

    def ask_often(self, method: str, path: str, times: int, **request: Any) -> list[httpx.Response]:
        async def scene() -> list[httpx.Response]:
            metrics = Metrics()
            books = Books(len, (metrics.observe,))
            asked = target("b", self.answer)
            decided = routing(route("fast", asked), route("gpt-4", asked), route("any/*", asked))
            whole = runtime(KEYS, decided, books, metrics=metrics, flights=self.flights, parts=self.parts)
            app = build_app(lambda: whole)

            async def served(scope: Any, receive: Any, send: Any) -> None:
                scope.setdefault("extensions", {})[DISCONNECT] = Disconnect()
                await app(scope, receive, send)
                self.seen_flights.append(len(self.flights))

            transport = httpx.ASGITransport(served)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                responses = [await client.request(method, path, **request) for _ in range(times)]
            await books.close()
            return responses

        return asyncio.run(scene())


def error_in(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("call_")
    assert response.headers["x-forebay-error-source"] in {"client", "gateway"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# The hot paths


@pytest.mark.parametrize("path", HOT)
def test_a_post_goes_through_the_pipeline(path: str) -> None:
    place = Place()
    response = place.ask("POST", path, json=CHAT)
    assert (response.status_code, response.content) == (200, WHOLE)
    assert response.headers["content-length"] == str(len(WHOLE))
    assert response.headers["x-forebay-route"] == "fast"
    assert place.seen_flights == [0], "the flight has ended with the call"


def test_a_stream_has_no_length() -> None:
    place = Place()
    place.answer = streaming()
    response = place.ask("POST", HOT[0], json=CHAT | {"stream": True})
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert "content-length" not in response.headers
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", HOT)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_told_which_one_fits(path: str, method: str) -> None:
    response = Place().ask(method, path)
    error = error_in(response, 405)
    assert (error["code"], response.headers["allow"]) == ("method_not_allowed", "POST")


def test_a_refusal_is_an_error_object() -> None:
    assert error_in(Place().ask("POST", HOT[0], key=None, json=CHAT), 401)["type"] == "authentication_error"
    assert error_in(Place().ask("POST", HOT[0], content=b"{"), 400)["code"] == "invalid_json"
    assert error_in(Place().ask("POST", HOT[0], json=CHAT | {"model": "x"}), 404)["param"] == "model"


# Everything else


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v2/x"), ("POST", "/v1/chat"), ("POST", "/v1/nothing"), ("GET", "/v1/%00")],
)
def test_an_unknown_path_is_an_error_object(method: str, path: str) -> None:
    error = error_in(Place().ask(method, path), 404)
    assert error["code"] == "unknown_url"
    assert method in error["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/openapi.json"])
def test_a_method_that_does_not_fit_is_an_error_object(path: str) -> None:
    response = Place().ask("POST", path)
    assert error_in(response, 405)["code"] == "method_not_allowed"
    assert "GET" in response.headers["allow"]


def test_models_are_the_routes_a_key_may_name() -> None:
    models = Place().ask("GET", "/v1/models").json()
    assert models["object"] == "list"
    assert [model["id"] for model in models["data"]] == ["fast", "gpt-4"]
    assert models["data"][0] == {
        "id": "fast",
        "object": "model",
        "created": 0,
        "owned_by": "b",
        "description": "",
    }
    assert [model["id"] for model in Place().ask("GET", "/v1/models", key=SOME).json()["data"]] == ["gpt-4"]


@pytest.mark.parametrize("model", ["fast", "any/thing", "any/deep/er"])
def test_one_model_is_found_under_its_name(model: str) -> None:
    assert Place().ask("GET", f"/v1/models/{model}").json()["id"] == model


@pytest.mark.parametrize(("model", "key"), [("nope", ALL), ("fast", SOME)], ids=["unknown", "forbidden"])
def test_a_model_one_may_not_use_is_not_there(model: str, key: str) -> None:
    assert error_in(Place().ask("GET", f"/v1/models/{model}", key=key), 404)["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/fast"])
def test_models_are_not_for_strangers(path: str) -> None:
    error_in(Place().ask("GET", path, key=None), 401)


def test_alive_and_ready_need_no_key() -> None:
    assert Place().ask("GET", "/healthz", key=None).json() == {"status": "alive"}
    ready = Place(keys=lambda: (True, "fine")).ask("GET", "/readyz", key=None)
    assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_not_ready_says_which_part_and_why() -> None:
    response = Place(keys=lambda: (False, "down"), server=lambda: (True, "up")).ask(
        "GET", "/readyz", key=None
    )
    assert response.status_code == 503
    told = response.json()
    assert told["ready"] is False
    assert {name: (part["ok"], part["detail"]) for name, part in told["parts"].items()} == {
        "keys": (False, "down"),
        "server": (True, "up"),
    }


def test_metrics_are_text_for_prometheus() -> None:
    response = Place().ask("GET", "/metrics", key=None)
    assert response.headers["content-type"].startswith("text/plain; version=1.0.0")
    assert "# TYPE forebay_calls_in_flight gauge" in response.text


def test_a_defect_is_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> PartState:
        raise ValueError("a secret detail")

    error = error_in(Place(keys=broken).ask("GET", "/readyz", key=None), 500)
    assert error["code"] == "internal_error"
    assert "secret" not in error["message"]
    assert "internal error" in [entry.getMessage() for entry in caplog.records]


# The documents


def test_the_document_describes_the_hot_paths_and_the_rest() -> None:
    document = json.loads(Place().ask("GET", "/openapi.json", key=None).content)
    assert {*HOT, "/v1/models", "/healthz", "/readyz", "/metrics"} <= set(document["paths"])
    post = document["paths"]["/v1/chat/completions"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["model", "messages"]
    assert "text/event-stream" in post["responses"]["200"]["content"]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_embeddings_are_not_described_as_a_stream() -> None:
    document = json.loads(Place().ask("GET", "/openapi.json", key=None).content)
    content = document["paths"]["/v1/embeddings"]["post"]["responses"]["200"]["content"]
    assert set(content) == {"application/json"}


def test_the_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[OpenAPI] = []
    to_schema = OpenAPI.to_schema

    def counted(described: OpenAPI) -> dict[str, Any]:
        made.append(described)
        return to_schema(described)

    monkeypatch.setattr(OpenAPI, "to_schema", counted)
    first, *more = Place().ask_often("GET", "/openapi.json", 3)
    assert len(made) == 1
    assert first.headers["content-type"] == "application/json"
    assert "/v1/embeddings" in first.json()["paths"]
    assert [answer.content for answer in more] == [first.content] * 2


def test_the_page_loads_nothing_from_elsewhere() -> None:
    response = Place().ask("GET", "/docs", key=None)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "openapi.json" in response.text
    assert "//cdn" not in response.text
    assert 'src="http' not in response.text
