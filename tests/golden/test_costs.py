"""What recorded exchanges cost: our reading, our prices and our sums against those of genai-prices.

The witness takes no step with us. It finds the usage object in the answer's JSON; genai-prices reads it with
its extractors, and computes with its `calc_price`. Where those are wrong, `HAND` says the counts, and why.
Prices are those of one moment, so that the test says the same on any day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers
from genai_prices.types import Provider
from rig import recordings
from rig.recordings import Recording, parameters
from rig.translation.formats import APIS, codec, events_of, streamed
from rig.translation.witness.facts import aws_frames, ndjson, sse

from gateway.exchange import Format, Price, Usage
from gateway.formats.neutral.events import join
from gateway.formats.passage.watching import WATCHES
from gateway.policy import prices

pytestmark = pytest.mark.wire

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
FEMTO = Decimal(10) ** -15

OURS: Mapping[str, Format] = {
    "openai.completions": "completions",
    "openai.embeddings": "embeddings",
    "mistral.embeddings": "embeddings",
    "cohere.embed": "cohere_embeddings",
    "cohere.rerank": "rerank",
    "voyage.embeddings": "embeddings",
    "voyage.rerank": "rerank",
    "gemini.embed": "gemini_embeddings",
}
"""Interfaces that are relayed and not translated, and what they are called here."""

THEIRS = {"gemini": "google", "vertex": "google", "bedrock": "aws", "xai": "x-ai", "voyage": "voyageai"}
"""The names that genai-prices has for providers, where they are others."""

FLAVOURS = {
    "openai.chat": ("chat", "default"),
    "mistral.chat": ("default",),
    "openai.responses": ("responses", "default"),
    "openai.completions": ("chat", "default"),
    "openai.embeddings": ("embeddings", "chat", "default"),
    "anthropic.messages": ("anthropic", "default"),
    "bedrock.converse": ("default",),
    "gemini.generate": ("default",),
    "cohere.chat.v2": ("default",),
    "cohere.embed": ("embeddings",),
}
"""By which of its extractors a provider's answer is read: the first that it has."""


HAND: Mapping[str, dict[str, int]] = {
    # They do not read `num_cached_tokens`.
    "mistral-1335aa": {"input_tokens": 273, "cache_read_tokens": 32, "output_tokens": 104},
    # They read no sound; `prompt_tokens` leaves it out (9 + 375 + 201 = 585), and it is billed by the second.
    "understan-b11e58": {
        "input_tokens": 9,
        "output_tokens": 201,
        "input_audio_seconds": 4,
        "audio_seconds": 4,
    },
    # More is cached than read, at which they give up: see `gateway.formats.chat.usage`.
    "can-69d04e": {"input_tokens": 371, "cache_read_tokens": 371, "output_tokens": 40},
    "s-6b0559": {"input_tokens": 7, "cache_read_tokens": 7, "output_tokens": 8},
    # They count no items of the output: each is one search, but for pages that were opened.
    "web_search_tool-e56ab6": {
        "input_tokens": 9506,
        "cache_read_tokens": 8576,
        "output_tokens": 439,
        "web_searches": 1,
    },
    "testopenaiwebsearch_generate-f8c858": {
        "input_tokens": 17432,
        "output_tokens": 438,
        "web_searches": 1,
    },
    "web_search_tool_stream-1bca08": {
        "input_tokens": 9463,
        "cache_read_tokens": 8320,
        "output_tokens": 582,
        "web_searches": 1,
    },
    "openai_gpt_4o_responses-b64e9d": {"input_tokens": 17451, "output_tokens": 636, "web_searches": 1},
    # They read no grounding: before Gemini 3 an answer is billed for it once, here with two queries.
    "returns_ground-6196cf": {"input_tokens": 70, "output_tokens": 248, "web_searches": 1},
    # They have no extractor for Voyage.
    "voyage_4-310216": {"input_tokens": 3},
}
"""What was used, by the end of the recording's name, where genai-prices reads it wrong or not at all."""

