"""Whether the receiver of traces and metrics takes what is sent: an export with nothing in it.

Source: OpenTelemetry, OTLP specification, "OTLP/HTTP"; a message without fields is zero bytes of protobuf.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.commands.doctor.finding import Clock, Finding, Told, fail, ok, skipped
from gateway.commands.doctor.reaching import reach
from gateway.compose.reading import Config
from gateway.exchange import Request
from gateway.upstream.free_questions import Heard, Unheard, hear

_NAME: Final = "receiver"
_WHERE: Final = "otlp.endpoint of policies/telemetry.yaml, or OTEL_EXPORTER_OTLP_ENDPOINT"


async def look_at_receiver(config: Config) -> list[Told]:
    """Send empty exports over HTTP; of gRPC only the connection is tried."""
    endpoint, spec = config.telemetry.endpoint, config.telemetry.spec
    if not endpoint:
        return [skipped(_NAME, "none is configured: no traces are made", f"To have some: {_WHERE}.")]
    reached = await reach(endpoint)
    if reached.problem:
        return [fail(_NAME, reached.problem, f"{reached.todo} ({_WHERE})")]
    if spec.otlp.protocol == "grpc":
        return [ok(_NAME, f"{reached.place} can be reached (over gRPC nothing was sent)")]
    signals = ["traces"]
    if spec.metrics.enabled and spec.metrics.otlp:
        signals.append("metrics")
    headers = {**spec.otlp.headers, "content-type": "application/x-protobuf"}
    asked = [Request(f"{endpoint}/v1/{signal}", headers, b"") for signal in signals]
    answers = await asyncio.gather(*map(_ask, asked))
    found: list[Told] = [
        judge_answer(reached.place, signal, answer) for signal, answer in zip(signals, answers, strict=True)
    ]
    heard = answers[0]
    if isinstance(heard, Heard) and heard.ahead_s is not None:
        found.append(Clock(_NAME, heard.ahead_s, heard.give_or_take_s))
    return found


async def _ask(request: Request) -> Heard | str:
    try:
        return await hear(request)
    except Unheard as error:
        return str(error)


def judge_answer(place: str, signal: str, answer: Heard | str) -> Finding:
    """Say whether it takes one kind of export."""
    name = f"{_NAME} {signal}"
    if isinstance(answer, str):
        return fail(name, f"{place} can be reached, but gives {answer}", "Look at its own log.")
    if answer.status < 300:
        return ok(name, f"{place} takes them")
    if answer.status in {401, 403}:
        todo = "Correct otlp.headers of policies/telemetry.yaml, or OTEL_EXPORTER_OTLP_HEADERS."
        return fail(name, f"{place} refuses our headers ({answer.status})", todo)
    seen = f"{place} answers {answer.status}: it takes no {signal} there"
    return fail(name, seen, f"Name its base URL, such as http://collector:4318: {_WHERE}.")
