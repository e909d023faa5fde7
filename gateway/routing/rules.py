"""Compile conditions on calls: from what is written to one function over a call's signals and the moment.

Only what is given is tested, the cheap before the dear: what is known at once, then what has to be read in
the body, then what has to be found out about its text. It must not know routes or targets. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b

from gateway.config.signals import Person, RangeSpec, ShareSpec, WhenSpec
from gateway.exchange import Moment
from gateway.routing.matching.globs import Matches, compile_globs
from gateway.routing.matching.hours import compile_hours
from gateway.routing.routes import Condition
from gateway.routing.signals.signals import Signals

_DRAWS = 1 << 64
_DIGEST_BYTES = 8
_REMEMBERED = 4096
"""Identities whose side is kept: a look-up costs a tenth of a digest."""

_IDENTITIES: dict[Person, Callable[[Signals], str]] = {
    "key": lambda signals: signals.caller.key,
    "tenant": lambda signals: signals.caller.tenant,
    "user": lambda signals: signals.user or signals.caller.key,
    "conversation": lambda signals: signals.conversation or signals.caller.key,
}


def compile_when(when: WhenSpec, salt: str, unless: WhenSpec | None = None) -> Condition:
    """Make what tells whether `when` holds for a call and `unless` does not (None: it never does).

    `salt` says whose share it is: one identity may fall on different sides in two places.
    """
    tests = [*_known(when), *_read(when), *_found_out(when, salt)]
    if unless is not None:
        tests.append(_negated(compile_when(unless, f"{salt}/unless")))
    return _all_of(tests)


def compile_share(spec: ShareSpec, salt: str) -> Condition:
    """Make what tells whether a call belongs to a share of them.

    Each identity has its place between 0 and 1, whatever the percentage is: raising it only adds some.
    """
    bound = round(spec.percent / 100 * _DRAWS)
    start = salt.encode() + b"\0"
    identity = _IDENTITIES[spec.by]

    @lru_cache(_REMEMBERED)
    def within(who: str) -> bool:
        text = start + who.encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=_DIGEST_BYTES).digest()) < bound

    return lambda signals, _: within(identity(signals))


def _all_of(tests: list[Condition]) -> Condition:
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    first, second = tests[0], _all_of(tests[1:])
    return lambda signals, moment: first(signals, moment) and second(signals, moment)


def _always(_signals: Signals, _moment: Moment) -> bool:
    return True


def _negated(test: Condition) -> Condition:
    return lambda signals, moment: not test(signals, moment)


def _known(spec: WhenSpec) -> Iterator[Condition]:
    """Test what stands in the envelope, the headers, the key and the clock."""
    if spec.stream is not None:
        wanted = spec.stream
        yield lambda signals, _: signals.stream is wanted
    if spec.format:
        formats = frozenset(spec.format)
        yield lambda signals, _: signals.format in formats
    if spec.model:
        models = compile_globs(spec.model)
        yield lambda signals, _: models(signals.model)
    yield from _calling(spec)
    if spec.priority:
        priorities = frozenset(spec.priority)
        yield lambda signals, _: signals.priority in priorities
    for name, glob in spec.headers.items():
        yield _header(name.lower(), compile_globs([glob]))
    if spec.hours is not None:
        on = compile_hours(spec.hours)
        yield lambda _, moment: on(moment.unix_s)


def _calling(spec: WhenSpec) -> Iterator[Condition]:
    if spec.tenant:
        tenants = compile_globs(spec.tenant)
        yield lambda signals, _: tenants(signals.caller.tenant)
    if spec.key:
        keys = compile_globs(spec.key)
        yield lambda signals, _: keys(signals.caller.key)
    if spec.tags:
        tags = compile_globs(spec.tags)
        yield lambda signals, _: any(map(tags, signals.caller.tags))
    if spec.features:
        flags = compile_globs(spec.features)
        yield lambda signals, _: any(map(flags, signals.caller.features))


def _read(spec: WhenSpec) -> Iterator[Condition]:
    """Test what single members of the body say."""
    if spec.max_tokens is not None:
        yield _requested(spec.max_tokens)
    if spec.has:
        needed = frozenset(spec.has)
        yield lambda signals, _: needed <= signals.features
    if spec.has_not:
        unwanted = frozenset(spec.has_not)
        yield lambda signals, _: unwanted.isdisjoint(signals.features)
    for name, glob in spec.metadata.items():
        yield _entry(name, compile_globs([glob]))


def _found_out(spec: WhenSpec, salt: str) -> Iterator[Condition]:
    """Test who is meant, and what only the text of the call tells."""
    if spec.share is not None:
        yield compile_share(spec.share, salt)
    if spec.prompt_tokens is not None:
        yield _estimated(spec.prompt_tokens)
    if spec.language:
        languages = frozenset(spec.language)
        yield lambda signals, _: signals.language in languages
    if spec.task:
        tasks = frozenset(spec.task)
        yield lambda signals, _: signals.task in tasks
    if spec.sensitivity:
        labels = frozenset(spec.sensitivity)
        yield lambda signals, _: not labels.isdisjoint(signals.labels)


def _header(name: str, matches: Matches) -> Condition:
    def holds(signals: Signals, _: Moment) -> bool:
        value = signals.headers.get(name)
        return value is not None and matches(value)

    return holds


def _entry(name: str, matches: Matches) -> Condition:
    def holds(signals: Signals, _: Moment) -> bool:
        value = signals.metadata.get(name)
        return value is not None and matches(value)

    return holds


def _requested(spec: RangeSpec) -> Condition:
    low, high = spec.min, float("inf") if spec.max is None else spec.max

    def holds(signals: Signals, _: Moment) -> bool:
        count = signals.max_tokens
        return count is not None and low <= count <= high

    return holds


def _estimated(spec: RangeSpec) -> Condition:
    low, high = spec.min, float("inf") if spec.max is None else spec.max
    return lambda signals, _: low <= signals.prompt_tokens <= high
