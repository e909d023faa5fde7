"""Read the bills and exports of providers: CSV files, known by their columns. Pure.

Names of columns are compared in snake case: `lineItem/UsageStartDate` is `line_item_usage_start_date`, and
`Cost ($)` is `cost`.
Sources: the exports of OpenAI's and Anthropic's consoles, Google Cloud's cost table, AWS Cost and Usage
Reports (1 and 2), FOCUS 1.2; looked at 2026-11.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from gateway.finops.reconciling.names import Kind, canonical, kind_in, model_in

ALL_MODELS = ""
"""Where a bill does not say which model."""


class BadInvoice(Exception):
    """A file that cannot be read as a bill; the text says what was found and what is expected."""


class BillLine(msgspec.Struct, frozen=True):
    """What was billed on a day; the name of the model is the one that is compared."""

    day: date
    model: str
    kind: Kind
    usd: Decimal | None
    tokens: int | None
    places: int
    """Decimals that the amount was written with."""


class Invoice(msgspec.Struct):
    """A bill."""

    form: str
    lines: list[BillLine]
    left_out: dict[str, int]
    """Rows that are about something else, by what."""
    by_text: bool = False
    """Models are those that descriptions tell of."""

    @property
    def has_money(self) -> bool:
        """Tell whether it has amounts; an export of usage has tokens alone."""
        return any(line.usd is not None for line in self.lines)


class Form(msgspec.Struct, frozen=True):
    """Where a kind of bill has what; of several columns the first that is there and not empty counts."""

    name: str
    provider: str
    known_by: tuple[str, ...]
    """Columns that all have to be there."""
    day: tuple[str, ...]
    model: tuple[str, ...]
    usd: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    tokens_by_kind: tuple[tuple[str, Kind], ...] = ()
    currency: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    described: Literal["model", "text"] = "text"
    """Whether the model's column has its name, or it is in some text."""
    about: tuple[str, ...] = ()
    """Columns, in one of which one of `words` has to be."""
    words: tuple[str, ...] = ()


_MODELS = ("bedrock", "claude", "vertex", "gemini", "generative", "openai", "machine learning", "anthropic")
FORMS = (
    Form(
        "OpenAI costs",
        "openai",
        ("start_time", "amount_value", "line_item"),
        day=("start_time_iso", "start_time"),
        model=("line_item",),
        usd=("amount_value",),
        kind=("line_item",),
        tokens=("quantity",),
        unit=("quantity_unit",),
        currency=("amount_currency",),
        described="model",
    ),
    Form(
        "OpenAI usage",
        "openai",
        ("start_time", "model", "input_tokens", "output_tokens", "num_model_requests"),
        day=("start_time_iso", "start_time"),
        model=("model",),
        tokens_by_kind=(
            ("input_tokens", "input"),
            ("input_cached_tokens", "cached"),
            ("output_tokens", "output"),
        ),
        described="model",
    ),
    Form(
        "Anthropic cost",
        "anthropic",
        ("usage_date_utc", "cost_usd"),
        day=("usage_date_utc",),
        model=("model",),
        usd=("cost_usd",),
        kind=("token_type", "cost_type"),
        described="model",
    ),
    Form(
        "Anthropic usage",
        "anthropic",
        ("usage_date_utc", "model_version", "usage_input_tokens_no_cache"),
        day=("usage_date_utc",),
        model=("model_version",),
        tokens_by_kind=(
            ("usage_input_tokens_no_cache", "input"),
            ("usage_input_tokens_cache_read", "cached"),
            ("usage_input_tokens_cache_write_5m", "cache_write"),
            ("usage_input_tokens_cache_write_1h", "cache_write"),
            ("usage_output_tokens", "output"),
        ),
        described="model",
    ),
    Form(
        "AWS Cost and Usage Report",
        "bedrock",
        ("line_item_usage_start_date", "line_item_unblended_cost"),
        day=("line_item_usage_start_date",),
        model=("product_model", "product_product_name", "line_item_usage_type"),
        usd=("line_item_net_unblended_cost", "line_item_unblended_cost"),
        kind=("line_item_usage_type", "line_item_line_item_description"),
        currency=("line_item_currency_code",),
        about=("line_item_product_code", "product_product_name", "line_item_usage_type"),
        words=("bedrock", "claude"),
    ),
    Form(
        "FOCUS",
        "",
        ("charge_period_start", "billed_cost"),
        day=("charge_period_start",),
        model=("x_model", "resource_name", "sku_meter", "charge_description", "sku_id"),
        usd=("billed_cost",),
        kind=("x_token_kind", "x_token_type", "charge_description", "sku_meter"),
        currency=("billing_currency",),
        about=("service_category", "service_name", "charge_description"),
        words=(*_MODELS, "ai and"),
    ),
    Form(
        "Google Cloud billing",
        "gemini",
        ("service_description", "sku_description"),
        day=("usage_start_date", "usage_start_time", "usage_date"),
        model=("sku_description",),
        usd=("unrounded_cost", "cost", "unrounded_subtotal", "subtotal"),
        kind=("sku_description",),
        currency=("currency", "cost_currency"),
        about=("service_description", "sku_description"),
        words=_MODELS,
    ),
)
_ITEM = re.compile(r"^(?P<model>[^,]+?)(?:,\s*|\s+(?=(?:cached )?(?:input|output)\b)|$)")
_UNTOLD: Kind = ""
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(title: str) -> str:
    """Return a column's name as it is compared."""
    return re.sub(r"[^a-z0-9]+", "_", _SNAKE.sub("_", title.strip("\ufeff ")).lower()).strip("_")


