"""Every way an upstream can fail, for every kind of client: what it gets, with a fallback and without.

The tables are in `rig.faults`: a fault is there with what the upstream does, and what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from rig.faults import answers, connecting, native, refusals, streams
from rig.faults.fault import Fault, Verdict
from rig.faults.hearing import DIALECTS
from rig.faults.place import Place, model_of
from rig.faults.verdicts import check, check_attempts, is_final

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
    check(heard, verdict, fallback=terms == "backed")
    model = model_of(fault, dialect, stream=stream, terms=terms)
    attempts, fallbacks = place.attempts(model), place.fallbacks(model)
    check_attempts(heard, [seen.at_s for seen in (*attempts, *fallbacks)])
    assert len(fallbacks) == (terms == "backed" and not is_final(verdict))
    if fault.backend not in DOORS:
        most = MOST_ATTEMPTS if fault.repeated else 1 + fault.own_backend
        assert 1 <= len(attempts) <= most


DOORS = {fault.backend for fault in connecting.FAULTS}
"""Backends that see no request."""
MOST_ATTEMPTS = 20
"""As many connections as the pool may hold by then, each tried anew."""
