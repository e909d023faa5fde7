"""What is made of what was seen: each judgement on its edges."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest

from gateway.commands.doctor.checks.backends import judge_credential, judge_health
from gateway.commands.doctor.checks.clocks import judge_clocks
from gateway.commands.doctor.checks.counters import judge_alone, judge_redis
from gateway.commands.doctor.checks.database import judge_callers
from gateway.commands.doctor.checks.database import judge_database as judge_keys
from gateway.commands.doctor.checks.ledger import judge_database, judge_down, judge_meter, judge_spool
from gateway.commands.doctor.checks.machine import (
    Folder,
    judge_disk,
    judge_files,
    judge_folder,
    judge_shared_memory,
    look_at_folder,
)
from gateway.commands.doctor.checks.packages import Pin, judge_packages, pins
from gateway.commands.doctor.checks.receiver import judge_answer
from gateway.commands.doctor.checks.serving import judge_readiness
from gateway.commands.doctor.finding import Clock, State
from gateway.commands.doctor.reaching import Reach
from gateway.compose.examining import KeysFacts, LedgerFacts, RedisFacts
from gateway.errors import Failed, QuotaSpent, RateLimited, Refused, Rejected, UpstreamError
from gateway.exchange import Credential
from gateway.finops.meter import MeterState
from gateway.upstream.free_questions import Heard

NOW_S = 1_800_000_000.0
MIB, GIB = 1 << 20, 1 << 30
KEY = Credential("openai#1", "sk-x")
REDIS = RedisFacts("Redis", "7.2.4", "master", 0.0004, 0.0, 0, "noeviction", is_kept=True)
LEDGER = LedgerFacts("26.9.1", 0.001, 0.0, 4, 4)
FOLDER = Folder(
    path="state", is_there=True, is_folder=True, is_writable=True, mode=0o700, free_bytes=100 * GIB
)


def heard(status: int = 200, body: bytes = b"") -> Heard:
    return Heard(status, (), body, 0.012)


@pytest.mark.parametrize(
    ("status", "error", "state", "seen"),
    [
        (200, None, "ok", "is accepted"),
        (401, Refused("Incorrect API key"), "fail", "is refused with 401: Incorrect API key"),
        (403, Refused("Country not supported"), "fail", "is refused with 403: Country not supported"),
        (403, Refused("Missing scopes: api.model.read"), "warn", "may not list models"),
        (400, Refused("API key not valid"), "fail", "is refused with 400"),
        (429, RateLimited("slower"), "ok", "its rate is used up"),
        (429, QuotaSpent("no credit"), "warn", "has nothing left (429: no credit)"),
        (404, Rejected("not found"), "skipped", "no list of models"),
        (500, Failed("oops"), "warn", "the answer is 500: oops"),
    ],
)
def test_a_credential_is_judged_by_the_answer_to_it(
    status: int, error: UpstreamError | None, state: State, seen: str
) -> None:
    found = judge_credential(KEY, heard(status), heard(401), error, "put another one")
    assert (found.name, found.state) == ("credential openai#1", state)
    assert seen in found.seen
    assert bool(found.todo) == (state in {"warn", "fail"})


def test_an_answer_that_needs_no_credential_tells_nothing_about_it() -> None:
    assert judge_credential(KEY, heard(), heard(), None, "").state == "skipped"
    assert judge_credential(KEY, "no answer within 6 s", heard(), None, "").seen == (
        "not tried: no answer within 6 s"
    )


@pytest.mark.parametrize(("days", "state"), [(13, "warn"), (15, "ok")])
def test_a_certificate_that_ends_soon_is_warned_of(days: int, state: State) -> None:
    found = judge_health("backend a", Reach("a:443", certificate_s=days * 86_400 + 1), heard(404))
    assert found.state == state
    assert f"{days} days" in found.seen


def test_clocks_that_go_together_are_well_and_the_odd_one_is_named() -> None:
    assert judge_clocks([])[0].state == "skipped"
    (well,) = judge_clocks([Clock("redis", 1.9, 0.0), Clock("ledger", -2.5, 0.6)])
    assert (well.state, well.seen) == ("ok", "this machine's clock goes with that of redis, ledger")
    (odd,) = judge_clocks([Clock("redis", 0.0, 0.0), Clock("a", 90.0, 1.0), Clock("b", 0.1, 1.0)])
    assert (odd.state, odd.seen) == ("warn", "the clock of a is 90.0 s ahead of ours, and others are not")


@pytest.mark.parametrize(("ahead_s", "state"), [(-30.0, "warn"), (-90.0, "fail")])
def test_a_clock_that_most_others_disagree_with_is_ours(ahead_s: float, state: State) -> None:
    (found,) = judge_clocks([Clock("a", ahead_s, 0.1), Clock("b", ahead_s, 0.1), Clock("c", 0.0, 0.1)])
    assert found.state == state
    assert found.seen == f"this machine's clock is {-ahead_s:.1f} s ahead of that of a, b"


@pytest.mark.parametrize(
    ("change", "state", "seen"),
    [
        ({}, "ok", "Redis 7.2.4 answers in 0.4 ms"),
        ({"version": "6.0.16"}, "fail", "Redis 6.0.16 is too old"),
        ({"version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"role": "slave"}, "fail", "it is a replica"),
        ({"round_trip_s": 0.02}, "warn", "a round trip takes 20 ms"),
        ({"round_trip_s": 0.3}, "fail", "a round trip takes 300 ms"),
        ({"when_full": "allkeys-lru"}, "ok", "answers"),
        ({"when_full": "allkeys-lru", "most_memory_bytes": MIB}, "fail", "forgets counters (allkeys-lru)"),
        ({"is_kept": False}, "warn", "writes nothing to a disk"),
        ({"is_kept": None}, "ok", "answers"),
    ],
)
def test_a_redis_is_judged_by_what_limits_need(change: dict[str, object], state: State, seen: str) -> None:
    (found,) = judge_redis(msgspec.structs.replace(REDIS, **change))
    assert found.state == state
    assert seen in found.seen


def test_workers_without_redis_fail_only_where_there_are_limits() -> None:
    assert judge_alone(1, 3).state == "skipped"
    assert judge_alone(4, 0).state == "skipped"
    assert (judge_alone(4, 3).state, judge_alone(4, 3).todo) == (
        "fail",
        "Write into routing.yaml: server: {redis_url: '${REDIS_URL}'}",
    )


@pytest.mark.parametrize(("schema", "state"), [(None, "warn"), (3, "warn"), (4, "ok"), (5, "fail")])
def test_the_ledgers_tables_have_to_be_ours(schema: int | None, state: State) -> None:
    assert judge_database(msgspec.structs.replace(LEDGER, schema=schema)).state == state


def test_only_a_server_that_is_down_fails_for_our_own_engine_runs_with_the_gateway() -> None:
    assert judge_down("ClickHouse is not reachable", is_ours=False).state == "fail"
    assert judge_down("the embedded ClickHouse is not running", is_ours=True).state == "skipped"


@pytest.mark.parametrize(
    ("meter", "states"),
    [
        (MeterState(at=NOW_S - 1), ["ok"]),
        (MeterState(at=NOW_S - 1, lag_s=61), ["warn"]),
        (MeterState(at=NOW_S - 61), ["warn"]),
        (MeterState(at=NOW_S - 1, problem="down"), ["fail"]),
        (MeterState(at=NOW_S - 1, set_aside=2), ["warn", "ok"]),
    ],
)
def test_the_meter_is_judged_by_what_it_said_last(meter: MeterState, states: list[State]) -> None:
    assert [finding.state for finding in judge_meter(meter, NOW_S)] == states


@pytest.mark.parametrize(("share", "state"), [(0.49, "ok"), (0.6, "warn"), (0.95, "fail")])
def test_a_spool_that_fills_is_warned_of_before_it_is_full(share: float, state: State) -> None:
    assert judge_spool(int(share * GIB), GIB).state == state


@pytest.mark.parametrize(
    ("revision", "state"), [(None, "warn"), ("0002", "warn"), ("0003", "ok"), ("0004", "fail")]
)
def test_the_database_of_keys_has_to_have_our_schema(revision: str | None, state: State) -> None:
    assert judge_keys(KeysFacts(revision, "0003")).state == state


def test_a_gateway_that_nobody_can_call_is_warned_of() -> None:
    assert judge_callers(0, 0, is_token=False).todo == "forebay keys create --tenant NAME"
    assert judge_callers(0, 0, is_token=True).state == "ok"
    assert judge_callers(0, 1, is_token=False).state == "ok"
    assert judge_callers(0, None, is_token=False).state == "skipped"


@pytest.mark.parametrize(
    ("change", "state", "todo"),
    [
        ({}, "ok", ""),
        ({"is_there": False, "mode": 0o755}, "ok", ""),
        ({"mode": 0o750}, "warn", "chmod 700 state"),
        ({"is_writable": False}, "fail", "install -d -m 700"),
        ({"is_folder": False}, "fail", "--state DIR"),
    ],
)
def test_the_state_directory_is_writable_by_its_user_alone(
    change: dict[str, object], state: State, todo: str
) -> None:
    found = judge_folder(msgspec.structs.replace(FOLDER, **change))
    assert found.state == state
    assert todo in found.todo


def test_a_state_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    seen = look_at_folder(tmp_path / "a" / "b")
    assert (seen.is_there, seen.is_folder, seen.is_writable) == (False, True, True)
    (tmp_path / "file").touch()
    assert not look_at_folder(tmp_path / "file").is_folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(("free_bytes", "state"), [(4 * GIB, "ok"), (2 * GIB, "warn"), (100 * MIB, "fail")])
def test_a_disk_has_room_for_what_may_wait(free_bytes: int, state: State) -> None:
    assert judge_disk(msgspec.structs.replace(FOLDER, free_bytes=free_bytes), 2 * GIB).state == state


def test_the_limit_of_open_files_is_for_one_worker_at_its_most() -> None:
    assert judge_files(1024, 4096, 1024).state == "ok"
    assert judge_files(resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1 << 30).state == "ok"
    few = judge_files(1024, 4096, 2000)
    assert (few.state, few.todo.split(" (")[0]) == ("warn", "ulimit -n 2000")
    assert judge_files(1024, 1500, 2000).todo.startswith("raise the hard limit (systemd: LimitNOFILE=2000)")


def test_workers_share_metrics_in_memory_where_there_is_room() -> None:
    assert judge_shared_memory(GIB, is_writable=True).state == "ok"
    assert judge_shared_memory(MIB, is_writable=True).state == "warn"
    assert judge_shared_memory(0, is_writable=False).state == "skipped"


def test_packages_of_another_version_are_named_and_extras_may_be_missing() -> None:
    wanted = list(
        pins(["a==1.0", "b[x]==2.0", 'c==3.0; extra == "more"', 'd==4.0; python_version < "3.14"', "e>=5"])
    )
    assert wanted == [
        Pin("a", "1.0", is_optional=False),
        Pin("b", "2.0", is_optional=False),
        Pin("c", "3.0", is_optional=True),
        Pin("d", "4.0", is_optional=True),
    ]
    here = {"a": "1.0", "b": "2.0"}
    assert judge_packages("0.1.0", wanted, lambda name: here.get(name, "")).state == "ok"
    here = {"b": "2.1", "c": "3.1"}
    odd = judge_packages("0.1.0", wanted, lambda name: here.get(name, ""))
    assert odd.seen == "a is missing (wanted: 1.0); b 2.1 (wanted: 2.0); c 3.1 (wanted: 3.0)"
    assert odd.todo == "pip install --upgrade forebay==0.1.0"


@pytest.mark.parametrize(
    ("answer", "state"),
    [(heard(), "ok"), (heard(403), "fail"), (heard(404), "fail"), ("no answer within 6 s", "fail")],
)
def test_a_receiver_has_to_take_an_export(answer: Heard | str, state: State) -> None:
    assert judge_answer("there:4318", "traces", answer).state == state


@pytest.mark.parametrize(
    ("body", "state", "seen"),
    [
        (b'{"ready": true, "parts": {"keys": {"ok": true}}}', "ok", "is ready: keys"),
        (
            b'{"ready": false, "parts": {"keys": {"ok": false, "detail": "stale"}, "server": {"ok": true}}}',
            "fail",
            "is not ready: keys: stale",
        ),
        (b"<html>", "warn", "something else answers"),
        (b'{"status": "fine"}', "warn", "something else answers"),
    ],
)
def test_a_running_gateway_is_judged_by_what_it_says(body: bytes, state: State, seen: str) -> None:
    found = judge_readiness("127.0.0.1:4000", heard(200, body))
    assert found.state == state
    assert seen in found.seen
