"""policies/prices.yaml: the prices that are written, over the public ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from gateway.config.located import load
from gateway.config.providers import Provider
from gateway.config.resolve import load_presets
from gateway.errors import ConfigErrors
from gateway.exchange import Price, Usage
from gateway.policy import prices
from gateway.policy.prices import CACHE_ENTRIES, PROVIDERS, Prices, PricesSpec

ROOT = Path(__file__).parents[3]
M = 1_000_000
"""Times a thousand: the nano-USD of a dollar."""


def usd(*rates: float) -> Price:
    return Price(*(round(rate * 1000 * M) for rate in rates))


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Prices]:
    def _compiled(text: str) -> Prices:
        (tmp_path / "prices.yaml").write_text(text)
        return prices.compile(load(tmp_path / "prices.yaml", PricesSpec, {}))

    return _compiled


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        # From the providers' price lists, 2026-11.
        ("openai", "gpt-4o", usd(2.5, 10, 1.25, 2.5)),
        ("openai", "gpt-4o-mini-2024-07-18", usd(0.15, 0.6, 0.075, 0.15)),
        ("openai", "o3", usd(2, 8, 0.5, 2)),
        ("openai", "text-embedding-3-small", usd(0.02, 0, 0.02, 0.02)),
        ("azure", "gpt-4o", usd(2.5, 10, 1.25, 2.5)),
        ("anthropic", "claude-sonnet-4-5", usd(3, 15, 0.3, 3.75)),
        ("anthropic", "claude-haiku-4-5-20251001", usd(1, 5, 0.1, 1.25)),
        ("vertex_anthropic", "claude-sonnet-4-5@20250929", usd(3, 15, 0.3, 3.75)),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", usd(3.3, 16.5, 0.33, 4.125)),
        ("gemini", "gemini-2.5-flash", usd(0.3, 2.5, 0.03, 0.3)),
        ("groq", "openai/gpt-oss-120b", usd(0.15, 0.6, 0.075, 0.15)),
    ],
)
def test_the_public_prices_of_well_known_models(provider: str, model: str, price: Price) -> None:
    assert prices.compile(None).of("some", provider, model) == price


def test_of_a_price_with_tiers_the_first_counts() -> None:
    assert prices.compile(None).of("g", "gemini", "gemini-2.5-pro") == usd(1.25, 10, 0.125, 1.25)


def test_of_a_price_by_the_time_of_day_the_dearest_counts() -> None:
    assert prices.compile(None).of("d", "deepseek", "deepseek-chat") == usd(0.27, 1.1, 0.07, 0.27)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "my-own-model"),
        ("openai", "whisper-1"),
        ("openai", ""),
        ("openai_compatible", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("", "gpt-4o"),
        ("openrouter", "meta-llama/llama-3.3-70b-instruct:free"),
    ],
)
def test_what_nobody_lists_by_tokens_has_no_price(provider: str, model: str) -> None:
    assert prices.compile(None).of("b", provider, model) is None


def test_providers_are_ours_and_theirs() -> None:
    from genai_prices.data import providers

    assert PROVIDERS.keys() <= load_presets().keys() | set(get_args(Provider))
    assert set(PROVIDERS.values()) <= {provider.id for provider in providers}


def test_what_is_written_takes_the_place_of_the_public_price(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  gpt-4o: {input_usd_per_mtok: 2, output_usd_per_mtok: 8, cached_usd_per_mtok: 1, cache_write_usd_per_mtok: 0}
  cluster/*: {input_usd_per_mtok: 0, output_usd_per_mtok: 0.000000001}
""")
    assert got.of("a", "openai", "gpt-4o") == usd(2, 8, 1, 0)
    assert got.of("a", "openai", "gpt-4o-mini") == usd(0.15, 0.6, 0.075, 0.15)
    assert got.of("cluster", "", "anything/at-all") == Price(0, 1, 0, 0)


def test_without_a_price_of_their_own_cached_tokens_cost_what_others_do(
    compiled: Callable[[str], Prices],
) -> None:
    got = compiled("models: {m: {input_usd_per_mtok: 0.3, output_usd_per_mtok: 1.1}}")
    assert got.of("b", "", "m") == Price(300_000_000, 1_100_000_000, 300_000_000, 300_000_000)


def test_the_first_that_matches_counts(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  a/*: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}
  m: {input_usd_per_mtok: 2, output_usd_per_mtok: 2}
  "*": {input_usd_per_mtok: 3, output_usd_per_mtok: 3}
""")
    places = [("a", "m"), ("b", "m"), ("b", "n")]
    assert [got.of(backend, "", model) for backend, model in places] == [usd(*[n] * 4) for n in (1, 2, 3)]


@pytest.mark.parametrize("written", ["0.1", "0.15", "3.75", "1234.567890123", "1e-9", "999999"])
def test_a_written_price_is_taken_to_the_nano_dollar(compiled: Callable[[str], Prices], written: str) -> None:
    got = compiled(f"models: {{m: {{input_usd_per_mtok: {written}, output_usd_per_mtok: 0}}}}")
    whole, _, part = f"{float(written):.9f}".partition(".")
    price = got.of("b", "", "m")
    assert price is not None
    assert price.input_nanousd == int(whole + part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "models:\n  m:\n    input_usd_per_mtok: 1\n    output_usd_per_mtok: 0.0000000001\n",
            "prices.yaml:4 models.m.output_usd_per_mtok: finer than a billionth of a dollar, round it",
        ),
        (
            "models:\n  m: {input_usd_per_mtok: 1}\n",
            'prices.yaml:2 models.m: the required field "output_usd_per_mtok" is missing',
        ),
        (
            "models:\n  m: {input_usd_per_mtok: -1, output_usd_per_mtok: 1}\n",
            'prices.yaml:2 models.m.input_usd_per_mtok: "-1" is out of range, it must be at least 0',
        ),
    ],
)
def test_a_price_that_cannot_be_is_told_with_its_line(
    compiled: Callable[[str], Prices], tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compiled(text)
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


def test_a_call_costs_what_its_tokens_do() -> None:
    price = prices.compile(None).of("o", "openai", "gpt-4o-mini")
    assert price is not None
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=400)
    assert price.of(usage) == 600 * 150 + 400 * 75 + 100 * 600


def test_names_that_clients_make_up_do_not_fill_the_memory(compiled: Callable[[str], Prices]) -> None:
    got = compiled("models: {}")
    for i in range(CACHE_ENTRIES + 100):
        got.of("b", "", f"model-{i}")
    assert got._known.cache_info().currsize == CACHE_ENTRIES


def test_nothing_is_imported_before_a_public_price_is_asked_for() -> None:
    program = """
import sys
from gateway.policy import prices
price = prices.compile(None).of("b", "", "m")
print(price, "genai_prices" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None False"


def test_the_file_that_ships_is_read_and_changes_nothing() -> None:
    got = prices.compile(load(ROOT / "policies/prices.yaml", PricesSpec, {}))
    assert got.of("a", "openai", "gpt-4o") == usd(2.5, 10, 1.25, 2.5)
    assert got.of("local", "", "smollm2-135m-instruct") is None
