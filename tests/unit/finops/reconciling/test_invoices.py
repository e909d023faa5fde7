"""Bills are known by their columns; what cannot be read is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from unit.finops.reconciling import bills

from gateway.finops.reconciling.invoices import BadInvoice, BillLine, Invoice, read_invoice
from gateway.finops.reconciling.names import canonical, kind_in, model_in

DAY = date(2026, 11, 2)


def read(text: str, **columns: str) -> Invoice:
    return read_invoice(text.splitlines(keepends=True), columns)


def told(invoice: Invoice) -> list[tuple[str, str, str, int | None]]:
    return [(line.model, line.kind, str(line.usd), line.tokens) for line in invoice.lines]


@pytest.mark.parametrize(
    ("text", "form", "lines"),
    [
        (
            bills.OPENAI_COSTS,
            "OpenAI costs",
            [
                ("gpt-4o", "input", "2.500000000000000000", 1_000_000),
                ("gpt-4o", "cached", "0.125", 100_000),
                ("gpt-4o", "output", "1.0", 100_000),
            ],
        ),
        (
            bills.OPENAI_USAGE,
            "OpenAI usage",
            [
                ("gpt-5-mini", "input", "None", 4000),
                ("gpt-5-mini", "cached", "None", 1000),
                ("gpt-5-mini", "output", "None", 700),
            ],
        ),
        (
            bills.ANTHROPIC_COST,
            "Anthropic cost",
            [
                ("claude-haiku-4-5", "input", "0.05", None),
                ("claude-haiku-4-5", "output", "0.02", None),
                ("claude-sonnet-4-5", "cached", "0.10", None),
                ("claude-sonnet-4-5", "cache_write", "0.30", None),
            ],
        ),
        (
            bills.ANTHROPIC_USAGE,
            "Anthropic usage",
            [
                ("claude-haiku-4-5", "input", "None", 5000),
                ("claude-haiku-4-5", "cached", "None", 800),
                ("claude-haiku-4-5", "cache_write", "None", 120),
                ("claude-haiku-4-5", "output", "None", 700),
            ],
        ),
        (
            bills.GOOGLE,
            "Google Cloud billing",
            [
                ("gemini-2-5-flash", "input", "0.360000", None),
                ("gemini-2-5-flash", "output", "0.250000", None),
            ],
        ),
        (
            bills.AWS,
            "AWS Cost and Usage Report",
            [
                ("claude-sonnet-3-5", "input", "0.0360000000", None),
                ("claude-sonnet-3-5", "output", "0.0300000000", None),
            ],
        ),
        (bills.FOCUS, "FOCUS", [("gpt-5", "input", "1.25", None)]),
    ],
)
def test_each_known_bill_is_read(text: str, form: str, lines: list[tuple[str, str, str, int | None]]) -> None:
    invoice = read(text)
    assert invoice.form == form
    assert told(invoice) == lines
    assert {line.day for line in invoice.lines} <= {DAY, date(2026, 11, 3)}


def test_the_second_form_of_aws_is_read_too() -> None:
    text = (
        "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_unblended_cost\n"
        "2026-11-02 05:00:00.000,AmazonBedrock,USE1-NovaLite-output-tokens-batch,0.5\n"
    )
    assert told(read(text)) == [("nova-lite", "output", "0.5", None)]


def test_what_is_about_something_else_is_counted() -> None:
    assert read(bills.GOOGLE).left_out == {"Cloud Storage": 1}
    assert read(bills.AWS).left_out == {"AmazonEC2": 1}
    assert read(bills.OPENAI_COSTS).left_out == {"without an amount": 1}
    assert read(bills.FOCUS).left_out == {"Compute": 1}


def test_columns_can_be_named() -> None:
    text = "Tag;Modell;Betrag;Art\n02.11.2026;gpt-5-2025-08-07;1.234,50;Input\n"
    invoice = read(text, date="Tag", model="Modell", usd="Betrag", kind="Art")
    assert invoice.lines == [BillLine(DAY, "gpt-5", "input", Decimal("1234.50"), None, 2)]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("foo,bar,baz\n1,2,3\n", {}, "Found: foo, bar, baz. Expected one of: OpenAI costs"),
        ("", {}, "Found: nothing"),
        ("a,b\n1,2\n", {"date": "a", "usd": "Cost"}, "no column cost; it has a, b"),
        ("a,b\n1,2\n", {"date": "a"}, "where usd is"),
        ("a,b\n1,2\n", {"date": "a", "usd": "b", "color": "c"}, "not color"),
        ("a,b\nsoon,2\n", {"date": "a", "usd": "b"}, "line 2: 'soon' is not a date"),
        ("a,b\n2026-11-01,much\n", {"date": "a", "usd": "b"}, "line 2: 'much' is not a number"),
        ("a,b\n2026-11-01,nan\n", {"date": "a", "usd": "b"}, "is not an amount"),
        ("a,b,c\n2026-11-01,1,EUR\n", {"date": "a", "usd": "b", "currency": "c"}, "the bill is in EUR"),
        ("usage_date_utc,cost_usd\n", {}, "no line of it is about models"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, columns: dict[str, str], message: str) -> None:
    with pytest.raises(BadInvoice, match=message):
        read(text, **columns)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("$1,234.5", "1234.5"), ("(0.5)", "-0.5"), ("1e-7", "1E-7"), ("1,234,567", "1234567"), ("0,5", "0.5")],
)
def test_amounts_are_read_as_they_are_written(text: str, amount: str) -> None:
    line = read(f'a;b\n2026-11-01;"{text}"\n', date="a", usd="b").lines[0]
    assert line.usd == Decimal(amount)


@pytest.mark.parametrize(
    ("names", "same"),
    [
        (("gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o"), "gpt-4o"),
        (("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"), "gpt-4-1-mini"),
        (("gpt-3.5-turbo-0125", "gpt-3.5-turbo"), "gpt-3-5-turbo"),
        (("o3", "o3-2025-04-16"), "o3"),
        (("ft:gpt-4o-mini-2024-07-18:acme::a1",), "ft-gpt-4o-mini"),
        (
            (
                *("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "Claude 3.5 Sonnet"),
                *("claude-3-5-sonnet@20241022", "claude-3-5-sonnet-latest"),
            ),
            "claude-sonnet-3-5",
        ),
        (("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"), "claude-sonnet-4-5"),
        (("models/gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"), "gemini-2-5-flash"),
        (("gemini-1.5-pro-002", "publishers/google/models/gemini-1.5-pro"), "gemini-1-5-pro"),
        (("text-embedding-3-small",), "text-embedding-3-small"),
    ],
)
def test_snapshots_and_prefixes_are_left_out_of_names(names: tuple[str, ...], same: str) -> None:
    assert {canonical(name) for name in names} == {same}


def test_models_are_found_in_descriptions() -> None:
    assert model_in("USE1-Claude3.5Sonnet-input-tokens") == "claude-sonnet-3-5"
    assert model_in("gpt 4o 0806 Inp glbl Tokens") == model_in("GPT-4o input") == "gpt-4o"
    assert model_in("gpt-4o-mini-0718-Outp-regnl") == "gpt-4o-mini"
    assert model_in("Claude Sonnet 4 (Amazon Bedrock Edition)") == "claude-sonnet-4"
    assert model_in("Gemini 2.5 Flash Lite GA Text Output - Predictions") == "gemini-2-5-flash-lite"
    assert model_in("meta.llama3-1-70b-instruct-v1:0") == model_in("Llama 3.1 70B") == "llama-3-1-70b"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("input_no_cache", "input"),
        ("uncached_input_tokens", "input"),
        ("cached input", "cached"),
        ("cache_read_input_tokens", "cached"),
        ("cache_creation.ephemeral_1h_input_tokens", "cache_write"),
        ("gpt-5, output", "output"),
        ("reasoning tokens", "output"),
        ("web_search", "other"),
        ("token", ""),
    ],
)
def test_kinds_of_tokens_are_known_by_their_words(text: str, kind: str) -> None:
    assert kind_in(text) == kind
