"""Whether a backend can be reached, is well, and takes each of its credentials.

Nothing that is asked generates anything. An answer that is the same without a credential tells nothing about
it: that is said, instead of calling it good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway.commands.doctor.finding import Clock, Finding, Told, fail, ok, skipped, warn
from gateway.commands.doctor.reaching import Reach, days, reach
from gateway.compose.examining import Approach
from gateway.config.reliability import ProbeSpec
from gateway.config.resolve import BackendSettings, load_presets
from gateway.errors import QuotaSpent, RateLimited, Refused, UpstreamError
from gateway.exchange import Credential, Request
from gateway.texts.credentials import redact
from gateway.upstream.free_questions import Heard, Unheard, free_question, hear
from gateway.upstream.probes import probe_of

_TOKEN_WITHIN_S: Final = 8.0
_SOON_S: Final = 14 * 86_400.0
_LONGEST_MESSAGE: Final = 160
_MAY_NOT_LIST: Final = ("scope", "permission")
"""What providers say of a restricted key that may call, and not list models."""

Answer = Heard | str
"""What was heard, or why nothing was."""


async def look_at_backend(spec: BackendSettings, folder: Path) -> list[Told]:
    """Reach it, ask how it is, and show it each credential."""
    name = f"backend {spec.name}"
    if spec.script:
        return [ok(name, "plays a script")]
    if spec.launch:
        return [skipped(name, "a local engine: it is started with the gateway")]
    by_proxy = spec.transport == "httpx"
    reached = Reach("its place") if by_proxy else await reach(spec.base_url)
    if reached.problem:
        return [fail(name, reached.problem, f"{reached.todo} (backends.{spec.name}.base_url)")]
    approach = Approach(spec, folder)
    health = await _ask(Request(_health_url(spec), spec.headers, b"", "GET"), by_proxy=by_proxy)
    told: list[Told] = [judge_health(name, reached, health)]
    if isinstance(health, str):
        return [
            *told,
            *(skipped(f"credential {one.name}", f"not tried: {health}") for one in spec.credentials),
        ]
    if health.ahead_s is not None:
        told.append(Clock(name, health.ahead_s, health.give_or_take_s))
    told += await _credentials(approach, by_proxy=by_proxy)
    return told


def _health_url(spec: BackendSettings) -> str:
    """Return what a probe of it asks, whether it is probed or not."""
    probe = probe_of(msgspec.structs.replace(spec, probe=spec.probe or ProbeSpec()))
    return spec.base_url if probe is None else probe.url


async def _credentials(approach: Approach, *, by_proxy: bool) -> list[Finding]:
    """Show each credential with a question that needs one, and ask it once without any."""
    spec, question = approach.spec, free_question(approach.spec)
    try:
        credentials = await approach.credentials(_TOKEN_WITHIN_S)
    except Refused as error:
        todo = f"Look at backends.{spec.name}.auth, and at what it names."
        return [fail(f"credential {spec.name}", f"there is none: {error.detail[:_LONGEST_MESSAGE]}", todo)]
    if not question:
        got = "one was given out; " if spec.auth is not None else ""
        why = f"{got}nothing there can be asked without cost, so that nobody knows whether it is taken"
        return [skipped(f"credential {one.name}", why, _call_it(spec)) for one in credentials if one.name]
    nothing = Credential(spec.name, "")
    asked = [approach.question(question, one) for one in (nothing, *credentials)]
    unshown, *answers = await asyncio.gather(*(_ask(one, by_proxy=by_proxy) for one in asked))
    if not any(one.secret for one in credentials):
        return list(_without(spec, unshown))
    return [
        judge_credential(one, answer, unshown, _meaning(approach, one, answer), _put_it(spec))
        for one, answer in zip(credentials, answers, strict=True)
    ]


async def _ask(request: Request, *, by_proxy: bool) -> Answer:
    try:
        return await hear(request, by_proxy=by_proxy)
    except Unheard as error:
        return str(error)


def _meaning(approach: Approach, credential: Credential, answer: Answer) -> UpstreamError | None:
    """Say what an error means; providers quote the key that they refuse."""
    if not isinstance(answer, Heard) or answer.status < 400:
        return None
    body = redact(answer.body, credential.secret)
    return approach.backend.classify(answer.status, answer.headers, body)


def judge_health(name: str, reached: Reach, answer: Answer) -> Finding:
    """Say whether somebody answers there, and for how long the certificate is valid."""
    if isinstance(answer, str):
        return fail(name, f"{reached.place} can be reached, but gives {answer}", "Look at its own log.")
    if answer.status >= 500:
        return fail(name, f"{reached.place} answers {answer.status}", "Look at its own log, or status page.")
    seen = f"{reached.place} answers in {answer.seconds * 1000:.0f} ms"
    if reached.certificate_s is None:
        return ok(name, seen)
    seen += f"; its certificate is valid for {days(reached.certificate_s)}"
    return ok(name, seen) if reached.certificate_s > _SOON_S else warn(name, seen, "Renew the certificate.")


def judge_credential(
    credential: Credential, answer: Answer, unshown: Answer, error: UpstreamError | None, todo: str
) -> Finding:
    """Say whether a credential is taken, given the answers to it and to none, and what an error means."""
    name = f"credential {credential.name}"
    if isinstance(answer, str):
        return skipped(name, f"not tried: {answer}")
    if error is not None:
        return _judge_error(name, answer.status, error, todo)
    if isinstance(unshown, Heard) and unshown.status < 400:
        return skipped(name, "what was asked needs no credential, so that nobody knows whether it is taken")
    return ok(name, "is accepted")


def _judge_error(name: str, status: int, error: UpstreamError, todo: str) -> Finding:
    said = f"{status}: {error.message[:_LONGEST_MESSAGE]}"
    if isinstance(error, QuotaSpent):
        return warn(name, f"its account has nothing left ({said})", "Pay there, or raise its limit.")
    if isinstance(error, RateLimited):
        return ok(name, "is accepted, and its rate is used up for now")
    if isinstance(error, Refused):
        if status == 403 and any(word in error.message.lower() for word in _MAY_NOT_LIST):
            return warn(name, f"may not list models ({said})", "Allow it to, or try it with one call.")
        return fail(name, f"is refused with {said}", todo)
    if status in {404, 405}:
        return skipped(name, f"there is no list of models to ask for ({status})")
    return warn(name, f"nobody knows: the answer is {said}", "Try again; then try it with one call.")


def _without(spec: BackendSettings, answer: Answer) -> Iterator[Finding]:
    """Say where a credential is asked for, and none is configured."""
    if isinstance(answer, Heard) and answer.status in {401, 403}:
        seen = f"it asks for a credential ({answer.status}), and none is configured"
        yield fail(f"credential {spec.name}", seen, _put_it(spec))


def _put_it(spec: BackendSettings) -> str:
    preset = load_presets().get(spec.preset)
    variable = f", else in the variable {preset.key}" if preset and preset.key else ""
    return (
        f"Put one that it accepts where backends.{spec.name}.credentials takes it from{variable}, "
        "and start the gateway again."
    )


def _call_it(spec: BackendSettings) -> str:
    return f"Try it with one call of a route to {spec.name}."
