"""Counts of several workers, added up: whoever dies or starts again, nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.slo.burning import Counts, Standing
from gateway.slo.gathering import Gathered, Kept
from gateway.slo.objectives import ALERTS, Objective

START_S = 1_700_000_000
PROMISES = (
    Objective("a", "availability", 0.99),
    Objective("b", "duration", 0.9, days=1, within_s=1.0),
)
SPANS_S = sorted({span for alert in ALERTS for span in (alert.long_s, alert.short_s)})

Happening = tuple[str, float, int, str, int, int]
"""What happens; how many seconds after the last; to which worker; of which promise; good and bad calls."""

HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["calls", "calls", "calls", "dies", "leader"]),
        st.one_of(st.floats(0, 400), st.floats(0, 40_000)),
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
        st.integers(0, 50),
        st.integers(0, 20),
    ),
    max_size=60,
)


class Workers:
    """A few workers that count for themselves, and one that adds up: what it was may be gone at any time."""

    def __init__(self) -> None:
        self.now_s = float(START_S)
        self.gathered = Gathered()
        self.kept = self.gathered.kept(self.now_s)
        self.counts: dict[str, dict[str, Counts]] = {}
        self.ids = [f"w{n}" for n in range(4)]
        self.log: list[tuple[float, str, int, int]] = []

    def happen(self, what: Happening) -> None:
        kind, later_s, worker, name, good, bad = what
        self.now_s += later_s
        if kind == "calls":
            before = self.counts.setdefault(self.ids[worker], {}).get(name, Counts())
            self.counts[self.ids[worker]][name] = Counts(before.good + good, before.bad + bad)
            self.log.append((self.now_s, name, good, bad))
        elif kind == "dies":
            self.ids[worker] += "'"  # what starts in its place is another one; what it wrote stays
        else:  # all that the leader has not kept is gone with it
            self.gathered = Gathered.of(msgspec.msgpack.decode(msgspec.msgpack.encode(self.kept), type=Kept))
        for one, tallies in self.counts.items():
            self.gathered.take(one, tallies, self.now_s)
        self.kept = self.gathered.kept(self.now_s)

    def naive(self, objective: Objective, span_s: int, step_s: int) -> Counts:
        first = int(self.now_s) // step_s - span_s // step_s
        of = [
            (good, bad)
            for at_s, name, good, bad in self.log
            if name == objective.name and int(at_s) // step_s >= first
        ]
        return Counts(sum(good for good, _ in of), sum(bad for _, bad in of))


def rate(counts: Counts, objective: Objective) -> float:
    return counts.bad / sum(counts) / objective.may_fail if counts.bad else 0.0


@given(HAPPENINGS)
def test_burn_rates_are_those_of_all_calls_whoever_counted_them(happenings: Sequence[Happening]) -> None:
    workers = Workers()
    for what in happenings:
        workers.happen(what)
        for standing in workers.gathered.standings(PROMISES, workers.now_s):
            _compare(standing, workers)


def _compare(standing: Standing, workers: Workers) -> None:
    one = standing.objective
    counted = workers.naive(one, one.days * 86_400, 3600)
    assert standing.counted == counted
    assert standing.budget_left == 1 - rate(counted, one)
    for burn in standing.burns:
        naive = [rate(workers.naive(one, span, 60), one) for span in (burn.alert.long_s, burn.alert.short_s)]
        assert [burn.long, burn.short] == naive
        assert burn.burns == (min(naive) > burn.alert.burn)
        is_enough = workers.naive(one, burn.alert.long_s, 60).bad >= one.min_bad
        assert burn.is_on == (burn.burns and is_enough)


def test_older_words_of_a_worker_change_nothing() -> None:
    gathered, seen = Gathered(), []
    for counts in (Counts(5, 1), Counts(3, 1), Counts(5, 1), Counts(6, 1)):
        gathered.take("w", {"a": counts}, START_S)
        seen.append(gathered.standings(PROMISES[:1], START_S)[0].counted)
    assert seen == [(5, 1), (5, 1), (5, 1), (6, 1)]


def test_what_a_forgotten_worker_counted_stays() -> None:
    gathered = Gathered()
    gathered.take("w", {"a": Counts(5, 1)}, START_S)
    gathered.forget("w")
    assert gathered.workers == set()
    assert gathered.standings(PROMISES[:1], START_S)[0].counted == (5, 1)


def test_what_no_receiver_has_is_not_kept_as_told() -> None:
    gathered = Gathered()
    gathered.told = {"page a": 1.0, "page b": 2.0}
    gathered.delivered = {"page b": 2.0, "ticket c": 3.0}  # of the last one the end is on its way
    assert Gathered.of(gathered.kept(START_S)).told == {"page b": 2.0, "ticket c": 3.0}


def test_what_was_kept_before_alarms_lasted_is_read() -> None:
    kept = {"at_unix_s": 1.0, "pasts": {}, "seen": {}, "told": {"page a": 1.0}}
    gathered = Gathered.of(msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Kept))
    assert (gathered.told, gathered.lasts) == ({"page a": 1.0}, {})
