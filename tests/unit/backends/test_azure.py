"""Azure's two ways to name a deployment."""

from __future__ import annotations

from typing import Any

import pytest

from backends.azure import Azure
from backends.host import Host
from gateway.errors import BadRequest
from gateway.exchange import Credential

PLACE = "https://acme.openai.azure.com"


@pytest.mark.parametrize("written", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_endpoint_may_be_written_in_any_way(written: str) -> None:
    assert Azure("a", Host(PLACE + written)).url("chat", "m") == f"{PLACE}/openai/v1/chat/completions"
    by_deployment = Azure("a", Host(PLACE + written), "2024-10-21").url("embeddings", "m")
    assert by_deployment == f"{PLACE}/openai/deployments/m/embeddings?api-version=2024-10-21"


@pytest.mark.parametrize("model", ["a/b", "a?b", "a#b", "a b", "a%2fb", "\u00e9"])
def test_a_models_name_stays_within_its_place_in_the_path(model: str) -> None:
    url = Azure("a", Host(PLACE), "1").url("chat", model)
    inside = url.removeprefix(f"{PLACE}/openai/deployments/").removesuffix("/chat/completions?api-version=1")
    assert not set(inside) & set("/?# ")


def test_responses_have_no_deployment_in_their_path() -> None:
    assert Azure("a", Host(PLACE)).url("responses", "m") == f"{PLACE}/openai/v1/responses"
    dated = Azure("a", Host(PLACE), "2025-04-01-preview").url("responses", "m")
    assert dated == f"{PLACE}/openai/responses?api-version=2025-04-01-preview"


@pytest.mark.parametrize(
    ("kind", "header"), [("key", ("api-key", "s")), ("token", ("authorization", "Bearer s"))]
)
def test_a_key_and_a_token_are_shown_where_azure_wants_them(kind: Any, header: tuple[str, str]) -> None:
    assert Azure("a", Host(PLACE)).authorization(Credential("a#1", "s", kind)) == header


@pytest.mark.parametrize("model", [".", ".."])
def test_a_name_of_dots_does_not_climb(model: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        Azure("a", Host(PLACE), "1").url("chat", model)
    assert refusal.value.param == "model"