def form_of(columns: Mapping[str, str]) -> Form:
    """Make a form from the columns that somebody names: date, model, usd, also kind and tokens."""
    known = {"date", "model", "usd", "kind", "tokens", "currency"}
    if unknown := columns.keys() - known:
        raise BadInvoice(f"--columns knows {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
    if missing := {"date", "usd"} - columns.keys():
        raise BadInvoice(f"--columns has to say where {' and '.join(sorted(missing))} is")
    at = {name: (snake(title),) for name, title in columns.items()}
    return Form(
        "your columns",
        "",
        tuple(one for (one,) in at.values()),
        day=at["date"],
        model=at.get("model", ()),
        usd=at["usd"],
        kind=at.get("kind", ()),
        tokens=at.get("tokens", ()),
        currency=at.get("currency", ()),
        described="model",
    )


def read_invoice(lines: Iterable[str], columns: Mapping[str, str] | None = None) -> Invoice:
    """Read a CSV file (or one with tabs or semicolons), line by line. Raises BadInvoice."""
    rows = iter(lines)
    first = next(rows, "")
    delimiter = max(",;\t", key=first.count)
    titles = [snake(title) for title in next(csv.reader([first], delimiter=delimiter), [])]
    form = form_of(columns) if columns else next((one for one in FORMS if _is(one, titles)), None)
    if form is None or not _is(form, titles):
        raise BadInvoice(_not_known(titles, form))
    invoice = Invoice(form.name, [], {}, by_text=form.described == "text")
    left_out = Counter[str]()
    for number, cells in enumerate(csv.reader(rows, delimiter=delimiter), 2):
        row = dict(zip(titles, (cell.strip() for cell in cells), strict=False))
        try:
            why_not = _left_out(form, row)
            if why_not:
                left_out[why_not] += 1
            else:
                invoice.lines.extend(_lines(form, row))
        except ValueError as error:
            raise BadInvoice(f"line {number}: {error}") from None
    invoice.left_out = dict(left_out)
    if not invoice.lines:
        raise BadInvoice(f"no line of it is about models (read as: {form.name})")
    return invoice


def _is(form: Form, titles: Sequence[str]) -> bool:
    return set(form.known_by) <= set(titles)


def _not_known(titles: Sequence[str], form: Form | None) -> str:
    found = ", ".join(titles[:12]) + (", ..." if len(titles) > 12 else "") if any(titles) else "nothing"
    if form is not None:
        missing = ", ".join(sorted(set(form.known_by) - set(titles)))
        return f"the first line has no column {missing}; it has {found}"
    wanted = "; ".join(f"{one.name}: {', '.join(one.known_by)}" for one in FORMS)
    return (
        f"the columns are of no bill that is known. Found: {found}. Expected one of: {wanted}. "
        "Say yourself where things are: --columns date=TITLE,model=TITLE,usd=TITLE"
    )


def _left_out(form: Form, row: Mapping[str, str]) -> str:
    """Say why a row does not count; empty: it does."""
    if not _first(form.day, row):
        return "without a date"
    if form.about:
        text = " ".join(row.get(column, "") for column in form.about).lower()
        if not any(word in text for word in form.words):
            return _first(form.about, row) or "something else"
    if form.usd and not _first(form.usd, row):
        return "without an amount"
    currency = _first(form.currency, row)
    if currency and currency.upper() != "USD":
        raise ValueError(f"the bill is in {currency.upper()}: the ledger is in US dollars")
    return ""


def _lines(form: Form, row: Mapping[str, str]) -> Iterator[BillLine]:
    day = _day(_first(form.day, row))
    model = _model(form, [value for column in form.model if (value := row.get(column, ""))])
    if form.tokens_by_kind:
        yield from _of_kinds(form, row, day, model)
        return
    text = _first(form.usd, row)
    usd = _amount(text)
    kinds = [kind for column in form.kind if (kind := kind_in(row.get(column, ""))) != _UNTOLD]
    kind = kinds[0] if kinds else _UNTOLD
    unit = _first(form.unit, row)
    counted = _first(form.tokens, row) if not form.unit or "token" in unit else ""
    tokens = int(_amount(counted)) if counted else None
    yield BillLine(day, model, kind, usd, tokens, max(-int(usd.as_tuple().exponent), 0))


def _of_kinds(form: Form, row: Mapping[str, str], day: date, model: str) -> Iterator[BillLine]:
    tokens = Counter[Kind]()
    for column, kind in form.tokens_by_kind:
        tokens[kind] += int(_amount(row.get(column) or "0"))
    if form.provider == "openai":
        # There, input tokens include those that were cached.
        tokens["input"] -= tokens["cached"]
    for kind, count in tokens.items():
        if count:
            yield BillLine(day, model, kind, None, count, 0)


def _model(form: Form, texts: Sequence[str]) -> str:
    if not texts:
        return ALL_MODELS
    if form.described == "text":
        return next(
            (name for text in texts if (name := model_in(text)) != canonical(text)), model_in(texts[0])
        )
    item = _ITEM.match(texts[0])
    return canonical(item["model"] if item and form.name == "OpenAI costs" else texts[0])


def _first(columns: Sequence[str], row: Mapping[str, str]) -> str:
    return next((value for column in columns if (value := row.get(column, ""))), "")


def _amount(text: str) -> Decimal:
    plain = text.replace("$", "").replace("USD", "").strip()
    negative = plain.startswith("(") and plain.endswith(")")
    plain = plain.strip("()").replace(" ", "")
    if "," in plain:
        last = plain.rpartition(",")[2]
        if "." in last or ("." not in plain and (len(last) == 3 or plain.count(",") > 1)):
            plain = plain.replace(",", "")
        else:
            plain = plain.replace(".", "").replace(",", ".")
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not amount.is_finite():
        raise ValueError(f"{text[:40]!r} is not an amount")
    return -amount if negative else amount


def _day(text: str) -> date:
    if text.isdecimal() and len(text) >= 9:
        return datetime.fromtimestamp(int(text), UTC).date()
    for pattern in ("%Y%m%d", "%m/%d/%Y", "%b %d, %Y", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text.replace(" UTC", "+00:00")).date()
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a date") from None
