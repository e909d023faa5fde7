"""A fault and its verdict: what an upstream does on the wire, and what a client then gets. Data only.

A verdict is said once for all clients: `rig.faults.verdicts` reads it in each dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rig.script import Answer, Header
from rig.upstream import Seen

FIRST_TOKEN_MS = 320
GAP_MS = 500
DEADLINE_MS = 900
CONNECT_MS = 300
"""The limits that end a fault which nothing else ends; such a fault meets one of them."""
PATIENCE_MS = 12_000
"""The limits that are not meant to be met, however busy the machine is."""
MAX_EVENT_BYTES = MAX_ANSWER_BYTES = 1 << 20
"""The limits that are set for all faults."""

Limit = Literal["none", "connect", "first_token", "gap", "deadline"]

Play = Answer | Callable[[Seen, int], Answer]
"""What is answered; a function is given the request, and how many of this call came before it."""


@dataclass(frozen=True)
class Told:
    """An error. `code` is the gateway's word, `own` the upstream's: clients of its API see that one."""

    status: int
    code: str
    own: str = ""
    words: str = ""
    """Part of the message."""
    headers: Sequence[Header] = ()
    """What the client is told beside it, where nothing else answers."""


GIVEN_UP = Told(504, "upstream_timeout")
"""What the gateway says of an upstream that kept it waiting for too long."""


@dataclass(frozen=True)
class Falls:
    """The client never sees it: the fallback `to` answers. Without one it gets the error."""

    told: Told
    to: str = "well"


@dataclass(frozen=True)
class Final:
    """The client gets the error, fallback or not: nobody else would answer otherwise."""

    told: Told


@dataclass(frozen=True)
class Answered:
    """The client gets the failing upstream's own answer, whole, mended where it was careless.

    `finish` is chat's word for why it ended; empty: none is asked for.
    """

    text: str
    finish: str = "stop"


@dataclass(frozen=True)
class Spare:
    """A whole answer that says nothing: the fallback answers; without one the client gets it as it is."""

    to: str = "well"


@dataclass(frozen=True)
class Breaks:
    """The client gets the `text` so far, then the error inside its stream, and no regular end."""

    text: str
    told: Told


Verdict = Falls | Final | Answered | Spare | Breaks


@dataclass(frozen=True)
class Case:
    """What is played for one kind of call, and what becomes of it."""

    play: Play
    verdict: Verdict


@dataclass(frozen=True)
class Fault:
    """A fault; None where it makes no sense for a whole answer, or for a stream."""

    name: str
    whole: Case | None
    stream: Case | None
    backend: str = "faulty"
    """Where it is played: most by the upstream that is told by the model's name what to do."""
    own_backend: bool = False
    """It leaves a trace at its backend: each call gets one of its own."""
    repeated: bool = False
    """The transport may ask again: a connection out of its pool is gone before it has answered a byte."""
    meets: Limit | None = None
    """Which limit has to be short for it; None: its verdict says that."""

    @property
    def limit(self) -> Limit:
        """The one limit that is short for it. All others are patient: a busy machine is not to meet them."""
        if self.meets is not None:
            return self.meets
        verdicts = [case.verdict for case in (self.whole, self.stream) if case is not None]
        if any(isinstance(verdict, Falls) and verdict.told == GIVEN_UP for verdict in verdicts):
            return "first_token"
        stalls = any(isinstance(verdict, Breaks) and verdict.told == GIVEN_UP for verdict in verdicts)
        return "gap" if stalls else "none"

    def case(self, *, stream: bool) -> Case | None:
        return self.stream if stream else self.whole


def both(
    name: str,
    play: Play,
    verdict: Verdict,
    *,
    backend: str = "faulty",
    own_backend: bool = False,
    repeated: bool = False,
    meets: Limit | None = None,
) -> Fault:
    """A fault that is the same for whole answers and for streams."""
    case = Case(play, verdict)
    return Fault(name, case, case, backend, own_backend, repeated, meets)
