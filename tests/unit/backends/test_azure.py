"""Azure's two ways to name a deployment."""

from __future__ import annotations

import pytest

from backends.azure import Azure
from backends.openai_compatible import Host
from gateway.errors import BadRequest

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


@pytest.mark.parametrize("model", [".", ".."])
def test_a_name_of_dots_does_not_climb(model: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        Azure("a", Host(PLACE), "1").url("chat", model)
    assert refusal.value.param == "model"
