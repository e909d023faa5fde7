"""What a call has to pass before it goes anywhere: its limits, by what it is expected to use.

Settled, it teaches what to expect of the next ones. Must not know stores, nor how a call is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from gateway.admission.desk import Desk
from gateway.admission.lease import (
    PLACES,
    Amounts,
    CallLease,
    Line,
    amounts_of,
    money_of,
    most_nanousd,
    put_back,
)
from gateway.errors import BadRequest, Denied
from gateway.exchange import Attempt, Call, Feature, Format, Record
from gateway.formats.request.output_limit import choices_of, output_limit_of, with_output_limit
from gateway.formats.request.tier import tier_asked
from gateway.quotas.estimates import Estimates
from gateway.quotas.patience import Patience
from gateway.quotas.rules import Metric, Rule, Rules, Scope
from gateway.routing.filters import WORDLESS
from gateway.routing.plans import Plan
from gateway.routing.signals.signals import Signals

MARGIN = 1.15
"""By so much a prompt may be longer than estimated: what is reserved should not be less than what is used."""

_BY_SIZE: frozenset[Metric] = frozenset({"input_tokens", "output_tokens", "tokens", "nanousd"})

_NEVER_MS = 1 << 62
_LEAST_BYTES = 2
"""Of a request, to a token: in English it is 5 and more."""
_ALL_OF, _ONE_OF = 1000, 8
"""Of so many calls all teach something; then one of eight does: it costs more than all else."""
_NOT_TEXT: frozenset[Feature] = frozenset({"images", "audio", "files"})

Notes = Callable[[Sequence[Line], Format, int], list[tuple[bytes, bytes]]]
"""Writes the headers that tell a client of a format how its limits stand at a time (Unix ms)."""


class _Entry(msgspec.Struct):
    """What holds for callers like one that was here before."""

    lines: list[Line]
    bounds: tuple[Rule, ...]
    is_sized: bool
    """Some counter asks how large a call is."""
    is_soft: bool
    """Some limit only says that it is reached."""
    ends_ms: int
    """When the first of the periods is over."""
    noted: tuple[int, int, Format] | None = None
    """When the headers were written: after how many changes, in which eighth of a second; and for whom."""
    notes: tuple[tuple[bytes, bytes], ...] = ()


class Entrance:
    """Of one configuration, in one worker."""

    def __init__(
        self, rules: Rules, desk: Desk, estimates: Estimates, notes: Notes, patience: Patience | None
    ) -> None:
        self.rules = rules
        self.desk = desk
        self._entries: dict[tuple[object, ...], _Entry] = {}
        self._generation = self._seen = 0
        self._estimates = estimates
        self._write_notes = notes
        self._patience = patience

    async def admit(self, plan: Plan, record: Record) -> Call:
        """Let a planned call in, which then has a lease where limits hold for it.

        Returns the call, or another one in its place: with its output capped; or for a cheaper route, and
        then without a lease: it has to be planned and let in anew.
        Raises QuotaExceeded, BudgetExceeded; BadRequest for one that is larger than it may be; StoreDown.
        """
        call, desk = plan.demand.signals.call, self.desk
        desk.watcher.called(call.caller, record.started_s)
        if not self.rules.every:
            return call
        now_ms = desk.store.now_ms()
        entry = self._entry(plan, now_ms)
        if not (entry.lines or entry.bounds):
            return call
        spent = _spent(entry.lines) if entry.is_soft else ()
        is_as_asked = call.envelope.model == record.model
        if spent and is_as_asked and (other := _other_route(call, spent)) is not None:
            return other
        lease = CallLease(self._take_more)
        lease.compared = desk.compared
        expected = _Expected(plan, self._estimates) if entry.is_sized or entry.bounds else None
        if expected is not None:
            call = self._sized(call, expected, entry, lease)
        lease.taken, short = desk.take_here(entry.lines, lease.planned, now_ms)
        if short:
            await self._take_exactly(call, entry, lease, expected)
        lease.notes.extend(self._notes(entry, call.format, now_ms))
        lease.notes.extend((b"x-forebay-over-budget", rule.name.encode()) for rule in spent)
        if not is_as_asked:
            lease.notes.append((b"x-forebay-downgraded", call.envelope.model.encode()))
        record.lease = lease
        return call

    async def _take_exactly(
        self, call: Call, entry: _Entry, lease: CallLease, expected: _Expected | None
    ) -> None:
        """Take from the store what there is not enough of here, no more than the call is expected to use."""
        put_back(lease.taken)
        now_ms = self.desk.store.now_ms()
        if expected is not None:
            lease.planned = expected.amounts()
        try:
            lease.taken = await self.desk.take(entry.lines, lease.planned, now_ms)
        except Denied as error:
            error.notes = (*error.notes, *self._notes(entry, call.format, now_ms))
            await self._let_wait(call.caller.tenant)
            raise

    def _sized(self, call: Call, expected: _Expected, entry: _Entry, lease: CallLease) -> Call:
        """Return the call within its bounds; the lease learns what to take, and who is told what was used."""
        for rule in entry.bounds:
            call = expected.bounded(call, rule)
        lease.planned, lease.tier = expected.at_most(), expected.tier
        self._seen += 1
        if self._seen < _ALL_OF or not self._seen % _ONE_OF:
            lease.settled = expected.learn
        return call

    def _entry(self, plan: Plan, now_ms: int) -> _Entry:
        """Find what holds for a call. All else of its scope follows from its tenant, key and team."""
        signals = plan.demand.signals
        caller, is_streamed = signals.caller, signals.stream
        user = signals.user if self.rules.looks_at_users else ""
        name = (caller.tenant, caller.key, caller.team, user, plan.route.name, signals.model, is_streamed)
        entry = self._entries.get(name)
        if entry is None or now_ms >= entry.ends_ms or self._generation != self.desk.generation:
            if len(self._entries) >= self.rules.REMEMBERED or self._generation != self.desk.generation:
                self._entries.clear()
                self._generation = self.desk.generation
            entry = self._entries[name] = self._new_entry(_scope_of(plan, user), now_ms, streamed=is_streamed)
        return entry

    def _new_entry(self, scope: Scope, now_ms: int, *, streamed: bool) -> _Entry:
        terms = self.rules.terms(scope)
        held = [one for one in terms.held if streamed or one.line.metric != "streams"]
        lines = [Line(one, self.desk.pocket(one, now_ms), PLACES[one.line.metric]) for one in held]
        return _Entry(
            lines,
            terms.bounds,
            is_sized=any(one.line.metric in _BY_SIZE for one in held),
            is_soft=any(one.rule.over != "deny" for one in held),
            ends_ms=min((line.pocket.counter.ends_ms or _NEVER_MS for line in lines), default=_NEVER_MS),
        )

    def _notes(self, entry: _Entry, format_: Format, now_ms: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers about an entry's limits; written anew only where they would say otherwise."""
        noted = (self.desk.changes, now_ms >> 7, format_)
        if entry.noted != noted:
            entry.noted, entry.notes = noted, tuple(self._write_notes(entry.lines, format_, now_ms))
        return entry.notes

    async def _let_wait(self, tenant: str) -> None:
        """Be slow to answer whoever goes on asking: others have better use for the time."""
        late_s = 0.0 if self._patience is None else self._patience.delay_s(tenant, monotonic())
        if late_s > 0:
            await asyncio.sleep(late_s)

    async def _take_more(self, lease: CallLease, nanousd: int) -> bool:
        """Take more money for a call under way."""
        try:
            more = await self.desk.take(lease.money(), money_of(nanousd), self.desk.store.now_ms())
        except Denied:
            return False
        lease.grown(more, nanousd)
        return True


