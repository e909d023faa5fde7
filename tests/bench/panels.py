"""Time every panel over ten million rows: `PYTHONPATH=tests:. .venv/bin/python tests/bench/panels.py`.

The rows are generated inside the engine: 30 days with a daily rhythm, 40 tenants, 300 keys, 25 models, 12
backends, users and conversations, unevenly spread; a key is for a few routes, a route for a few models. Each
question is asked six times with terms for 30 days; the first answer is left out, the median of the others is
what counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contract.seeded_usage import opened_ledger

from gateway.exchange import Caller, Price, Rates
from gateway.finops.panels import PANELS
from gateway.finops.questions import Questions
from gateway.finops.searching import read_search
from gateway.finops.terms import exactly, read_terms
from gateway.stores.clickhouse.client import ClickHouse

GOAL_S = 1.0
TIMES = 5
DAYS = 30
BATCH = 400_000
ADMIN, TENANT = Caller("t0", "root", admin=True), Caller("t3", "k")

FILL = """
INSERT INTO ledger (* EXCEPT (booked))
WITH
    cityHash64(number) AS seed,
    -- Of the days, and of the hours of each, some have more calls than others.
    {now:UInt32} - 86400 * (29 - intDiv(number * 30, {rows:UInt64})) - 86399 AS day,
    (sipHash64(seed, 1) % 1000000) / 1e6 AS x,
    toUInt32(86400 * (x + 0.12 * sin(6.283 * x) / 6.283)) AS second,
    toUInt32(floor(300 * pow((sipHash64(seed, 3) % 100000) / 1e5, 2))) AS key_number,
    toUInt32(floor(40 * pow((key_number * 7 % 300) / 300, 1.5))) AS tenant_number,
    (key_number * 13 + toUInt32(floor(3 * pow((sipHash64(seed, 2) % 1000) / 1e3, 2)))) % 20 AS route_number,
    (route_number * 3 + toUInt32(floor(3 * pow((sipHash64(seed, 4) % 1000) / 1e3, 2)))) % 25 AS model_number,
    (sipHash64(seed, 5) % 100000) / 1e5 AS fate,
    toInt64(50 + floor(pow((sipHash64(seed, 6) % 100000) / 1e5, 3) * 20000)) AS input,
    toInt64(10 + floor(pow((sipHash64(seed, 7) % 100000) / 1e5, 3) * 4000)) AS output,
    if(sipHash64(seed, 8) % 3 = 0, intDiv(input, 2), 0) AS cached,
    toInt64(100000000 * (1 + model_number)) AS rate,
    fate < 0.02 AS is_refused,
    fate BETWEEN 0.02 AND 0.05 AS is_lost
SELECT
    toDateTime64(day + second, 3, 'UTC') AS time,
    concat('call_', lower(hex(seed)), lower(hex(number))) AS call,
    'charge' AS entry, 0 AS revision,
    if(is_refused, 0, 1) AS attempt, if(is_lost, 0, 1) AS calls, if(is_refused, 0, 1) AS attempts,
    'call' AS purpose, '' AS made_for,
    concat('t', toString(tenant_number)) AS tenant, concat('team', toString(key_number % 4)) AS team,
    concat('key', toString(key_number)) AS key,
    concat('u', toString(sipHash64(seed, 9) % 20000)) AS user,
    concat('c', toString(sipHash64(seed, 10) % 1500000)) AS conversation,
    [] AS tags, concat('route', toString(route_number)) AS route, '' AS rule,
    concat('route', toString(route_number)) AS asked_model,
    concat('backend', toString((model_number * 7 + if(fate < 0.1, 1, 0)) % 12)) AS backend,
    concat('model', toString(model_number)) AS model, '' AS answered_model, 'chat' AS format,
    '' AS translated_to, fate > 0.5 AS stream,
    multiIf(fate BETWEEN 0.05 AND 0.08, 'fallback', fate BETWEEN 0.08 AND 0.1, 'next', 'first') AS why,
    multiIf(is_refused, 429, fate > 0.99, 502, 200) AS status,
    multiIf(is_refused, 'refused', fate > 0.99, 'failed', fate > 0.98, 'client_gone', 'finished') AS ending,
    if(is_lost OR fate > 0.99, 'upstream_failed', '') AS cause,
    multiIf(is_refused, 'rate_limit_exceeded', fate > 0.99, 'upstream_failed', '') AS error,
    'stop' AS finish, '' AS cache, '' AS tier,
    if(is_refused, 0, input) AS input_tokens, if(is_refused, 0, output) AS output_tokens,
    if(is_refused, 0, cached) AS cached_tokens,
    0 AS cache_write_tokens, 0 AS cache_write_1h_tokens,
    if(is_refused, 0, intDiv(output, 3)) AS reasoning_tokens,
    0 AS audio_input_tokens, 0 AS audio_output_tokens, 0 AS image_input_tokens, 0 AS image_output_tokens,
    0 AS tool_use_tokens, 0 AS searches, 0 AS characters, 0 AS audio_ms,
    reinterpret(toInt128((input_tokens - cached_tokens) * rate), 'Decimal(38, 15)') AS cost_input,
    reinterpret(toInt128(cached_tokens * intDiv(rate, 10)), 'Decimal(38, 15)') AS cost_cached,
    0 AS cost_cache_write, 0 AS cost_audio_input, 0 AS cost_image_input,
    reinterpret(toInt128((output_tokens - reasoning_tokens) * rate * 6), 'Decimal(38, 15)') AS cost_output,
    reinterpret(toInt128(reasoning_tokens * rate * 6), 'Decimal(38, 15)') AS cost_reasoning,
    0 AS cost_audio_output, 0 AS cost_image_output, 0 AS cost_other,
    cost_input + cost_cached + cost_output + cost_reasoning AS cost,
    reinterpret(toInt128(cached_tokens * (rate - intDiv(rate, 10))), 'Decimal(38, 15)') AS saved,
    concat('public:p/model', toString(model_number), '@1') AS price,
    multiIf(is_refused, '', fate > 0.9, 'counted', 'reported') AS confidence,
    multiIf(is_lost, 'failed', fate > 0.99, 'failed', fate > 0.98, 'cancelled', '') AS waste,
    1 AS queue_ms, 2 AS connect_ms,
    if(is_refused, NULL, 200 + 1000 * pow((sipHash64(seed, 11) % 1000) / 1000, 4)) AS first_token_ms,
    first_token_ms AS attempt_ms,
    if(is_refused, NULL, first_token_ms + output * 12) AS total_ms,
    if(is_refused, NULL, 40 + sipHash64(seed, 12) % 80) AS output_per_s,
    'considered: all' AS decision, 'gateway' AS source
