"""Take the secrets of a configuration out of what is shown, whoever may have put them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.commands.doctor.finding import Finding
from gateway.compose.reading import Config
from gateway.texts.credentials import redact

_SHORTEST: Final = 4
"""A shorter one would take every other word with it."""


def without_secrets(findings: Sequence[Finding], config: Config | None) -> list[Finding]:
    """Return the findings with each secret replaced."""
    known = {secret for secret in _secrets(config) if len(secret) >= _SHORTEST} if config else set()

    def cleaned(text: str) -> str:
        raw = text.encode()
        for secret in known:
            raw = redact(raw, secret)
        return raw.decode(errors="replace")

    return [
        msgspec.structs.replace(finding, seen=cleaned(finding.seen), todo=cleaned(finding.todo))
        for finding in findings
    ]


def _secrets(config: Config) -> Iterator[str]:
    resolved = config.resolved
    for spec in resolved.backends.values():
        yield from (credential.secret for credential in spec.credentials)
        yield from spec.headers.values()
        if spec.auth is not None:
            yield spec.auth.client_secret
    yield from config.telemetry.spec.otlp.headers.values()
    if config.alerts is not None:
        yield config.alerts.secret
    server = resolved.server
    for url in (server.redis_url, server.database_url, resolved.ledger.clickhouse_url):
        password = urlsplit(url).netloc.rpartition("@")[0].partition(":")[2]
        yield from (password, unquote(password))
