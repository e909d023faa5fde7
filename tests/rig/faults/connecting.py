"""Faults before a request is read: nobody there, nobody who answers, and TLS that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rig.faults.answers import LATE, UNREACHABLE
from rig.faults.doors import (
    Authority,
    Door,
    answers_in_plain,
    closes,
    resets,
    says_nothing,
    talks_garbage,
    tls_of,
)
from rig.faults.fault import Answered, Fault, Limit, Verdict, both
from rig.faults.wire import TEXT, WORDS, well
from rig.script import plain
from rig.upstream import Upstream, refusing_port, silent_port

_NEVER = plain(b"never played: no request gets that far", 500)


def _at(backend: str, verdict: Verdict = UNREACHABLE, meets: Limit = "none") -> Fault:
    return both(backend, _NEVER, verdict, backend=backend, meets=meets)


FAULTS = [
    _at("refused"),
    _at("never_accepts", LATE, "connect"),
    _at("unknown_name"),
    _at("reset_at_once"),
    _at("closed_at_once"),
    _at("tls_to_a_plain_port"),
    _at("tls_answered_with_garbage"),
    _at("tls_never_answered", LATE, "connect"),
    _at("certificate_expired"),
    _at("certificate_of_another_host"),
    _at("certificate_of_nobody"),
    _at("certificate_in_order", Answered(TEXT)),
]
"""Each at the backend of its name. The last is none: it shows that the three before it are what they say."""


@contextlib.contextmanager
def running_doors(authority: Authority) -> Iterator[dict[str, str]]:
    """Run all these backends; gives their URLs by name."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        plain_ports = {"refused": enter(refusing_port()), "never_accepts": enter(silent_port())}
        plain_ports["reset_at_once"] = enter(Door(resets, at_once=True)).port
        plain_ports["closed_at_once"] = enter(Door(closes, at_once=True)).port
        tls_ports = {
            "tls_to_a_plain_port": enter(Door(answers_in_plain)).port,
            "tls_answered_with_garbage": enter(Door(talks_garbage)).port,
            "tls_never_answered": enter(Door(says_nothing)).port,
            "certificate_expired": enter(_answering(authority.expired())).port,
            "certificate_of_another_host": enter(_answering(authority.for_another_host())).port,
            "certificate_of_nobody": enter(_answering(authority.unknown())).port,
            "certificate_in_order": enter(_answering(authority.good())).port,
        }
        urls = {name: f"http://127.0.0.1:{port}/v1" for name, port in plain_ports.items()}
        urls |= {name: f"https://127.0.0.1:{port}/v1" for name, port in tls_ports.items()}
        yield urls | {"unknown_name": "http://nobody.invalid/v1"}


def _answering(pem: Path) -> Upstream:
    upstream = Upstream(tls_of(pem))
    upstream.answer_with(lambda seen: well(WORDS, streamed=bool(seen.json().get("stream"))))
    return upstream
