"""The real local model behind each dialect, through the real SDKs: relayed, or translated."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from rig.gateway import KEY, Gateway, running_gateway

from gateway.embedded.local_model import DEFAULT_LAUNCH, find_weights, load_launch
from gateway.errors import ConfigError

try:
    find_weights(DEFAULT_LAUNCH, load_launch(DEFAULT_LAUNCH))
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

SYSTEM = "You are a helpful assistant."
QUESTION = "What is the capital of France?"
MODELS = ["translated", "own"]
"""Through the neutral types, and by the engine's own endpoints for these APIs (it has none of Google's)."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    engine = {"preset": "llamacpp", "launch": "smollm2"}
    target = {"model": "smollm2-135m-instruct"}
    routing = {
        "backends": {
            "chat": {**engine, "formats": ["chat"]},
            "all": {**engine, "formats": ["chat", "messages", "responses"]},
        },
        "routes": {
            "translated": {"targets": [{"backend": "chat", **target}]},
            "own": {"targets": [{"backend": "all", **target}]},
        },
    }
    with running_gateway(tmp_path_factory.mktemp("live"), routing) as running:
        yield running


@pytest.mark.parametrize("model", MODELS)
def test_an_anthropic_client_is_answered(model: str, gateway: Gateway) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        answer = client.messages.create(
            model=model,
            max_tokens=16,
            system=SYSTEM,
            messages=[{"role": "user", "content": QUESTION}],
            extra_body={"temperature": 0},
        )
        with client.messages.stream(
            model=model, max_tokens=16, system=SYSTEM, messages=[{"role": "user", "content": QUESTION}]
        ) as stream:
            streamed = stream.get_final_message()
    assert isinstance(answer.content[0], anthropic.types.TextBlock)
    assert "Paris" in answer.content[0].text
    for message in (answer, streamed):
        assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) > 10
        assert 0 < message.usage.output_tokens <= 16
        assert message.stop_reason in {"end_turn", "max_tokens"}


@pytest.mark.parametrize("model", MODELS)
def test_a_responses_client_is_answered(model: str, gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.responses.create(
            model=model, instructions=SYSTEM, input=QUESTION, max_output_tokens=16, temperature=0
        )
        with client.responses.create(
            model=model, instructions=SYSTEM, input=QUESTION, max_output_tokens=16, stream=True
        ) as stream:
            kinds = [event.type for event in stream]
    assert "Paris" in answer.output_text
    assert answer.usage is not None
    assert answer.usage.input_tokens > 10
    assert "response.output_text.delta" in kinds
    assert kinds[-1] in {"response.completed", "response.incomplete"}


def test_a_google_client_is_answered(gateway: Gateway) -> None:
    client = genai.Client(api_key=KEY, http_options={"base_url": gateway.url})
    asked = genai.types.GenerateContentConfig(system_instruction=SYSTEM, max_output_tokens=16, temperature=0)
    answer = client.models.generate_content(model="translated", contents=QUESTION, config=asked)
    pieces = list(client.models.generate_content_stream(model="translated", contents=QUESTION, config=asked))
    assert "Paris" in (answer.text or "")
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.prompt_token_count or 0) > 10
    assert "Paris" in "".join(piece.text or "" for piece in pieces)
    assert len(pieces) > 3
    assert pieces[-1].candidates
    assert pieces[-1].candidates[0].finish_reason is not None
