"""Signatures that AWS accepts, and credentials that are found and kept fresh. No AWS is ever asked."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from gateway.errors import ConfigError, Refused
from gateway.exchange import Request
from gateway.upstream import aws
from gateway.upstream.aws import AwsSigner

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token=="
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-v1:0"
CALL = Request(
    f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{quote(ARN, safe='')}/converse",
    {"content-type": "application/json", "user-agent": "forebay", "accept-encoding": "gzip"},
    b'{"messages": []}',
)
FILE = f"""
[default]
aws_access_key_id = {KEY}
aws_secret_access_key = {SECRET}
[team]
aws_access_key_id = AKIDTEAM
aws_secret_access_key = {SECRET}
aws_session_token = {TOKEN}
"""


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Hide whatever AWS settings the machine has; returns where the shared credentials would be."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "ROLE_ARN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in (
        "WEB_IDENTITY_TOKEN_FILE",
        "CONTAINER_CREDENTIALS_RELATIVE_URI",
        "CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW)
    return tmp_path / "credentials"


@pytest.fixture
def stored(nothing_around: Path) -> Path:
    nothing_around.write_text(FILE)
    return nothing_around


def ready(signer: AwsSigner) -> AwsSigner:
    asyncio.run(signer.catch_up())
    return signer


def signature_by_hand(request: Request, token: str = "") -> str:
    """Signature Version 4, written down from its description."""
    url = urlsplit(request.url)
    lines = {
        "content-type": request.headers["content-type"],
        "host": url.netloc,
        "x-amz-date": "20150830T123600Z",
    }
    if token:
        lines["x-amz-security-token"] = token
    names = ";".join(sorted(lines))
    canonical = "\n".join(
        (
            request.method,
            quote(url.path or "/", safe="/-_.~"),
            url.query,
            *(f"{name}:{lines[name]}" for name in sorted(lines)),
            "",
            names,
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    scope = "20150830/us-east-1/bedrock/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + SECRET.encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def test_the_example_of_awss_documentation(stored: Path) -> None:
    signer = ready(AwsSigner("us-east-1", service="iam"))
    signed = signer.sign(
        Request(
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            b"",
            method="GET",
        )
    )
    assert signed.headers["x-amz-date"] == "20150830T123600Z"
    assert signed.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


@pytest.mark.parametrize(("profile", "token"), [(None, ""), ("team", TOKEN)])
def test_a_call_is_signed_as_it_is_by_hand(stored: Path, profile: str | None, token: str) -> None:
    signed = ready(AwsSigner("us-east-1", profile)).sign(CALL)
    assert signed.headers["authorization"].endswith(f"Signature={signature_by_hand(CALL, token)}")
    assert signed.headers.get("x-amz-security-token", "") == token
    assert (signed.url, signed.method, signed.body) == (CALL.url, CALL.method, CALL.body)
    assert CALL.headers.items() <= signed.headers.items()
    assert all(name == name.lower() for name in signed.headers)


@pytest.mark.parametrize("model", ["a.b-v1:0", ARN, "a b", "\u00e9", "a%2Fb", "~x"])
def test_a_signature_is_the_one_that_botocore_would_make(stored: Path, model: str) -> None:
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/{quote(model, safe='')}/converse"
    call = Request(url, {"content-type": "application/json"}, b"{}")
    other = AWSRequest("POST", url, headers=dict(call.headers), data=call.body)
    botocore.auth.SigV4Auth(Credentials(KEY, SECRET), "bedrock", "eu-west-1").add_auth(other)
    signed = ready(AwsSigner("eu-west-1")).sign(call)
    assert signed.headers["authorization"] == other.headers["Authorization"]


def test_headers_that_change_on_their_way_are_not_signed(stored: Path) -> None:
    signed = ready(AwsSigner("us-east-1")).sign(CALL)
    assert "SignedHeaders=content-type;host;x-amz-date," in signed.headers["authorization"]


def test_the_secret_is_not_in_the_signed_request(stored: Path) -> None:
    assert SECRET not in str(ready(AwsSigner("us-east-1", "team")).sign(CALL))


def test_no_log_tells_a_session_token(stored: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        signed = ready(AwsSigner("us-east-1", "team")).sign(CALL)
    assert signed.headers["x-amz-security-token"] == TOKEN
    assert TOKEN not in caplog.text
    assert SECRET not in caplog.text


def test_without_credentials_a_call_is_refused_and_may_go_elsewhere() -> None:
    signer = AwsSigner("us-east-1")
    with pytest.raises(Refused) as refusal:
        signer.sign(CALL)
    assert (refusal.value.retry, refusal.value.detail) == ("other_target", "not looked for yet")
    # The client did nothing wrong: it is not told of a 4xx.
    assert (refusal.value.status, refusal.value.code) == (503, "upstream_no_token")
    asyncio.run(signer.catch_up())
    assert signer.state() == (False, "no credentials were found")
    with pytest.raises(Refused):
        signer.sign(CALL)


def test_a_profile_that_is_not_there_is_said_by_its_name(stored: Path) -> None:
    signer = ready(AwsSigner("us-east-1", "nobody"))
    fine, words = signer.state()
    assert not fine
    assert "nobody" in words


def test_credentials_that_were_written_anew_are_taken(stored: Path) -> None:
    signer = ready(AwsSigner("us-east-1"))
    assert signer.state() == (True, "credentials of AWS")
    stored.write_text(FILE.replace(KEY, "AKIDNEXT"))
    asyncio.run(signer.catch_up())
    assert "AKIDNEXT/" in signer.sign(CALL).headers["authorization"]


def test_credentials_stay_in_use_when_they_cannot_be_read_again(stored: Path) -> None:
    signer = ready(AwsSigner("us-east-1"))
    stored.unlink()
    asyncio.run(signer.catch_up())
    assert f"{KEY}/" in signer.sign(CALL).headers["authorization"]


def ending(refresh: Callable[[], dict[str, str]], in_minutes: float) -> RefreshableCredentials:
    ends = datetime.now(UTC) + timedelta(minutes=in_minutes)
    return RefreshableCredentials("AKIDOLD", SECRET, TOKEN, ends, refresh, "test")


def test_credentials_are_renewed_before_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refresh() -> dict[str, str]:
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": "AKIDNEW", "secret_key": SECRET, "token": TOKEN, "expiry_time": ends}

    found = ending(refresh, 12)
    monkeypatch.setattr(AwsSigner, "_search", lambda _self: found)
    signer = ready(AwsSigner("us-east-1"))
    assert "AKIDNEW/" in signer.sign(CALL).headers["authorization"]
    monkeypatch.setattr(AwsSigner, "_search", lambda _self: pytest.fail("what renews itself is kept"))
    asyncio.run(signer.catch_up())
    assert signer.state()[0]


def test_a_renewal_that_fails_is_told_and_outlived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refresh() -> dict[str, str]:
        raise CredentialRetrievalError(provider="test", error_msg="the token service is down")

    found = ending(refresh, 0)
    monkeypatch.setattr(AwsSigner, "_search", lambda _self: found)
    signer = AwsSigner("us-east-1")
    with caplog.at_level(logging.WARNING, logger=aws.__name__):
        asyncio.run(signer.catch_up())
        asyncio.run(signer.catch_up())
    assert signer.state()[0] is False
    assert [record.getMessage() for record in caplog.records if record.name == aws.__name__] == [
        f"the AWS credentials cannot be used ({signer.state()[1]})"
    ]
    assert "the token service is down" in signer.state()[1]


@pytest.mark.parametrize("error", [KeyError("expiration"), TypeError("None"), ImportError("awscrt")])
def test_no_failure_of_the_search_ends_the_following(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def search(_self: Any) -> Credentials:
        raise error

    monkeypatch.setattr(AwsSigner, "_search", search)
    fine, words = ready(AwsSigner("us-east-1")).state()
    assert not fine
    assert words.startswith(type(error).__name__)


def test_credentials_that_were_renewed_too_late_are_told_and_outlived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refresh() -> dict[str, str]:
        ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        return {"access_key": "AKIDLATE", "secret_key": SECRET, "token": TOKEN, "expiry_time": ended}

    found = ending(refresh, -1)
    monkeypatch.setattr(AwsSigner, "_search", lambda _self: found)
    fine, words = ready(AwsSigner("us-east-1")).state()
    assert not fine
    assert "still expired" in words


def test_following_looks_again_and_again(monkeypatch: pytest.MonkeyPatch, stored: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError
        stored.write_text(FILE)

    stored.write_text("")
    monkeypatch.setattr(aws.asyncio, "sleep", sleep)
    signer = AwsSigner("us-east-1")
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(signer.follow())
    assert waits == [5.0, 60.0, 60.0]
    assert signer.state()[0]


def test_the_event_loop_goes_on_while_credentials_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def search(_self: Any) -> Credentials:
        gate.wait(30)
        return Credentials(KEY, SECRET)

    async def looked_for() -> str:
        signer = AwsSigner("us-east-1")
        looking = asyncio.create_task(signer.catch_up())
        await asyncio.sleep(0)
        assert not looking.done()
        with pytest.raises(Refused):
            signer.sign(CALL)
        gate.set()
        await looking
        return signer.sign(CALL).headers["authorization"]

    monkeypatch.setattr(AwsSigner, "_search", search)
    assert KEY in asyncio.run(looked_for())


def test_without_botocore_the_configuration_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[bedrock\]'"):
        AwsSigner("us-east-1")
