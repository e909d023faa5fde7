"""policies/prices.yaml: the prices that are written, over the public ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from gateway.config.located import load
from gateway.errors import ConfigErrors
from gateway.exchange import Price, Rates, Usage
from gateway.policy import prices
from gateway.policy.prices import Prices, PricesSpec
from gateway.policy.pricing.own import FIELDS
from gateway.policy.pricing.public import CACHE_ENTRIES

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def usd(*rates: float) -> Rates:
    """Rates of the usual four, from dollars for a million tokens."""
    return Rates.plain(*(round(rate * 10**9) for rate in rates))


def plain(price: Price | None) -> Rates | None:
    """The rates that hold for short prompts of the standard class, with the usual four alone."""
    if price is None:
        return None
    rates = price.standard.rates
    return Rates.plain(rates.input, rates.output, rates.cached, rates.cache_write)


def unix_s(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Prices]:
    def _compiled(text: str) -> Prices:
        (tmp_path / "prices.yaml").write_text(text)
        return prices.compile(load(tmp_path / "prices.yaml", PricesSpec, {}), NOW)

    return _compiled


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
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
def test_the_public_prices_of_well_known_models(provider: str, model: str, rates: Rates) -> None:
    assert plain(prices.compile(None, NOW).of("some", provider, model)) == rates


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "my-own-model"),
        ("mistral", "mistral-ocr-latest"),
        ("openai", ""),
        ("openai_compatible", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("", "gpt-4o"),
    ],
)
def test_what_nobody_lists_has_no_price(provider: str, model: str) -> None:
    assert prices.compile(None).of("b", provider, model) is None


def test_what_is_written_takes_the_place_of_the_public_price(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  gpt-4o: {input_usd_per_mtok: 2, output_usd_per_mtok: 8, cached_usd_per_mtok: 1, cache_write_usd_per_mtok: 0}
  cluster/*: {input_usd_per_mtok: 0, output_usd_per_mtok: 0.000000001}
""")
    assert plain(got.of("a", "openai", "gpt-4o")) == usd(2, 8, 1, 0)
    assert plain(got.of("a", "openai", "gpt-4o-mini")) == usd(0.15, 0.6, 0.075, 0.15)
    assert plain(got.of("cluster", "", "anything/at-all")) == Rates.plain(0, 1)


def test_without_a_price_of_their_own_cached_tokens_cost_what_others_do(
    compiled: Callable[[str], Prices],
) -> None:
    got = compiled("models: {m: {input_usd_per_mtok: 0.3, output_usd_per_mtok: 1.1}}")
    assert plain(got.of("b", "", "m")) == usd(0.3, 1.1)


