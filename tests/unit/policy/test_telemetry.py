"""policies/telemetry.yaml: the receiver, what leaves spans, what nobody may read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.errors import ConfigErrors
from gateway.policy import telemetry
from gateway.policy.telemetry import Telemetry, TelemetrySpec

ROOT = Path(__file__).parents[3]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Telemetry]:
    def _compiled(text: str) -> Telemetry:
        (tmp_path / "telemetry.yaml").write_text(text)
        return telemetry.compile(load(tmp_path / "telemetry.yaml", TelemetrySpec, {"TOKEN": "t"}))

    return _compiled


def test_the_file_of_the_project_says_the_defaults() -> None:
    written = telemetry.compile(load(ROOT / "policies/telemetry.yaml", TelemetrySpec, {}))
    assert written == telemetry.compile(None)
    assert written.endpoint == "", "nothing is sent unless somebody says where"
    assert written.spec.content.tenants == (), "nobody's prompts are told unless somebody says whose"


def test_a_receiver_that_is_written_goes_before_the_environments(
    compiled: Callable[[str], Telemetry], tmp_path: Path
) -> None:
    assert compiled("otlp: {endpoint: 'http://here:4318/'}").endpoint == "http://here:4318"
    (tmp_path / "telemetry.yaml").write_text("otlp: {endpoint: 'http://here:4318'}")
    written = load(tmp_path / "telemetry.yaml", TelemetrySpec, {})
    assert telemetry.compile(written, "http://there:4318").endpoint == "http://here:4318"
    assert telemetry.compile(None, "http://there:4318/").endpoint == "http://there:4318"


def test_headers_that_are_written_go_before_the_environments(tmp_path: Path) -> None:
    (tmp_path / "telemetry.yaml").write_text("otlp: {headers: {x-ours: '${TOKEN}'}}")
    written = load(tmp_path / "telemetry.yaml", TelemetrySpec, {"TOKEN": "t"})
    assert telemetry.compile(written, "", "x-theirs=e").spec.otlp.headers == {"x-ours": "t"}
    assert telemetry.compile(None, "", "x-theirs=e").spec.otlp.headers == {"x-theirs": "e"}


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        ("api-key=abc", {"api-key": "abc"}),
        ("Auth=Basic%20dTpw==, x-scope = a%2Cb ,", {"auth": "Basic dTpw==", "x-scope": "a,b"}),
        ("authorization=Bearer t", {"authorization": "Bearer t"}),
        ("empty=", {"empty": ""}),
        ("word,=value,a b=c,a%0Ab=c,fold=a%0D%0Ax: y,money=%E2%82%AC,good=1", {"good": "1"}),
    ],
)
def test_headers_of_the_environment_are_read_as_other_tools_read_them(
    text: str, headers: dict[str, str]
) -> None:
    assert telemetry.headers_of(text) == headers


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("otlp: {endpoint: 'ftp://host'}", "otlp.endpoint"),
        ("otlp: {endpoint: 'http://'}", "otlp.endpoint: this URL has no host"),
        ("otlp: {endpoint: 'http://host:4318/v1/traces'}", "otlp.endpoint: this is the URL of one signal"),
        ("otlp: {headers: {authorization: abc}}", "otlp.headers.authorization"),
        ("otlp: {protocol: udp}", "otlp.protocol"),
        ("traces: {sample: 10}", "traces.sample"),
        ("traces: {slower_than_s: 0}", "traces.slower_than_s"),
        ("redact: {detect: [names]}", "redact.detect"),
        ("redact: {patterns: ['ok', '(']}", r"redact.patterns\[1\]: this is no pattern"),
        ("redact: {patterns: ['(?=a)']}", r"redact.patterns\[0\]: this is no pattern"),
        ("service_name: 'a b'", "service_name"),
        ("metric: {}", "metric"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    compiled: Callable[[str], Telemetry], text: str, complaint: str
) -> None:
    with pytest.raises(ConfigErrors, match=complaint):
        compiled(text)


def test_secrets_for_the_receiver_come_from_the_environment(compiled: Callable[[str], Telemetry]) -> None:
    asked = compiled("otlp: {endpoint: 'https://host', headers: {authorization: '${TOKEN}'}}")
    assert asked.spec.otlp.headers == {"authorization": "t"}
    assert "authorization" not in repr(asked.spec.otlp)
