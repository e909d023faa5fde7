"""Write the ledger in FOCUS 1.2 columns: a row for each day, tenant, key, model, price and kind of token.

Pure. What a provider's list would have said beside what was agreed on is not known here: list and contracted
costs are the billed ones. Columns with x_ are our own, as FOCUS has it.

Source: FinOps Open Cost and Usage Specification 1.2 (focus.finops.org), its columns and their constraints.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from fractions import Fraction

import msgspec

from gateway.finops.statement.bookings import (
    KINDS,
    Booking,
    Correction,
    Kind,
    added,
    charges,
    dollars,
    quantities,
    text_of,
)
from gateway.finops.statement.months import Month

COLUMNS = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription"),
    *("ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit"),
    *("ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName"),
    *("ListCost", "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId"),
    *("SubAccountId", "SubAccountName", "SubAccountType", "Tags"),
    *("x_WastedCost", "x_UnreportedCost"),
)
"""Without those about commitments, reservations, regions and zones, which nothing here has."""

_DAY_S = 86_400
_MILLION = 1_000_000
_EXACT = Context(prec=60)
_NAMES = {
    "openai": "OpenAI",
    "azure": "Microsoft Azure",
    "anthropic": "Anthropic",
    "gemini": "Google",
    "vertex": "Google Cloud",
    "bedrock": "Amazon Web Services",
    "mistral": "Mistral AI",
    "cohere": "Cohere",
    "groq": "Groq",
    "deepseek": "DeepSeek",
}
"""Of backends that are named after whose they are."""

_What = tuple[int, str, str, str, str, str, str]
Row = dict[str, str]
"""By column; what is null is empty."""


class Export(msgspec.Struct, frozen=True):
    """What is common to all rows."""

    month: Month
    account: str
    """Who pays: the id of the billing account."""


def day_rows(export: Export, standing: Iterable[Booking], corrected: Sequence[Correction]) -> Iterator[Row]:
    """Yield the rows of what was charged on a day; `corrected` has what was corrected of it.

    A correction within the billing period is a part of the charge, as FOCUS has it.
    """
    every = charges(standing, corrected)
    every += [one.booking for one in corrected if one.is_of and one.is_in]
    return _rows(export, every, "")


def correction_rows(export: Export, corrected: Iterable[Correction]) -> Iterator[Row]:
    """Yield the rows of corrections of invoiced periods, with the days of what they correct."""
    late = [one.booking for one in corrected if one.is_in and not one.is_of]
    return _rows(export, late, "Correction")


def _rows(export: Export, every: Iterable[Booking], class_: str) -> Iterator[Row]:
    groups: dict[_What, list[Booking]] = {}
    for one in every:
        what = (one.day, one.tenant, one.team, one.key, one.backend, one.model, one.price)
        groups.setdefault(what, []).append(one)
    for what in sorted(groups):
        parts = groups[what]
        amounts = added(parts)
        used = quantities(amounts)
        for kind in KINDS:
            cost = amounts[f"cost_{kind.name}"]
            quantity = used[kind.name] if kind.name != "other" or cost else 0
            if cost or quantity:
                yield {
                    **_whose(export, parts[0], class_),
                    **_priced(kind, cost, quantity),
                    **_doubts(kind, parts),
                    **_sku(parts[0], kind),
                }


def _whose(export: Export, one: Booking, class_: str) -> Row:
    provider = _NAMES.get(one.backend, one.backend)
    tags = {"team": one.team, "key": one.key, "source": "demo" if one.source == "demo" else ""}
    return {
        "BillingAccountId": export.account,
        "BillingAccountName": export.account,
        "BillingAccountType": "Gateway",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _iso(export.month.since_s),
        "BillingPeriodEnd": _iso(export.month.until_s),
        "ChargePeriodStart": _iso(one.day),
        "ChargePeriodEnd": _iso(one.day + _DAY_S),
        "ChargeCategory": "Usage",
        "ChargeClass": class_,
        "ChargeFrequency": "Usage-Based",
        "InvoiceId": "",
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": f"{one.backend}/{one.model}",
        "ResourceName": one.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": f"{provider} API",
        "SubAccountId": one.tenant,
        "SubAccountName": one.tenant,
        "SubAccountType": "Tenant",
        "Tags": json.dumps({name: value for name, value in tags.items() if value}),
    }


def _priced(kind: Kind, cost: int, quantity: int) -> Row:
    """Return costs, quantities and what one of them costs: times the quantity, it is the cost."""
    usd = text_of(dollars(cost))
    is_tokens = kind.unit == "Tokens"
    per = _MILLION if is_tokens else 1
    unit_price = _unit_price(Fraction(cost * per, quantity)) if quantity and cost * quantity >= 0 else ""
    return {
        "BilledCost": usd,
        "EffectiveCost": usd,
        "ListCost": usd,
        "ContractedCost": usd,
        "ListUnitPrice": unit_price,
        "ContractedUnitPrice": unit_price,
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": kind.unit,
        "PricingQuantity": text_of(_EXACT.divide(Decimal(quantity), Decimal(per)), 0),
        "PricingUnit": f"{_MILLION} Tokens" if is_tokens else kind.unit,
    }


def _unit_price(femtousd: Fraction) -> str:
    """Write what one unit costs: exactly where it was one price, else to far more digits than there are."""
    price = _EXACT.divide(Decimal(femtousd.numerator), Decimal(femtousd.denominator))
    return text_of(_EXACT.scaleb(price, Decimal(-15)))


def _doubts(kind: Kind, parts: Sequence[Booking]) -> Row:
    """Return how much of the cost was in vain, and how much rests on what no provider reported."""
    name = f"cost_{kind.name}"
    wasted = sum(part.amounts[name] for part in parts if part.waste)
    unreported = sum(part.amounts[name] for part in parts if part.confidence not in {"reported", ""})
    return {"x_WastedCost": text_of(dollars(wasted)), "x_UnreportedCost": text_of(dollars(unreported))}


def _sku(one: Booking, kind: Kind) -> Row:
    return {
        "SkuId": f"{one.backend}/{one.model}/{kind.name}",
        "SkuMeter": kind.title,
        "SkuPriceDetails": "",
        "SkuPriceId": one.price,
        "ChargeDescription": f"{kind.title} of {one.model} at {one.backend}",
    }


def _iso(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
