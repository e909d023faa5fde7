"""Have a small model say what kind of task a call is, where no keyword did.

It is asked by a route of its own, and goes only where the data of the call may go. When it does not answer
in time, or with no task that there is, the call goes on without one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from time import monotonic

import msgspec

from gateway.attempts.asking import ask
from gateway.config.signals import ClassifierSpec
from gateway.errors import GatewayError
from gateway.exchange import Call, Record
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.routing.plans import Plan, Routing
from gateway.routing.signals.signals import TASK_HEADER, Signals
from gateway.routing.table import allows


class Ways(msgspec.Struct, frozen=True):
    """How a classifier gets at the rest of the gateway."""

    routing: Routing
    plan: Callable[[Call], Plan]
    settle: Callable[[Record], None]


_REMEMBERED = 4096
_MOST_BYTES = 4000
"""Of the turn: its beginning says what is wanted."""

_QUESTION = """\
Say which kind of task the user's message is. The kinds:
{kinds}
Answer with one of these words and nothing else: {names}, or none."""


class Classifier:
    """Asks the route that `spec` names. `about` names the routes whose rules look at tasks.

    `kinds` has what each kind of task is, in words for the model.
    """

    def __init__(
        self, spec: ClassifierSpec, kinds: Mapping[str, str], about: frozenset[str], ways: Ways
    ) -> None:
        self._route, self._timeout_s = spec.route, spec.timeout_s
        lines = "\n".join(f"- {name}: {text}" if text else f"- {name}" for name, text in kinds.items())
        self._question = _QUESTION.format(kinds=lines, names=", ".join(kinds))
        self._kinds = frozenset(kinds)
        self._about = about
        self._ways = ways
        self._known: OrderedDict[bytes, str] = OrderedDict()

    async def label(self, call: Call, record: Record) -> Call:
        """Return the call with its task in a header, where a model had to tell it, and did."""
        routing = self._ways.routing
        route = routing.routes.find(call.envelope.model)
        if route is None or route.name not in self._about or not _may_use(call):
            return call
        signals = Signals(call, routing.readers)
        words = signals.turn[:_MOST_BYTES].decode(errors="replace")
        if signals.task or not words:
            return call
        key = blake2b(words.encode(), digest_size=16).digest()
        if (task := self._known.get(key)) is None:
            task = await self._ask(words, signals, record)
            if task is None:
                return call
            self._remember(key, task)
        if not task:
            return call
        return msgspec.structs.replace(call, headers={**call.headers, TASK_HEADER: task})

    def _remember(self, key: bytes, task: str) -> None:
        self._known[key] = task
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _ask(self, words: str, of: Signals, record: Record) -> str | None:
        """Return what is answered, empty for no task; None: nothing is, and another time it may be."""
        call = of.call
        own = Record(f"{record.call_id}-task", "chat", monotonic())
        own.purpose, own.made_for = "classify", record.call_id
        own.tenant, own.key, own.class_ = call.caller.tenant, call.caller.key, call.caller.class_
        own.trace = None if record.trace is None else record.trace.child()
        own.model = own.route = self._route
        asking = own.call = self._question_about(words, of)
        try:
            async with asyncio.timeout(self._timeout_s):
                said = await ask(asking, self._ways.plan(asking), own)
        except TimeoutError:
            own.status = 504
            return None
        except GatewayError as error:
            own.error, own.status = error, error.status
            return None
        except asyncio.CancelledError:  # the client has gone
            own.ending = "client_gone"
            raise
        finally:
            self._ways.settle(own)
        word = said.strip().strip(".`'\"").lower()
        return word if word in self._kinds else ""

    def _question_about(self, words: str, of: Signals) -> Call:
        """Ask about the last turn alone; what the whole call is labelled as holds for its parts too."""
        turns = [{"role": "system", "content": self._question}, {"role": "user", "content": words}]
        body = {"model": self._route, "messages": turns, "max_tokens": 16, "temperature": 0}
        members = decode_members(msgspec.json.encode(body))
        headers = {**of.headers, of.readers.labels.header: ",".join(sorted(of.labels))}
        # Whose keys may use one route only are asked about by way of another all the same.
        caller = msgspec.structs.replace(of.caller, routes=())
        return Call("chat", caller, decode_envelope(members), members, headers)


def _may_use(call: Call) -> bool:
    """Whether the call goes on at all: of one that will be turned away nothing is asked."""
    return allows(call.caller.routes, call.envelope.model)
