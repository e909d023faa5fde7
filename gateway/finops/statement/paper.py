"""Write a statement as a page to print: A4, one file, nothing from elsewhere. Pure; every amount is exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from zoneinfo import ZoneInfo

from gateway.exchange.price import DEFAULT
from gateway.finops.statement.bookings import KINDS, dollars, text_of
from gateway.finops.statement.composing import Line, Statement, total_of

_STYLE = """
@page { size: A4 landscape; margin: 14mm 12mm 16mm;
  @bottom-left { content: "TITLE"; font: 8pt system-ui, sans-serif; color: #555 }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt system-ui, sans-serif } }
:root { color-scheme: light }
body { font: 9pt/1.4 system-ui, "Segoe UI", Roboto, sans-serif; color: #111; background: #fff;
  margin: 0 auto; max-width: 273mm; padding: 8mm }
h1 { font-size: 17pt; margin: 0 } h2 { font-size: 11.5pt; margin: 7mm 0 1.5mm; break-after: avoid }
.sub { color: #555; margin: 0 0 5mm } .total { font-size: 15pt; font-weight: 650 }
p { margin: 1mm 0; max-width: 180mm }
table { border-collapse: collapse; width: 100%; font-size: 8pt } thead { display: table-header-group }
tr { break-inside: avoid } th { text-align: left; font-weight: 600; border-bottom: 1.2pt solid #111 }
th, td { padding: .8mm 2.2mm .8mm 0; vertical-align: top } td { border-bottom: .4pt solid #ccc }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
tfoot { display: table-row-group }
tfoot td { font-weight: 650; border-top: 1.2pt solid #111; border-bottom: 0 }
.notes { border-left: 2pt solid #b35900; padding-left: 3mm }
td small { color: #555; display: block; white-space: nowrap }
@media print { body { padding: 0; max-width: none } }
"""
_WHY = {
    "failed": "the attempt failed",
    "cancelled": "the client had left",
    "hedged": "another attempt was faster",
    "shadow": "asked for comparison only",
}
_ABOUT = {
    "usage": ("Usage", ""),
    "waste": ("Spent in vain", "What was paid for and nobody had anything of; not part of the usage above."),
    "correction": (
        "Corrections",
        "What was booked back, and booked anew with another price, of calls of this month.",
    ),
    "credit": ("Credits", "Corrections of earlier months that were booked in this one."),
}
_CONFIDENCE = {
    "reported": "reported by the provider",
    "counted": "counted by the gateway",
    "estimated": "estimated by the gateway",
}

SUMMED = (
    "Single attempts of this month are not kept any more. This is made of their sums, with all corrections "
    "of them, whenever they were booked."
)

Cell = tuple[str, bool]
"""Its HTML, and whether it is a number."""


def as_html(statement: Statement, now_unix_s: float) -> str:
    """Write a statement for people."""
    title = f"Statement {statement.month.name}: {statement.name or statement.tenant}"
    digits = _digits(statement)
    in_style = escape(title).replace("\\", "").replace("\n", " ")
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE.replace('TITLE', in_style)}</style></head><body>",
            *_head(statement, now_unix_s),
            *_notes(statement),
            *_teams(statement, digits),
            *(text for part, lines in statement.parts if lines for text in _part(part, lines, digits)),
            *_prices(statement, digits),
            *_shares(statement, digits),
            "</body></html>\n",
        )
    )


def _head(statement: Statement, now_unix_s: float) -> Iterator[str]:
    month = statement.month
    zone = ZoneInfo(month.timezone)
    since, until = (datetime.fromtimestamp(edge, zone) for edge in (month.since_s, month.until_s))
    made = datetime.fromtimestamp(now_unix_s, UTC)
    yield f"<h1>{escape(statement.name or statement.tenant)}</h1>"
    yield (
        f'<p class="sub">Statement for {escape(month.name)} · tenant {escape(statement.tenant)} · '
        f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}, {escape(month.timezone)} · "
        f"made {made:%Y-%m-%d %H:%M} UTC</p>"
    )
    yield f'<p class="total">Total US$ {_usd(statement.total)}</p>'
    parts = [f"{_ABOUT[part][0].lower()} {_usd(total_of(lines))}" for part, lines in statement.parts if lines]
    yield f"<p>{escape(' + '.join(parts)) or 'Nothing was used.'}</p>"


def _notes(statement: Statement) -> Iterator[str]:
    """Say what the reader could be mistaken about."""
    notes = []
    if statement.is_demo:
        notes.append("This is demo data: no provider was ever asked or paid.")
    if statement.is_open:
        notes.append("The month is not over: amounts will grow.")
    if statement.is_summed:
        notes.append(SUMMED)
    unsure = sum(share.cost for share in statement.shares if share.confidence != "reported")
    if unsure:
        notes.append(
            f"US$ {_usd(unsure)} of the total rest on tokens that the provider did not report; "
            "its invoice may differ by part of that."
        )
    if guessed := sum(price.cost for price in statement.prices if price.version.startswith(DEFAULT)):
        notes.append(
            f"US$ {_usd(guessed)} of the total are a guess: of models without a known price, at the price "
            "that was declared for all such."
        )
    if statement.unpriced_attempts:
        notes.append(
            f"{statement.unpriced_attempts:,} attempts went to models without a known price. "
            "They cost nothing here, which is not to say that they were free."
        )
    if notes:
        yield '<div class="notes">' + "".join(f"<p>{escape(note)}</p>" for note in notes) + "</div>"


def _teams(statement: Statement, digits: int) -> Iterator[str]:
    teams = statement.teams
    if not teams:
        return
    yield "<h2>By team</h2>"
    columns = ("useful", "wasted", "corrected", "cost")
    rows = [
        (
            _text(one.team or "(none)"),
            _count(one.calls),
            *(_amount(getattr(one, name), digits) for name in columns),
        )
        for one in teams
    ]
    sums = [sum(getattr(one, name) for one in teams) for name in columns]
    yield _table(
        ("Team", "Calls", "Usage, US$", "In vain, US$", "Corrections, US$", "Total, US$"),
        rows,
        (_text("Total"), _count(sum(one.calls for one in teams)), *(_amount(one, digits) for one in sums)),
    )


def _part(part: str, lines: Sequence[Line], digits: int) -> Iterator[str]:
    title, about = _ABOUT[part]
    yield f"<h2>{title}</h2>"
    if about:
        yield f"<p>{about}</p>"
    kinds = [kind for kind in KINDS if any(line.costs[kind.name] or _used(line, kind.name) for line in lines)]
    names = ("Team", "Key", "Route", "Model", *(("Why",) if part == "waste" else ()), "Calls", "Attempts")
    rows = [
        (
            *(_text(line.team or "-"), _text(line.key), _text(line.route), _text(_model(line))),
            *((_text(_WHY.get(line.waste, line.waste)),) if part == "waste" else ()),
            *(_count(line.calls), _count(line.attempts)),
            *(_kind(line, kind.name, digits) for kind in kinds),
            _amount(line.cost, digits),
        )
        for line in lines
    ]
    blank = [_text("")] * (len(names) - 3)
    total = (
        *(_text("Total"), *blank),
        *(_count(sum(line.calls for line in lines)), _count(sum(line.attempts for line in lines))),
        *(_amount(sum(line.costs[kind.name] for line in lines), digits) for kind in kinds),
        _amount(total_of(lines), digits),
    )
    yield _table((*names, *(f"{kind.title}, US$" for kind in kinds), "Cost, US$"), rows, total)


def _prices(statement: Statement, digits: int) -> Iterator[str]:
    if not statement.prices:
        return
    yield "<h2>Prices</h2><p>US$ for a million tokens; a dash: not used; *: several, by length or class.</p>"
    kinds = [kind for kind in KINDS if any(kind.name in price.rates for price in statement.prices)]
    rows = [
        (
            *(_text(price.version), _text(", ".join(price.models))),
            *(_rate(price.rates, kind.name) for kind in kinds),
            _amount(price.cost, digits),
        )
        for price in statement.prices
    ]
    yield _table(("Version", "Model", *(kind.title for kind in kinds), "Cost, US$"), rows, ())


def _shares(statement: Statement, digits: int) -> Iterator[str]:
    if not statement.shares:
        return
    yield "<h2>How sure this is</h2>"
    whole = sum(abs(one.cost) for one in statement.shares)
    rows = [
        (
            _text(_CONFIDENCE.get(one.confidence, one.confidence)),
            _count(one.attempts),
            _amount(one.cost, digits),
            (f"{100 * abs(one.cost) / whole:.2f} %" if whole else "-", True),
        )
        for one in statement.shares
    ]
    yield _table(("Tokens were", "Attempts", "Cost, US$", "Share"), rows, ())


def _table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], total: Sequence[Cell]) -> str:
    lines = list(rows)
    numbers = [is_number for _, is_number in (lines or [total])[0]]
    head = "".join(
        f'<th class="n">{escape(title)}</th>' if is_number else f"<th>{escape(title)}</th>"
        for title, is_number in zip(titles, numbers, strict=True)
    )
    body = "".join(_row(line) for line in lines)
    foot = f"<tfoot>{_row(total)}</tfoot>" if total else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table>"


def _row(cells: Iterable[Cell]) -> str:
    written = (f'<td class="n">{text}</td>' if is_number else f"<td>{text}</td>" for text, is_number in cells)
    return f"<tr>{''.join(written)}</tr>"


def _text(text: str) -> Cell:
    return escape(text), False


def _count(number: int) -> Cell:
    return f"{number:,}", True


def _amount(femtousd: int, digits: int) -> Cell:
    return _usd(femtousd, digits), True


def _digits(statement: Statement) -> int:
    """Return how many decimals the amounts need, so that all stand in line."""
    amounts = {cost for _, lines in statement.parts for line in lines for cost in line.costs.values()}
    return max((len(text_of(dollars(amount)).partition(".")[2]) for amount in amounts), default=2)


def _usd(femtousd: int, digits: int = 2) -> str:
    whole, _, rest = text_of(dollars(femtousd), digits).partition(".")
    return f"{int(whole):,}.{rest}" if whole != "-0" else f"-0.{rest}"


def _kind(line: Line, kind: str, digits: int) -> Cell:
    """Write what a kind cost, and below it how much there was and at which price."""
    number = line.quantities[kind]
    if not number and not line.costs[kind]:
        return "-", True
    rate = line.rates.get(kind)
    below = f"{number:,}" if rate is None else f"{number:,} at {text_of(rate)}/M"
    return f"{_usd(line.costs[kind], digits)}<small>{below}</small>", True


def _used(line: Line, kind: str) -> bool:
    return kind != "other" and line.quantities[kind] != 0


def _rate(rates: dict[str, Decimal | None], kind: str) -> Cell:
    if kind not in rates:
        return "-", True
    rate = rates[kind]
    return "*" if rate is None else text_of(rate), True


def _model(line: Line) -> str:
    return f"{line.backend}/{line.model}" if line.backend else "(no upstream)"