FROM numbers_mt({first:UInt64}, {count:UInt64})
"""


def fill(store: ClickHouse, rows: int, begun: int, now: int) -> None:
    """Generate the rows that are not there yet; no question here reads the minutes, which cost the most."""
    run(store, "DROP VIEW IF EXISTS usage_minute_feed", {})
    names = ("now", "rows", "first", "count")
    for first in range(-(-begun // BATCH) * BATCH, rows, BATCH):
        values = (now, rows, first, min(BATCH, rows - first))
        run(store, FILL, dict(zip(names, values, strict=True)))
        print(f"\r{first + BATCH:,} rows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def run(store: ClickHouse, sql: str, parameters: Mapping[str, Any]) -> None:
    """A statement, past the interface: this one writes."""
    client: Any = store._connected()
    client.command(sql, dict(parameters), settings={"max_partitions_per_insert_block": 0})


def questions_asked(questions: Questions, now: int) -> dict[str, Callable[[], object]]:
    def panel(name: str, caller: Caller, **query: str) -> Callable[[], object]:
        given = {"since": ("30d",)} | {key: (value,) for key, value in query.items()}
        terms = read_terms(given, caller, now)
        terms = exactly(given, terms, now) if PANELS[name].is_raw else terms
        return lambda: questions.panel(name, terms)

    def usage(**query: str) -> Callable[[], object]:
        terms = read_terms({key: (value,) for key, value in query.items()}, ADMIN, now)
        return lambda: questions.usage(terms)

    def calls(caller: Caller, **query: str) -> Callable[[], object]:
        given = {"since": ("30d",)} | {key: (value,) for key, value in query.items()}
        terms = exactly(given, read_terms(given, caller, now, tuple(given)), now)
        return lambda: questions.calls(terms, read_search(given))

    asked = {name: panel(name, ADMIN) for name in PANELS}
    asked |= {f"{name}, one tenant": panel(name, TENANT) for name in ("totals", "series", "latency", "users")}
    asked["totals, 7 days"] = panel("totals", ADMIN, since="7d")
    asked["latency, 7 days"] = panel("latency", ADMIN, since="7d")
    asked["latency, 24 hours"] = panel("latency", ADMIN, since="24h")
    asked["usage by tenant, model"] = usage(by="tenant,model", since="30d")
    asked["usage by key, daily"] = usage(by="key", step="day", since="30d", limit="10000")
    asked["calls, newest"] = calls(ADMIN)
    asked["calls, newest of a tenant"] = calls(TENANT)
    asked["calls of a user"] = calls(ADMIN, user="u77")
    asked["calls, waste"] = calls(ADMIN, waste="failed", backend="backend3")
    asked["calls, dearest"] = calls(ADMIN, min_cost_usd="0.1")
    call = questions.calls(read_terms({}, ADMIN, now), read_search({}))[0].rows[0][0]
    asked["one call"] = lambda: questions.call(call, ())
    return asked


def timed(question: Callable[[], object]) -> list[float]:
    question()
    seconds = list[float]()
    for _ in range(TIMES):
        began_s = time.perf_counter()
        question()
        seconds.append(time.perf_counter() - began_s)
    return seconds


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=10_000_000)
    given.add_argument("--keep", type=Path, help="a state directory to fill once and to use again")
    given.add_argument("--only", default="", help="only questions with this in their name")
    options = given.parse_args()
    slow = 0
    with ExitStack() as stack:
        folder = options.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-bench-")))
        store = stack.enter_context(opened_ledger(folder))
        count, first = store.query("SELECT count(), toUnixTimestamp(min(time)) FROM ledger", {}).rows[0]
        now = first + DAYS * 86_400 if count else int(time.time())
        fill(store, options.rows, count, now)
        for table in ("ledger", "usage_minute", "usage_hour", "usage_day"):
            [[rows]] = store.query("SELECT count() FROM {table:Identifier}", {"table": table}).rows
            print(f"{table:30} {rows:>12,} rows")
        rates = Rates.plain(1_250_000_000, 10_000_000_000)
        asked = questions_asked(Questions(store, lambda: Price.flat("base", rates)), now)
        print(f"\n{'question':30} {'median':>8} {'slowest':>8}")
        for name, question in asked.items():
            if options.only in name:
                seconds = timed(question)
                median = statistics.median(seconds)
                slow += median > GOAL_S
                print(f"{name:30} {median:7.3f}s {max(seconds):7.3f}s{' !' * (median > GOAL_S)}", flush=True)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
