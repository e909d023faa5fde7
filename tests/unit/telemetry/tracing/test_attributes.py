"""What is said of calls and attempts: by the conventions' names, redacted, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from unit.telemetry.tracing.calls import attempt, call, ended

from gateway.errors import Bug
from gateway.exchange import Price, Rates, Usage
from gateway.telemetry.places import Place
from gateway.telemetry.tracing.attributes import failure_of, name_of, of_attempt, of_call
from gateway.telemetry.tracing.settings import TraceSettings

SETTINGS = TraceSettings(
    places={"fake": Place("openai", "api.example", 443)},
    redact=lambda text: text.replace("sk-secret", "[secret]"),
    notes=lambda _: {"forebay.decision": "a, b"},
)
PRICE = Price.flat("v7", Rates.plain(1_000_000_000, 2_000_000_000))
"""A dollar for a million tokens in, two for a million out."""


def test_a_cost_is_told_in_dollars_and_the_call_s_is_that_of_all_attempts() -> None:
    tries = [
        attempt(price=PRICE, cause="stream_broken"),
        attempt(price=PRICE),
        attempt(cause="x", usage=None),
    ]
    record = ended(*tries)
    told = of_attempt(record, tries[1], 2, SETTINGS)
    assert told["forebay.cost_usd"] == pytest.approx(9e-6 + 6e-6, rel=1e-12)
    assert told["forebay.price_version"] == "v7"
    assert of_call(record, "sampled", SETTINGS)["forebay.cost_usd"] == pytest.approx(30e-6, rel=1e-12)
    assert "forebay.cost_usd" not in of_call(ended(attempt()), "sampled", SETTINGS)


def test_where_a_backend_is_and_whose_it_is_stands_at_the_attempt() -> None:
    told = of_attempt(ended(), attempt(), 1, SETTINGS)
    assert (told["gen_ai.provider.name"], told["server.address"], told["server.port"]) == (
        "openai",
        "api.example",
        443,
    )
    unknown = of_attempt(ended(), attempt(backend="gone"), 1, SETTINGS)
    assert unknown["gen_ai.provider.name"] == "gone"
    assert not {"server.address", "server.port"} & unknown.keys()


def test_all_kinds_of_tokens_have_their_names() -> None:
    usage = Usage(100, 50, cached_tokens=40, cache_write_tokens=20, reasoning_tokens=30, origin="counted")
    told = of_attempt(ended(), attempt(usage=usage), 1, SETTINGS)
    assert {name: value for name, value in told.items() if "usage" in name} == {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 30,
        "forebay.usage.origin": "counted",
    }


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"max_tokens": 5, "temperature": 1}, {"max_tokens": 5, "temperature": 1.0}),
        ({"max_output_tokens": 7, "top_k": 3.0}, {"max_tokens": 7, "top_k": 3}),
        ({"max_tokens": "five", "temperature": None, "top_p": [1]}, {}),
        ({"max_tokens": 1.5, "seed": 1 << 70}, {}),
        ({"temperature": float("1" + "0" * 40), "seed": -5}, {"temperature": 1e40, "seed": -5}),
    ],
)
def test_numbers_that_were_asked_for_are_told_and_nothing_else(
    members: dict[str, Any], told: dict[str, Any]
) -> None:
    said = of_attempt(ended(call=call(**members)), attempt(), 1, SETTINGS)
    prefix = "gen_ai.request."
    found = {name.removeprefix(prefix): said[name] for name in said if name.startswith(prefix)}
    assert found == told | {"model": "gpt-4o"}
    assert all(isinstance(found[name], type(value)) for name, value in told.items())


def test_what_others_have_written_is_redacted_before_it_is_cut() -> None:
    long = "x" * 195 + "sk-secret" + "y" * 400
    assert name_of(long, SETTINGS) == "x" * 195 + "[secr"
    record = ended(
        attempt(answered_model="sk-secret", finish="sk-secret", model="m-sk-secret"),
        model="sk-secret",
        key="sk-secret",
        dropped=("sk-secret",),
        error=Bug("shows sk-secret " + "z" * 5000),
        ending="bug",
    )
    texts = [*of_call(record, "error", SETTINGS).values(), failure_of(record, SETTINGS)]
    texts += of_attempt(record, record.attempts[0], 1, SETTINGS).values()
    assert "[secret]" in str(texts)
    assert "sk-secret" not in str(texts)
    assert len(failure_of(record, SETTINGS)) == 1000


def test_what_is_empty_is_not_told() -> None:
    told = of_call(ended(attempt(), route="", rule="", tenant="", key="", model=""), "sampled", SETTINGS)
    assert "" not in told.values()
    assert () not in told.values()
    assert told["forebay.decision"] == "a, b"
    assert not {"forebay.tenant_class", "forebay.rule", "error.type"} & told.keys()