HOME, NO_DATA, NO_MODEL = "runs at home", "genai-prices has nobody of that name", "nobody lists the model"
UNLISTED: Mapping[str, str] = {
    "azure/openllmetry-testing": "a name of somebody's own: `like` says what it is",
    "bedrock/minimax.minimax-m2": NO_MODEL,
    "bedrock/openai.gpt-oss-20b": NO_MODEL,
    "cohere/command-a-plus-05-2026": NO_MODEL,
    "cohere/command-a-reasoning-08-2025": NO_MODEL,
    "cohere/command-a-vision-07-2025": NO_MODEL,
    "cohere/rerank-english-v2.0": "genai-prices has no prices of ranking",
    "cohere/rerank-v3.5": "genai-prices has no prices of ranking",
    "crusoe/meta-llama/Llama-3.3-70B-Instruct": NO_DATA,
    "crusoe/zai/GLM-5.2": NO_DATA,
    "databricks/databricks-claude-3-7-sonnet": NO_MODEL,
    "gpustack/qwen3": HOME,
    "groq/compound-beta": NO_MODEL,
    "huggingface/moonshotai/Kimi-K2-Instruct-0905:groq": "a router: it is listed by who serves it",
    "llama-cpp/openai/gpt-oss-20b": HOME,
    "lmstudio/zai-org/glm-4.7-flash": HOME,
    "ollama/gemma3:1b": HOME,
    "ollama/gpt-oss:120b": HOME,
    "ollama/llama3.1": HOME,
    "ollama/qwen3": HOME,
    "ollama/qwen3.6:latest": HOME,
    "openrouter/minimax/minimax-m2:free": NO_MODEL,
    "openrouter/openai/text-embedding-3-small": NO_MODEL,
    "openrouter/voyageai/rerank-2.5-lite": "genai-prices has no prices of ranking",
    "openrouter/x-ai/grok-4.1-fast": NO_MODEL,
    "snowflake/claude-sonnet-4-6": NO_DATA,
    "together/Qwen/Qwen2.5-72B-Instruct-Turbo": NO_MODEL,
    "vercel/google/gemini-3-pro-preview": NO_DATA,
    "vercel/openai/gpt-5": NO_DATA,
    "vllm/facebook/opt-125m": HOME,
    "voyage/rerank-2-lite": "genai-prices has no prices of ranking",
    "zai/glm-4.7-flash": NO_MODEL,
}
"""What has usage and no price, by provider and model, each with the reason. It may only become less."""


def model_of(recording: Recording) -> str:
    return index()[recording.name]


@cache
def index() -> dict[str, str]:
    """The model that was asked for, by the name of the recording."""
    lines = (recordings.FOLDER / "index.tsv").read_text().splitlines()[1:]
    return {line.split("\t")[0].removesuffix(".json"): line.split("\t")[5] for line in lines}


@cache
def every() -> tuple[Recording, ...]:
    apis = {
        path.name.rsplit("-stream-")[0].rsplit("-json-")[0] for path in recordings.FOLDER.glob("*/*.json")
    }
    return tuple(one for one in recordings.load(*sorted(apis)) if one.status == 200)


def our_usage(recording: Recording) -> Usage | None:
    """What the gateway reads from an answer."""
    if (format_ := APIS.get(recording.api)) is not None:
        if recording.is_stream:
            return join(events_of(format_, [streamed(recording)])).usage
        return codec(format_).decode_answer(recording.body).usage
    if recording.is_stream or recording.api not in OURS:
        return None
    watch = WATCHES.get(OURS[recording.api])
    usage = None if watch is None else watch.read(recording.body)[0]
    assert usage is None or isinstance(usage, Usage)
    return usage


def body_of(recording: Recording) -> dict[str, Any]:
    """The JSON of an answer, of a stream made from the chunks that tell the usage."""
    if not recording.is_stream:
        whole: dict[str, Any] = json.loads(recording.body)
        if "usageMetadata" in whole:
            whole["usageMetadata"] = in_words(whole["usageMetadata"])
        return whole
    chunks = list(chunks_of(recording))
    if recording.api == "openai.responses":
        return next(one["response"] for one in reversed(chunks) if (one.get("response") or {}).get("usage"))
    if recording.api == "anthropic.messages":
        body = next(one["message"] for one in chunks if "message" in one)
        for one in chunks:
            body["usage"] |= {name: n for name, n in (one.get("usage") or {}).items() if n is not None}
        return dict(body)
    if recording.api == "gemini.generate":
        last = [one for one in chunks if len(one.get("usageMetadata", {})) > 1]
        return {**last[-1], "usageMetadata": in_words(last[-1]["usageMetadata"])}
    if recording.api == "cohere.chat.v2":
        return next(one["delta"] for one in chunks if one.get("type") == "message-end")
    tiers = [one["service_tier"] for one in chunks if one.get("service_tier")]
    told = next(one for one in reversed(chunks) if one.get("usage"))
    return {**told, **({"service_tier": tiers[-1]} if tiers else {})}


