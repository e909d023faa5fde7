"""What the configuration says of reading calls, compiled: kinds of task, and labels of sensitive data.

Pure. Must not know routes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.config.signals import SensitivitySpec, TaskSpec
from gateway.routing.signals.sensitive import Labels, compile_labels
from gateway.routing.signals.task import Tasks, compile_tasks
from gateway.texts.patterns import pattern_problem

__all__ = ["Readers", "compile_readers", "pattern_problem"]


class Readers(msgspec.Struct, frozen=True):
    """How calls are read."""

    tasks: Tasks
    labels: Labels
    headers: tuple[str, ...] = ()
    """The headers that conditions ask for, in lower case: those that decisions are recorded with."""
    reads_metadata: bool = False
    """Some condition asks for metadata: only then is it recorded with decisions, for it may hold anything."""


def compile_readers(tasks: Mapping[str, TaskSpec], sensitivity: SensitivitySpec) -> Readers:
    """Compile `tasks` and `sensitivity`; every pattern in them has no `pattern_problem`."""
    return Readers(compile_tasks(tasks), compile_labels(sensitivity))
