"""Say what there is to say of a call and of its attempts, as attributes of their spans.

What a client or an upstream has written is cut and redacted before it stands here. What was used stands at
the attempt that used it and nowhere else, so that whoever adds up spans counts nothing twice.

Must not know how spans are made or sent. Source: see `names`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.exchange import Attempt, Call, Record, Usage
from gateway.telemetry.places import Place
from gateway.telemetry.tracing import names
from gateway.telemetry.tracing.settings import TraceSettings, Value

_NAME_CHARS = 200
_TEXT_CHARS = 1000
_NUMBER_BYTES = 32
_MOST_WHOLE = 1 << 63
"""Whole numbers of a span have 64 bits."""
_NANO = 1e9
_NOWHERE = Place("")


def operation_of(record: Record) -> str:
    """Name what a call asks for."""
    return names.OPERATIONS.get(record.format, record.format)


def span_name(record: Record, settings: TraceSettings) -> str:
    """Name the spans of a call: its operation, and the model, where that is a name that some route has."""
    operation = operation_of(record)
    return f"{operation} {name_of(record.model, settings)}" if record.route and record.model else operation


def of_call(record: Record, kept: str, settings: TraceSettings) -> dict[str, Value]:
    """Say what there is to say of a call as a whole."""
    said = dict(_told(_of_call(record, settings)))
    said[names.HTTP_METHOD] = "POST"
    said[names.HTTP_STATUS] = record.status
    said["forebay.call_id"] = record.call_id
    said["forebay.sampled_for"] = kept
    said["forebay.attempts"] = len(record.attempts)
    if (cost_nanousd := _whole_cost(record)) is not None:
        said["forebay.cost_usd"] = cost_nanousd / _NANO
    said.update(settings.notes(record))
    return said


def _of_call(record: Record, settings: TraceSettings) -> Iterator[tuple[str, Value]]:
    """Give what is told only where there is something to tell: each attribute takes a microsecond."""
    answered = next((attempt for attempt in record.attempts if not attempt.cause), None)
    yield names.OPERATION, operation_of(record)
    yield names.PROVIDER, "" if answered is None else _provider(answered, settings)
    yield names.REQUEST_MODEL, name_of(record.model, settings)
    yield names.RESPONSE_MODEL, "" if answered is None else name_of(answered.answered_model, settings)
    yield names.OUTPUT_TYPE, names.OUTPUT_TYPES.get(record.format, "")
    yield names.ERROR_TYPE, record.error.code if record.error else ""
    yield names.REQUEST_STREAM, record.stream
    yield "forebay.format", record.format
    yield "forebay.ending", record.ending
    yield "forebay.route", record.route
    yield "forebay.rule", record.rule
    yield "forebay.purpose", "" if record.purpose == "call" else record.purpose
    yield "forebay.made_for", record.made_for
    yield "forebay.target", "" if answered is None else _target(answered, settings)
    yield "forebay.retries", sum(attempt.why == "retry" for attempt in record.attempts)
    yield "forebay.fallback", any(attempt.why == "fallback" for attempt in record.attempts)
    yield "forebay.tenant", record.tenant
    yield "forebay.tenant_class", record.class_ if record.tenant else ""
    yield "forebay.key_id", name_of(record.key, settings)
    yield "forebay.cache.outcome", record.cache
    yield "forebay.translated_to", record.translated_to
    yield "forebay.dropped", tuple(name_of(field, settings) for field in record.dropped)


def of_attempt(record: Record, attempt: Attempt, number: int, settings: TraceSettings) -> dict[str, Value]:
    """Say what there is to say of one attempt; `number` counts from 1."""
    said = dict(_told(_of_attempt(record, attempt, settings)))
    said["forebay.attempt.number"] = number
    said["forebay.attempt.why"] = attempt.why
    if attempt.first_token_s is not None:
        said[names.FIRST_CHUNK] = attempt.first_token_s
    call = attempt.call or record.call
    if call is not None:
        said.update(_asked(call))
    if attempt.usage is not None:
        said.update(_used(attempt.usage))
        if attempt.price is not None:
            said["forebay.cost_usd"] = attempt.price.of(attempt.usage) / _NANO
            said["forebay.price_version"] = attempt.price.version
    return said


def _of_attempt(record: Record, attempt: Attempt, settings: TraceSettings) -> Iterator[tuple[str, Value]]:
    place = settings.places.get(attempt.backend, _NOWHERE)
    yield names.OPERATION, operation_of(record)
    yield names.PROVIDER, _provider(attempt, settings)
    yield names.REQUEST_MODEL, name_of(attempt.model, settings)
    yield names.RESPONSE_MODEL, name_of(attempt.answered_model, settings)
    yield names.FINISH_REASONS, (name_of(attempt.finish, settings),) if attempt.finish else ()
    yield names.OUTPUT_TYPE, names.OUTPUT_TYPES.get(record.format, "")
    yield names.ERROR_TYPE, attempt.cause
    yield names.SERVER_ADDRESS, place.address
    yield names.SERVER_PORT, place.port if place.address else 0
    yield names.REQUEST_STREAM, record.stream
    yield "forebay.target", _target(attempt, settings)
    yield "forebay.skipped_events", attempt.skipped_events
    yield "forebay.service_tier", name_of(attempt.tier, settings)


def failure_of(record: Record, settings: TraceSettings) -> str:
    """Say what the client was told."""
    return "" if record.error is None else _clean(record.error.message, _TEXT_CHARS, settings)


def _provider(attempt: Attempt, settings: TraceSettings) -> str:
    return settings.places.get(attempt.backend, _NOWHERE).provider or attempt.backend


def _target(attempt: Attempt, settings: TraceSettings) -> str:
    return f"{attempt.backend}/{name_of(attempt.model, settings)}"


def name_of(text: str, settings: TraceSettings) -> str:
    """Return a name that somebody else has written, as it may stand in a span."""
    return _clean(text, _NAME_CHARS, settings) if text else ""


def _clean(text: str, most_chars: int, settings: TraceSettings) -> str:
    # Redacted before it is cut: of a secret that is cut in two, neither half looks like one.
    return settings.redact(text[: 4 * most_chars])[:most_chars]


def _told(pairs: Iterator[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    return ((name, value) for name, value in pairs if value)


def _asked(call: Call) -> Iterator[tuple[str, Value]]:
    """Tell the numbers that a call asks for; what is no number is none of ours."""
    members: Mapping[str, object] = call.members
    for name, told_as in names.ASKED.items():
        text = members.get(name)
        if not isinstance(text, msgspec.Raw) or len(text) > _NUMBER_BYTES:
            continue
        try:
            number = msgspec.json.decode(text, type=float)
        except msgspec.DecodeError:
            continue
        if told_as not in names.WHOLE:
            yield told_as, number
        elif number.is_integer() and abs(number) < _MOST_WHOLE:
            yield told_as, int(number)


def _used(usage: Usage) -> Iterator[tuple[str, Value]]:
    """Tell what was used; kinds of which there was nothing are left out."""
    yield names.INPUT_TOKENS, usage.input_tokens
    yield names.OUTPUT_TOKENS, usage.output_tokens
    if usage.origin != "reported":
        yield "forebay.usage.origin", usage.origin
    if usage.cached_tokens:
        yield names.CACHE_READ_TOKENS, usage.cached_tokens
    if usage.cache_write_tokens:
        yield names.CACHE_CREATION_TOKENS, usage.cache_write_tokens
    if usage.reasoning_tokens:
        yield names.REASONING_TOKENS, usage.reasoning_tokens


def _whole_cost(record: Record) -> int | None:
    """Add up what the attempts cost, in nano-USD; None: of none of them it is known."""
    costs = [
        attempt.price.of(attempt.usage)
        for attempt in record.attempts
        if attempt.usage is not None and attempt.price is not None
    ]
    return sum(costs) if costs else None
