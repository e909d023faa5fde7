"""Every way an upstream can fail, for every kind of client: what it gets, with a fallback and without.

The tables are in `rig.faults`: a fault is there with what the upstream does, and what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from rig.faults import answers, connecting, native, refusals, streams
from rig.faults.fault import GIVEN_UP, Fault, Verdict
from rig.faults.hearing import DIALECTS, Heard
from rig.faults.place import Place, model_of
from rig.faults.verdicts import check, check_wait, is_final

COMMON = [*connecting.FAULTS, *refusals.FAULTS, *answers.FAULTS, *streams.FAULTS]


def cases() -> Iterator[object]:
    for fault in COMMON:
        yield from _cases(fault, DIALECTS)
    for fault in native.FAULTS:
        yield from _cases(fault, native.CLIENTS[fault.backend])


def _cases(fault: Fault, dialects: Sequence[str]) -> Iterator[object]:
    for stream, dialect, terms in product((False, True), dialects, ("lone", "backed")):
        if (case := fault.case(stream=stream)) is not None:
            kind = "stream" if stream else "whole"
            yield pytest.param(
                fault, case.verdict, dialect, stream, terms, id=f"{fault.name}-{kind}-{dialect}-{terms}"
            )


@pytest.mark.parametrize(("fault", "verdict", "dialect", "stream", "terms"), list(cases()))
def test_the_client_gets_an_answer_or_an_honest_error(
    place: Place, fault: Fault, verdict: Verdict, dialect: str, *, stream: bool, terms: str
) -> None:
    heard = place.ask(fault, dialect, stream=stream, terms=terms)
    for _ in range(TRIES - 1):
        if not is_blurred(heard, fault, verdict, terms):
            break
        place.forget()
        heard = place.ask(fault, dialect, stream=stream, terms=terms)
    check(heard, verdict, fallback=terms == "backed")
    check_wait(heard)
    model = model_of(fault, dialect, stream=stream, terms=terms)
    attempts, fallbacks = place.attempts(model), place.fallbacks(model)
    assert len(fallbacks) == (terms == "backed" and not is_final(verdict))
    if fault.backend not in DOORS:
        most = MOST_ATTEMPTS if fault.repeated else 1 + fault.own_backend
        assert 1 <= len(attempts) <= most


def is_blurred(heard: Heard, fault: Fault, verdict: Verdict, terms: str) -> bool:
    """Whether a short limit was met by something else than the fault, as it is when the machine stands still.

    A gateway that gives up too early, or asks no fallback, does so each time.
    """
    if fault.limit not in {"first_token", "deadline"}:
        return False
    if is_final(verdict):
        return heard.status == GIVEN_UP.status or heard.headers["x-forebay-backend"] == "well"
    return terms == "backed" and heard.status == GIVEN_UP.status


TRIES = 3
DOORS = {fault.backend for fault in connecting.FAULTS}
"""Backends that see no request."""
MOST_ATTEMPTS = 20
"""As many connections as the pool may hold by then, each tried anew."""