def test_the_first_that_matches_counts(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  a/*: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}
  m: {input_usd_per_mtok: 2, output_usd_per_mtok: 2}
  "*": {input_usd_per_mtok: 3, output_usd_per_mtok: 3}
""")
    places = [("a", "m"), ("b", "m"), ("b", "n")]
    assert [plain(got.of(backend, "", model)) for backend, model in places] == [usd(n, n) for n in (1, 2, 3)]


@pytest.mark.parametrize("written", ["0.1", "0.15", "3.75", "1234.567890123", "1e-9", "999999"])
def test_a_written_price_is_taken_to_the_nano_dollar(compiled: Callable[[str], Prices], written: str) -> None:
    got = compiled(f"models: {{m: {{input_usd_per_mtok: {written}, output_usd_per_mtok: 0}}}}")
    whole, _, part = f"{float(written):.9f}".partition(".")
    price = got.of("b", "", "m")
    assert price is not None
    assert price.standard.rates.input == int(whole + part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "models:\n  m:\n    input_usd_per_mtok: 1\n    output_usd_per_mtok: 0.0000000001\n",
            "prices.yaml:4 models.m.output_usd_per_mtok: finer than a billionth of a dollar, round it",
        ),
        (
            "models:\n  m: {input_usd_per_mtok: 1}\n",
            "prices.yaml:2 models.m: output_usd_per_mtok is missing, 0 is a price, too",
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "models: {m: {}}",
            (
                "models.m: nothing says what it costs, "
                "give input_usd_per_mtok and output_usd_per_mtok, a discount, or gpu"
            ),
        ),
        (
            "models: {m: {discount: 0.1, input_usd_per_mtok: 1, output_usd_per_mtok: 1}}",
            "models.m.discount: there is input_usd_per_mtok already, a price is given in one way",
        ),
        (
            "models: {m: {discount: 0.1, tiers: {batch: {times: 0.5}}}}",
            "models.m.tiers: only for prices by kinds",
        ),
        (
            "models: {m: {discount: 0.1, until: 2026-02-30}}",
            "models.m.until: there is no such day: day is out of range for month",
        ),
        (
            "models: {m: {discount: 0.1, from: 2026-03-01, until: 2026-03-01}}",
            "models.m.until: not after `from`, the day itself is not included",
        ),
        (
            "models: {m: [{discount: 0.1}, {discount: 0.2, from: 2026-03-01}]}",
            "models.m[1]: holds at the same time as [0], give the earlier one an `until`",
        ),
        ("models: {m: []}", "models.m: an empty list has no price, remove it"),
        (
            "models: {m: {like: opnai/gpt-4o}}",
            'models.m.like: there is no public price of "opnai/gpt-4o", did you mean "openai"?',
        ),
        (
            "models: {m: {like: openai/gpt-4x}}",
            'models.m.like: there is no public price of "openai/gpt-4x"',
        ),
        (
            "models: {m: {input_usd_per_mtok: 1, output_usd_per_mtok: 1, tiers: {batch: {}}}}",
            "models.m.tiers.batch: nothing says what it costs, give `times`, or kinds",
        ),
        (
            (
                "models: {m: {input_usd_per_mtok: 1, output_usd_per_mtok: 1, "
                "tiers: {batch: {times: 2, search_usd: 1}}}}"
            ),
            "models.m.tiers.batch.times: there is search_usd, too, remove one of them",
        ),
        (
            (
                "models: {m: {input_usd_per_mtok: 1, output_usd_per_mtok: 1, "
                "long_context: [{above_tokens: 9}, {above_tokens: 9}]}}"
            ),
            "models.m.long_context[1].above_tokens: not more than the one before, sort them",
        ),
        ("unknown: {}", "unknown: input_usd_per_mtok is missing, 0 is a price, too"),
        (
            "baseline: openai/gpt-4x",
            (
                'baseline: no price is known for "openai/gpt-4x", '
                "give `provider/model` of a public price, or a name that `models` has a price for"
            ),
        ),
    ],
)
def test_what_one_field_alone_does_not_show_is_told_with_its_place(
    compiled: Callable[[str], Prices], tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compiled(text)
    assert str(caught.value.errors[0]) == f"{tmp_path}/prices.yaml:1 {message}"


def test_a_discount_is_off_every_rate_of_the_public_price(compiled: Callable[[str], Prices]) -> None:
    got = compiled("models: {openai/*: {discount: 0.15}}").of("openai", "openai", "gpt-5.4")
    whole = prices.compile(None, NOW).of("openai", "openai", "gpt-5.4")
    assert got is not None
    assert whole is not None
    for tier in ("", "flex", "batch"):
        for read in (1_000_000, 100):
            usage = Usage(read, 1000, 90, searches=1, tier=tier)
            assert sum(got.cost(usage)) * 100 == sum(whole.cost(usage)) * 85
    assert got.version.startswith("own:openai/*@")


def test_a_discount_holds_only_where_there_is_a_public_price(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  "*": {discount: 0.5}
  b/*: {input_usd_per_mtok: 7, output_usd_per_mtok: 7}
""")
    assert plain(got.of("b", "", "mine")) == usd(7, 7)
    assert plain(got.of("b", "openai", "gpt-4o")) == usd(1.25, 5, 0.625, 1.25)
    assert got.of("c", "", "mine") is None


def test_a_name_of_ones_own_costs_like_a_public_model(compiled: Callable[[str], Prices]) -> None:
    got = compiled("models: {chat-prod: {like: azure/gpt-4o}, k2: {like: x-ai/grok-4.20, discount: 0.5}}")
    assert plain(got.of("a", "azure", "chat-prod")) == usd(2.5, 10, 1.25, 2.5)
    assert got.of("a", "", "k2") is not None


def test_prices_hold_from_a_time_until_another(compiled: Callable[[str], Prices]) -> None:
    got = compiled("""
models:
  m:
    - {until: 2026-06-01, input_usd_per_mtok: 1, output_usd_per_mtok: 0}
    - {from: 2026-06-01, until: 2026-12-01T06:30, input_usd_per_mtok: 2, output_usd_per_mtok: 0}
    - {from: 2027-01-01, input_usd_per_mtok: 3, output_usd_per_mtok: 0}
  "*": {input_usd_per_mtok: 9, output_usd_per_mtok: 0}
""")
    assert plain(got.of("b", "", "m")) == usd(2, 0)
    ends = unix_s(2026, 12, 1, 6, 30)
    times = (0, unix_s(2026, 6, 1) - 1, unix_s(2026, 6, 1), ends - 1, ends, unix_s(2027, 1, 1))
    assert [plain(got.at("b", "", "m", at)) for at in times] == [usd(n, 0) for n in (1, 1, 2, 2, 9, 3)]
    assert got.changes_after(NOW) == ends
    assert got.changes_after(ends) == unix_s(2027, 1, 1)
    assert got.changes_after(unix_s(2027, 1, 1)) is None


def test_the_hours_of_a_day_are_changes_of_models_that_were_asked_for() -> None:
    got = prices.compile(None, NOW)
    assert got.changes_after(NOW) is None
    noon, night = unix_s(2026, 11, 21, 12), unix_s(2026, 11, 21, 17)
    dear, cheap = usd(0.27, 1.1, 0.07, 0.27), usd(0.135, 0.55, 0.035, 0.135)
    assert plain(got.of("d", "deepseek", "deepseek-chat")) == dear
    assert [plain(got.at("d", "deepseek", "deepseek-chat", at)) for at in (noon, night)] == [dear, cheap]
    assert got.changes_after(noon) == unix_s(2026, 11, 21, 16, 30)
    assert got.changes_after(night) == unix_s(2026, 11, 22, 0, 30)


def test_long_prompts_and_classes_of_service_are_written_by_what_differs(
    compiled: Callable[[str], Prices],
) -> None:
    got = compiled("""
models:
  m:
    input_usd_per_mtok: 1
    output_usd_per_mtok: 2
    cache_write_usd_per_mtok: 3
    long_context: [{above_tokens: 100, input_usd_per_mtok: 4}]
    tiers:
      batch: {times: 0.5}
      priority: {output_usd_per_mtok: 8, long_context: [{above_tokens: 50, output_usd_per_mtok: 9}]}
""").of("b", "", "m")
    assert got is not None
    rates = {
        (tier, read): got.at(Usage(read, 0, tier=tier))
        for tier in ("", "batch", "priority")
        for read in (50, 100, 101)
    }
    assert rates["", 100] == usd(1, 2, 1, 3)
    assert rates["", 101] == usd(4, 2, 4, 3)
    assert rates["batch", 100] == usd(0.5, 1, 0.5, 1.5)
    assert rates["batch", 101] == usd(2, 1, 2, 1.5)
    assert rates["priority", 50] == usd(1, 8, 1, 3)
    assert rates["priority", 101] == usd(1, 9, 1, 3)


def test_every_kind_can_be_written(compiled: Callable[[str], Prices]) -> None:
    fields = {name: 2.0 + i for i, name in enumerate(FIELDS)}
    written = ", ".join(f"{name}: {usd_}" for name, usd_ in fields.items())
    got = compiled(f"models: {{m: {{{written}}}}}").of("b", "", "m")
    assert got is not None
    per = {"search": 10**15, "request": 10**15, "audio_hour": 10**15}
    expected = {FIELDS[name].rate: int(n) * per.get(FIELDS[name].rate, 10**9) for name, n in fields.items()}
    assert msgspec.structs.asdict(got.standard.rates) == expected


@pytest.mark.parametrize(
    ("gpu", "rates"),
    [
        ("usd_per_hour: 3.6, input_tokens_per_s: 1000, output_tokens_per_s: 100", usd(0.5, 5)),
        ("usd_per_hour: 3.6, count: 4, input_tokens_per_s: 1000, output_tokens_per_s: 100", usd(2, 20)),
        (
            (
                "usd_per_hour: 3.6, utilization: 0.5, input_tokens_per_s: 1000, output_tokens_per_s: 100, "
                "input_share: 0.25"
            ),
            usd(0.5, 15),
        ),
        (
            "usd_per_hour: 3.6, input_tokens_per_s: 1000, output_tokens_per_s: 100, measured: apart",
            usd(1, 10),
        ),
        ("usd_per_hour: 3.6, input_tokens_per_s: 1000", usd(1, 0)),
    ],
)
def test_machines_cost_by_the_hour_what_they_do_in_it(
    compiled: Callable[[str], Prices], gpu: str, rates: Rates
) -> None:
    assert plain(compiled(f"models: {{cluster/*: {{gpu: {{{gpu}}}}}}}").of("cluster", "", "q")) == rates


def test_an_hour_of_what_was_measured_costs_an_hour(compiled: Callable[[str], Prices]) -> None:
    gpu = (
        "usd_per_hour: 2.5, count: 8, input_tokens_per_s: 90000, output_tokens_per_s: 12000, input_share: 0.3"
    )
    price = compiled(f"models: {{q: {{gpu: {{{gpu}}}}}}}").of("b", "", "q")
    assert price is not None
    hour = price.of(Usage(90_000 * 3600, 12_000 * 3600)) / 10**9
    assert hour == pytest.approx(20, rel=1e-8)


def test_models_without_any_price_cost_the_declared_default_and_it_is_marked(
    compiled: Callable[[str], Prices],
) -> None:
    got = compiled("unknown: {input_usd_per_mtok: 1, output_usd_per_mtok: 4}")
    price = got.of("cluster", "", "mine")
    assert plain(price) == usd(1, 4)
    assert price is not None
    assert price.is_default
    assert price.version.startswith("default:")
    known = got.of("o", "openai", "gpt-4o")
    assert known is not None
    assert not known.is_default
    assert known.version.startswith("public:openai/gpt-4o@")
    assert got.named("cluster/mine") is None


def test_savings_have_a_baseline(compiled: Callable[[str], Prices]) -> None:
    assert prices.compile(None).baseline is None
    assert plain(compiled("baseline: openai/gpt-4o").baseline) == usd(2.5, 10, 1.25, 2.5)
    own = "models: {cluster/*: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\nbaseline: cluster/big"
    assert plain(compiled(own).baseline) == usd(1, 2)


def test_equal_content_has_the_equal_version_and_other_content_another(
    compiled: Callable[[str], Prices],
) -> None:
    def version(text: str) -> str:
        price = compiled(f"models: {{m: {{{text}}}}}").of("b", "", "m")
        assert price is not None
        return price.version

    one = version("input_usd_per_mtok: 1, output_usd_per_mtok: 2")
    assert one == version("output_usd_per_mtok: 2.0, input_usd_per_mtok: 1, cached_usd_per_mtok: 1")
    others = {
        version("input_usd_per_mtok: 1, output_usd_per_mtok: 3"),
        version("input_usd_per_mtok: 1, output_usd_per_mtok: 2, search_usd: 1"),
        version("input_usd_per_mtok: 1, output_usd_per_mtok: 2, tiers: {batch: {times: 0.5}}"),
        version("input_usd_per_mtok: 1, output_usd_per_mtok: 2, from: 2026-01-01"),
    }
    assert one not in others
    assert len(others) == 4
    assert one.startswith("own:m@")
    assert any(text.startswith("own:2026-01-01:m@") for text in others)


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
    assert plain(got.of("a", "openai", "gpt-4o")) == usd(2.5, 10, 1.25, 2.5)
    assert got.of("local", "", "smollm2-135m-instruct") is None


def test_the_example_in_the_file_that_ships_is_one(compiled: Callable[[str], Prices]) -> None:
    lines = (ROOT / "policies/prices.yaml").read_text(encoding="utf-8").splitlines()
    example = [line[4:] for line in lines if line.startswith("#   ") or line == "#"]
    got = compiled("\n".join(example))
    assert plain(got.of("openai", "openai", "gpt-4o")) == usd(2.125, 8.5, 1.0625, 2.125)
    assert plain(got.of("azure", "azure", "chat-prod")) == usd(2.5, 10, 1.25, 2.5)
    sonnet = got.at("anthropic", "anthropic", "claude-sonnet-4-5", unix_s(2027, 1, 1))
    assert plain(sonnet) == usd(2.4, 12, 0.24, 3)
    assert got.of("cluster", "", "q") is not None
    assert got.baseline is not None