def in_words(metadata: Any) -> Any:
    """Vertex may write kinds of tokens as numbers, which genai-prices cannot read."""
    kinds = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
    for details in metadata.values():
        for one in details if isinstance(details, list) else ():
            one["modality"] = kinds.get(one["modality"], one["modality"])
    return metadata


def chunks_of(recording: Recording) -> Iterator[dict[str, Any]]:
    body = streamed(recording)
    if recording.api == "bedrock.converse":
        return (event for _, event in aws_frames(body))
    return iter(ndjson(body) if recording.api == "ollama.chat" else sse(body))


def seller(recording: Recording) -> Provider:
    name = THEIRS.get(recording.provider, recording.provider)
    return next(one for one in providers if one.id == name)


def their_usage(recording: Recording) -> TheirUsage:
    for end, counts in HAND.items():
        if recording.name.endswith(end):
            return TheirUsage(**counts)
    of_openai = next(one for one in providers if one.id == "openai")
    sellers = [of_openai] if recording.provider == "bedrock" and "openai" in recording.api else []
    for sold in (*sellers, seller(recording), of_openai):
        has = {one.api_flavor for one in sold.extractors or ()}
        for flavour in FLAVOURS[recording.api]:
            if flavour in has:
                return sold.extract_usage(body_of(recording), api_flavor=flavour)[1]
    raise AssertionError(recording.name)


def their_cost(recording: Recording, usage: TheirUsage) -> Decimal:
    sold = seller(recording)
    found = sold.find_model(model_of(recording), all_providers=providers)
    assert found is not None
    tier = body_of(recording).get("service_tier")
    context = {"service_tier": tier} if isinstance(tier, str) else None
    priced = found.calc_price(usage, sold, genai_request_timestamp=AT, price_context=context)
    return priced.total_price.quantize(FEMTO, ROUND_HALF_EVEN)


@cache
def known() -> prices.Prices:
    return prices.compile(None, AT.timestamp())


def our_price(recording: Recording) -> Price | None:
    preset = recording.provider
    if preset == "vertex" and recording.api == "anthropic.messages":
        preset = "vertex_anthropic"
    model = model_of(recording)
    return known().of("backend", preset, model) or known().named(f"{recording.provider}/{model}")


USED = (
    [(one, usage) for one in every() if (usage := our_usage(one)) is not None]
    if recordings.available()
    else []
)
PRICED = [(one, usage) for one, usage in USED if our_price(one) is not None]


@pytest.mark.parametrize("recording", parameters(one for one, _ in PRICED))
def test_an_exchange_costs_what_the_published_prices_of_its_kinds_say(recording: Recording) -> None:
    price, usage = our_price(recording), our_usage(recording)
    assert price is not None
    assert usage is not None
    assert Decimal(sum(price.cost(usage))) * FEMTO == their_cost(recording, their_usage(recording))


def test_what_has_no_price_has_a_reason_not_to() -> None:
    if not USED:
        pytest.skip("the recordings are missing")
    priced = {one.name for one, _ in PRICED}
    without = Counter(f"{one.provider}/{model_of(one)}" for one, _ in USED if one.name not in priced)
    sellers = {one.provider for one, _ in PRICED}
    print(f"\n{len(PRICED)} of {len(USED)} exchanges with usage have a price, of {len(sellers)} providers")
    print(f"{without.total()} have no price:")
    reasons = Counter(dict.fromkeys(UNLISTED.values(), 0))
    for name, count in without.items():
        reasons[UNLISTED.get(name, name)] += count
    print("\n".join(f"  {count} {reason}" for reason, count in reasons.items()))
    assert set(without) == set(UNLISTED)
    assert len(PRICED) >= 283
    assert len(sellers) >= 16


def test_each_correction_by_hand_is_of_a_recording() -> None:
    if not USED:
        pytest.skip("the recordings are missing")
    for end in HAND:
        assert sum(one.name.endswith(end) for one, _ in PRICED) == 1, end
