"""What a worker enters is in the spool when it returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.exchange import Attempt, Price, Rates, Record, Usage
from gateway.ledger.ledger import Ledger
from gateway.ledger.reading import Batch, SpoolReader
from gateway.ledger.spool import Spool, SpoolSettings

PRICE = Price.flat("own:gpt@1", Rates.plain(1, 2))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    spool = Spool(SpoolSettings(tmp_path, 1 << 30))
    yield Ledger(spool, lambda record: ("", "", record.call_id))
    spool.close()


def a_record(usage: Usage | None, tenant: str = "acme") -> Record:
    record = Record("call_1", "chat", 1.0, tenant=tenant, ending="finished", status=200)
    record.attempts = [Attempt("openai", "gpt", 1.0, usage=usage, price=PRICE, transcript=lambda: "word")]
    return record


def all_of(folder: Path) -> list[Batch]:
    return list(SpoolReader(folder).batches())


def test_a_call_is_there_at_once_with_its_price(tmp_path: Path, ledger: Ledger) -> None:
    assert ledger.book(a_record(Usage(3, 4)), 2.0) is None
    ledger.book(a_record(Usage(5, 6)), 2.0)
    (batch,) = all_of(tmp_path)
    assert [(one.input_tokens, one.cost, one.decision) for one in batch.rows["ledger"]] == [
        (3, 11, "call_1"),
        (5, 17, "call_1"),
    ]
    (price,) = batch.rows["prices"]
    assert (price.version, price.backend, price.model) == ("own:gpt@1", "openai", "gpt")
    assert msgspec.json.decode(price.rates, type=Price) == PRICE


def test_what_is_not_told_is_there_by_an_estimate_and_anew_once_it_was_counted(
    tmp_path: Path, ledger: Ledger
) -> None:
    record = a_record(None)
    again = ledger.book(record, 2.0, record.attempts)
    assert again is not None
    record.attempts[0].usage = Usage(7, 8, origin="counted")
    again()
    (batch,) = all_of(tmp_path)
    assert [(one.entry, one.output_tokens, one.confidence) for one in batch.rows["ledger"]] == [
        ("charge", 1, "estimated"),
        ("reversal", -1, "estimated"),
        ("rebooking", 8, "counted"),
    ]


def test_without_room_what_cost_nothing_gives_way(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(tmp_path, 0))
    ledger = Ledger(spool, lambda _: ("", "", ""))
    turned_away = a_record(Usage(3, 4))
    turned_away.attempts = []
    ledger.book(turned_away, 2.0)
    assert not spool._kept
    ledger.book(a_record(Usage(3, 4)), 2.0)
    assert len(spool._kept) == 2  # the entry, and its price
    spool.close()


def test_calls_of_nobody_are_not_kept(tmp_path: Path, ledger: Ledger) -> None:
    assert ledger.book(a_record(Usage(3, 4), tenant=""), 2.0) is None
    assert all_of(tmp_path) == []
