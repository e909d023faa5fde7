"""The list of models as each SDK reads it: OpenAI's, Anthropic's, Google's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from rig.gateway import CREDENTIALS, KEY, Gateway, running_gateway

NAMES = ["fast", "team/slow", "vectors"]


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    base = {"base_url": "http://127.0.0.1:9/v1", "credentials": CREDENTIALS}
    routing = {
        "backends": {
            "chat": {**base, "formats": ["chat"]},
            "google": {"provider": "gemini", **base},
            "vectors": {**base, "formats": ["embeddings"]},
        },
        "routes": {
            "fast": {
                "description": "the quick one",
                "targets": [{"backend": "chat", "model": "a"}, {"backend": "google", "model": "b"}],
            },
            "team/slow": {"targets": [{"backend": "chat", "model": "c"}]},
            "vectors": {"targets": [{"backend": "vectors", "model": "d"}]},
            "any/*": {"targets": [{"backend": "chat"}]},
        },
    }
    with running_gateway(tmp_path_factory.mktemp("listing"), routing) as gateway:
        yield gateway


def anthropic_sdk(gateway: Gateway, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


def google_sdk(gateway: Gateway, key: str = KEY, version: str = "v1beta") -> genai.Client:
    options = genai.types.HttpOptions(base_url=gateway.url, api_version=version)
    return genai.Client(api_key=key, http_options=options)


def openai_sdk(gateway: Gateway, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def test_openais_sdk_lists_and_retrieves(listing: Gateway) -> None:
    with openai_sdk(listing) as sdk:
        assert [model.id for model in sdk.models.list()] == NAMES
        assert sdk.models.retrieve("any/thing").id == "any/thing"


def test_anthropics_sdk_lists_and_retrieves(listing: Gateway) -> None:
    with anthropic_sdk(listing) as sdk:
        page = sdk.models.list(limit=1000)
        assert [(model.type, model.id, model.display_name) for model in page] == [
            ("model", name, name) for name in NAMES
        ]
        assert (page.first_id, page.last_id, page.has_more) == (NAMES[0], NAMES[-1], False)
        assert [model.id for model in sdk.beta.models.list()] == NAMES
        model = sdk.models.retrieve("team/slow")
        assert (model.id, model.lifecycle, model.created_at.year) == ("team/slow", "active", 1970)


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_googles_sdk_lists_and_retrieves(listing: Gateway, version: str) -> None:
    sdk = google_sdk(listing, version=version)
    found = {model.name: model.supported_actions for model in sdk.models.list()}
    assert found == {
        "models/fast": ["generateContent", "countTokens"],
        "models/team/slow": ["generateContent"],
        "models/vectors": [],
    }
    model = sdk.models.get(model="fast")
    assert (model.name, model.display_name, model.description) == ("models/fast", "fast", "the quick one")


def test_an_unknown_model_is_each_sdks_own_error(listing: Gateway) -> None:
    with openai_sdk(listing) as sdk, pytest.raises(openai.NotFoundError, match="'nope'") as ours:
        sdk.models.retrieve("nope")
    assert ours.value.code == "model_not_found"
    with anthropic_sdk(listing) as claude, pytest.raises(anthropic.NotFoundError, match="'nope'") as theirs:
        claude.models.retrieve("nope")
    assert theirs.value.type == "not_found_error"
    assert str(theirs.value.request_id).startswith("call_")
    google = google_sdk(listing)
    with pytest.raises(google_errors.ClientError, match="'nope'") as googles:
        google.models.get(model="nope")
    assert (googles.value.code, googles.value.status) == (404, "NOT_FOUND")


def test_a_wrong_key_is_each_sdks_own_error(listing: Gateway) -> None:
    with openai_sdk(listing, "wrong") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.models.list()
    with anthropic_sdk(listing, "wrong") as claude, pytest.raises(anthropic.AuthenticationError) as theirs:
        claude.models.list()
    assert theirs.value.type == "authentication_error"
    google = google_sdk(listing, "wrong")
    with pytest.raises(google_errors.ClientError) as googles:
        google.models.list()
    assert (googles.value.code, googles.value.status) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("/v1/nothing", {"anthropic-version": "2023-06-01"}, {"type", "error"}),
        ("/v1beta/nothing", {}, {"code", "message", "status", "details"}),
        ("/v1/nothing", {}, {"message", "type", "param", "code"}),
    ],
)
def test_an_unknown_path_is_an_error_in_the_callers_dialect(
    listing: Gateway, path: str, headers: dict[str, str], shape: set[str]
) -> None:
    response = httpx.get(listing.url + path, headers=headers, trust_env=False)
    body: dict[str, Any] = response.json()
    assert response.status_code == 404
    assert set(body if "type" in body else body["error"]) == shape


def test_a_google_stream_as_one_array_is_refused_and_the_way_out_is_told(listing: Gateway) -> None:
    path = "/v1beta/models/fast:streamGenerateContent"
    response = httpx.post(
        listing.url + path, json={"contents": []}, headers={"x-goog-api-key": KEY}, trust_env=False
    )
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert "add ?alt=sse to the URL" in error["message"]


@pytest.mark.parametrize("path", ["/v1beta/models/fast:embedContent", "/v1/models/fast:predictLongRunning"])
def test_what_else_googles_clients_ask_of_a_model_is_an_unknown_url(listing: Gateway, path: str) -> None:
    headers = {"x-goog-api-key": KEY}
    response = httpx.post(listing.url + path, json={}, headers=headers, trust_env=False)
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (404, "NOT_FOUND")
    assert path in error["message"]


@pytest.mark.parametrize("method", ["HEAD", "GET", "OPTIONS"])
def test_a_look_at_the_root_hurts_nobody(listing: Gateway, method: str) -> None:
    response = httpx.request(method, listing.url, headers={"x-api-key": KEY}, trust_env=False)
    assert response.status_code in {404, 405}
    assert response.headers["content-type"] == "application/json"
