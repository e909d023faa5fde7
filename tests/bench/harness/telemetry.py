"""What telling of calls costs: calls a second with metrics and some traces, and how late the loop gets."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path

from harness.children import HOST, BenchError
from harness.load import Rounds
from harness.table import Row

SAMPLE = 0.1
GOAL = 0.85
_LAG = re.compile(r'^forebay_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', re.MULTILINE)


def tell(config: Path, receiver_port: int, *, everything: bool) -> None:
    """Write policies/telemetry.yaml: metrics and traces, or nothing at all."""
    told = {
        "otlp": {"endpoint": f"http://{HOST}:{receiver_port}"},
        "traces": {"sample": SAMPLE},
        "metrics": {"enabled": True, "every_s": 2},
    }
    text = json.dumps(told if everything else {"metrics": {"enabled": False}})
    (config / "policies" / "telemetry.yaml").write_text(text)


def loop_lag_ms(port: int) -> float:
    """How late the event loop was in 99 of 100 looks, at most, in milliseconds: a bucket's upper bound."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    buckets = [(float(bound), float(count)) for bound, count in _LAG.findall(text)]
    if not buckets or not buckets[-1][1]:
        raise BenchError("the gateway tells no lag of its event loop")
    whole = buckets[-1][1]
    return 1000 * next(bound for bound, count in buckets if count >= 0.99 * whole)


def percent(share: float) -> str:
    """Write a share as per cent, with the space that SI wants."""
    return f"{100 * share:.0f} %"


def telling_rows(silent: Rounds, telling: Rounds, lag_ms: float) -> list[Row]:
    """Calls a second of both, and the lag of the one that tells."""
    ratio = telling.per_s / silent.per_s
    what = f"calls on one core with metrics and {percent(SAMPLE)} of traces, against telemetry off"
    shown, goal = percent(ratio), f">= {percent(GOAL)}"
    return [
        Row(what, f"{silent.per_s:,.0f}/s", f"{telling.per_s:,.0f}/s", shown, goal, ratio >= GOAL),
        Row("lag of the event loop under that load, p99", "", f"<= {lag_ms:g} ms"),
    ]
