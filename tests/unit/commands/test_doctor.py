"""How checks are run side by side, shown, and kept from telling secrets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.commands.doctor.checks.configuration import judge_configuration, judge_errors
from gateway.commands.doctor.finding import Check, Finding, Told, fail, ok, skipped, warn
from gateway.commands.doctor.running import aside, run_checks
from gateway.commands.doctor.secrets import without_secrets
from gateway.commands.doctor.table import as_json, as_lines, is_well
from gateway.compose.examining import Approach
from gateway.compose.reading import load_config
from gateway.errors import ConfigErrors, Refused
from gateway.exchange import Credential

SECRET = "sk-planted-0123456789"
PASSWORD = "p/w-planted-42"


def check_of(name: str, *told: Told) -> Check:
    async def work() -> Sequence[Told]:
        return told

    return Check("machine", name, work)


def found(*checks: Check, within_s: float = 5.0) -> list[Told]:
    return asyncio.run(run_checks(checks, within_s))


def test_findings_come_in_the_order_of_their_checks() -> None:
    assert found(check_of("a", ok("a", "1"), ok("a", "2")), check_of("b", ok("b", "3"))) == [
        ok("a", "1"),
        ok("a", "2"),
        ok("b", "3"),
    ]
    assert found() == []


def test_a_check_that_does_not_end_is_given_up_and_the_others_are_told() -> None:
    async def hangs() -> Sequence[Told]:
        await asyncio.Event().wait()
        return ()

    late, well = found(Check("redis", "redis", hangs), check_of("b", ok("b", "3")), within_s=0.05)
    assert isinstance(late, Finding)
    assert (late.name, late.state, late.seen) == ("redis", "fail", "it did not answer within 0.05 s")
    assert "--only redis" in late.todo
    assert well == ok("b", "3")


def test_a_thread_that_blocks_does_not_keep_the_end_waiting() -> None:
    released = threading.Event()

    async def blocks() -> Sequence[Told]:
        await aside(released.wait)
        return ()

    try:
        (late,) = found(Check("ledger", "ledger", blocks), within_s=0.05)
        assert isinstance(late, Finding)
        assert late.state == "fail"
    finally:
        released.set()


def test_what_a_thread_gives_and_raises_comes_back() -> None:
    assert asyncio.run(aside(lambda: 7)) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(aside(lambda: int("x")))


def test_a_check_that_fails_itself_says_so_without_the_text_of_its_error() -> None:
    async def fails() -> Sequence[Told]:
        raise RuntimeError(f"cannot reach https://user:{PASSWORD}@host")

    (told,) = found(Check("receiver", "receiver", fails))
    assert isinstance(told, Finding)
    assert told.seen == "this check has failed itself (RuntimeError)"


def test_the_table_has_a_line_for_each_and_what_to_do_below() -> None:
    findings = [ok("disk", "5 MiB are free"), warn("open files", "few\x1b[31m", "ulimit -n 9")]
    assert as_lines([*findings, skipped("redis", "none")]).splitlines() == [
        "ok       disk        5 MiB are free",
        "warn     open files  few?[31m",
        "                     -> ulimit -n 9",
        "skipped  redis       none",
        "1 warn, 1 ok, 1 skipped",
    ]


def test_json_tells_whether_all_is_well() -> None:
    findings = [ok("disk", "free"), fail("redis", "gone", "start it")]
    told = json.loads(as_json(findings))
    assert told["ok"] is is_well(findings) is False
    assert told["checks"][1] == {"name": "redis", "state": "fail", "seen": "gone", "todo": "start it"}
    assert json.loads(as_json(findings[:1]))["ok"] is True


def test_errors_of_the_files_are_told_where_they_are(place: Path) -> None:
    (place / "routing.yaml").write_text("routes: {}\n")
    with pytest.raises(ConfigErrors) as wrong:
        load_config(place)
    told = judge_errors(wrong.value.errors)
    assert all(finding.state == "fail" for finding in told)
    assert told[0].seen.startswith(f"{place / 'routing.yaml'}:")


def test_routes_that_are_off_share_a_line_and_missing_alerts_have_the_yaml(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    routing = (place / "routing.yaml").read_text()
    routing = routing.replace("backends:\n", "backends:\n  off: {preset: openai, enabled: with_key}\n")
    routing += "  one: {targets: [{backend: off, model: x}]}\n  two: {targets: [{backend: off, model: x}]}\n"
    (place / "routing.yaml").write_text(routing)
    first, off, alerts = judge_configuration(load_config(place))
    assert first == ok("configuration", "3 backends, 3 routes, 3 tenants; 1 backend off")
    assert off.seen == "none of its backends is active: 2 routes, one, two"
    assert (alerts.state, "alerts: {url:" in alerts.todo) == ("warn", True)


def test_no_secret_of_the_configuration_is_shown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    monkeypatch.setenv("PASSWORD", "p%2Fw-planted-42")
    text = (place / "routing.yaml").read_text()
    text = text.replace("alpha: {", 'alpha: {credentials: ["${PLANTED}"], ')
    text += 'server: {redis_url: "redis://:${PASSWORD}@127.0.0.1:1/0"}\n'
    (place / "routing.yaml").write_text(text)
    config = load_config(place)
    told = [fail("a", f"quotes {SECRET}, and sk-plan***6789", f"try {PASSWORD}"), ok("b", "p%2Fw-planted-42")]
    clean = without_secrets(told, config)
    assert clean == [fail("a", "quotes [redacted], and [redacted]", "try [redacted]"), ok("b", "[redacted]")]
    assert without_secrets(told, None) == told


@pytest.mark.parametrize(
    ("backend", "header"),
    [
        ('{preset: openai, credentials: ["${PLANTED}"]}', ("authorization", f"Bearer {SECRET}")),
        ('{preset: anthropic, credentials: ["${PLANTED}"]}', ("x-api-key", SECRET)),
        ('{preset: gemini, credentials: ["${PLANTED}"]}', ("x-goog-api-key", SECRET)),
        ('{preset: cohere, credentials: ["${PLANTED}"]}', ("authorization", f"Bearer {SECRET}")),
        ('{preset: mistral, credentials: ["${PLANTED}"]}', ("authorization", f"Bearer {SECRET}")),
        (
            '{provider: azure, base_url: "https://r.openai.azure.com", credentials: ["${PLANTED}"]}',
            ("api-key", SECRET),
        ),
        (
            '{provider: bedrock, region: eu-west-1, credentials: ["${PLANTED}"]}',
            ("authorization", f"Bearer {SECRET}"),
        ),
    ],
)
def test_a_credential_is_shown_as_calls_show_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, backend: str, header: tuple[str, str]
) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    (place / "routing.yaml").write_text(
        f"backends:\n  one: {backend}\nroutes:\n  r: {{targets: [{{backend: one, model: m}}]}}\n"
    )
    config = load_config(place)
    approach = Approach(config.resolved.backends["one"], place)
    (credential,) = asyncio.run(approach.credentials(1.0))
    asked = approach.question("https://there.test/models", credential)
    assert (asked.method, asked.url, asked.body) == ("GET", "https://there.test/models", b"")
    assert header in asked.headers.items()
    assert "content-type" not in asked.headers
    without = approach.question("https://there.test/models", Credential("none", ""))
    assert SECRET not in "".join(without.headers.values())


def test_a_token_that_cannot_be_had_is_refused_with_the_reason(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/identity")
    auth = "auth: {kind: azure_identity}"
    (place / "routing.yaml").write_text(
        f'backends:\n  one: {{provider: azure, base_url: "https://r.openai.azure.com", {auth}}}\n'
        "routes:\n  r: {targets: [{backend: one, model: m}]}\n"
    )
    config = load_config(place)
    spec = msgspec.structs.replace(config.resolved.backends["one"], name="renamed")
    with pytest.raises(Refused) as refused:
        asyncio.run(Approach(spec, place).credentials(5.0))
    assert "ConnectError" in refused.value.detail