class _Expected:
    """What one call will use, as far as anybody can say before it is made."""

    def __init__(self, plan: Plan, estimates: Estimates) -> None:
        self._signals: Signals = plan.demand.signals
        self._estimates = estimates
        self._route = plan.route.name
        first = plan.choice.candidates[0].deployment if plan.choice.candidates else None
        self._model = first.model if first is not None else self._signals.model
        self._name = first.name if first is not None else self._model
        self._price = first.price if first is not None else None
        self._most_tokens = first.facts.output_tokens if first is not None else None
        self._limit_name = first.site.output_limit if first is not None else "max_completion_tokens"
        self._is_wordless = self._signals.format in WORDLESS
        self._asked = None if self._is_wordless else output_limit_of(self._signals.call)
        self._choices = choices_of(self._signals.call)
        self.tier = tier_asked(self._signals.call)

    def bounded(self, call: Call, rule: Rule) -> Call:
        """Return the call within the bounds of a rule. Raises BadRequest."""
        most = rule.most_prompt_tokens
        if most is not None and (tokens := self._prompt_tokens()) > most:
            raise BadRequest(
                f"the prompt has about {tokens:,} tokens, the limit {rule.name!r} is {most:,}",
                code="prompt_too_long",
            )
        most = rule.most_output_tokens
        if most is None or self._is_wordless or (self._asked is not None and self._asked <= most):
            return call
        if self._asked is not None and not rule.caps_output:
            raise BadRequest(
                f"{self._asked:,} tokens of output are asked for, the limit {rule.name!r} is {most:,}",
                code="output_too_long",
            )
        self._asked = most
        return with_output_limit(call, most, self._limit_name)

    def at_most(self) -> Amounts:
        """Return what is more than enough for nearly every call: told 20 us faster than what will do."""
        return self._amounts(self._signals.size_bytes // _LEAST_BYTES + 1)

    def amounts(self) -> Amounts:
        """Return what to reserve where there is no plenty."""
        return self._amounts(int(self._prompt_tokens() * MARGIN) + 1)

    def _amounts(self, input_tokens: int) -> Amounts:
        output_tokens = 0
        if not self._is_wordless:
            each = self._estimates.output_tokens(self._route, self._model, self._asked, self._most_tokens)
            output_tokens = each * self._choices
        nanousd = most_nanousd(self._price, input_tokens, output_tokens, self.tier)
        return amounts_of(input_tokens, output_tokens, nanousd)

    def learn(self, attempts: Sequence[Attempt]) -> None:
        """Learn from what providers reported."""
        signals = self._signals
        for attempt in attempts:
            usage = attempt.usage
            if usage is None or usage.origin != "reported" or attempt.cause:
                continue
            if not signals.features & _NOT_TEXT:  # of those the estimate says nothing that could be learnt
                name = f"{attempt.backend}/{attempt.model}"
                self._estimates.learn_input(name, signals.said, usage.input_tokens)
            each = usage.output_tokens // self._choices
            self._estimates.learn_output(self._route, attempt.model, each)

    def _prompt_tokens(self) -> int:
        return self._estimates.input_tokens(self._name, self._signals.said)


def _scope_of(plan: Plan, user: str) -> Scope:
    caller = plan.demand.signals.caller
    return Scope(
        tenant=caller.tenant,
        team=caller.team,
        key=caller.key,
        user=user,
        route=plan.route.name,
        model=plan.demand.signals.model,
        tags=caller.tags,
        timezone=caller.timezone,
    )


def _spent(lines: Sequence[Line]) -> list[Rule]:
    """Return the soft budgets of which nothing is left."""
    return [
        line.held.rule
        for line in lines
        if line.held.rule.over != "deny" and not line.held.rule.shadow and line.pocket.is_full
    ]


def _other_route(call: Call, spent: Sequence[Rule]) -> Call | None:
    """Return the call for the route that a spent budget has for that; None: it stays on its own."""
    other = next((rule.downgrade for rule in spent if rule.downgrade), call.envelope.model)
    if other == call.envelope.model:
        return None
    # What the key may ask for by name says nothing of where its tenant's policy sends it.
    caller = msgspec.structs.replace(call.caller, routes=())
    envelope = msgspec.structs.replace(call.envelope, model=other)
    return msgspec.structs.replace(call, caller=caller, envelope=envelope)
