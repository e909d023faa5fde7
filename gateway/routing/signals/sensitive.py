"""Say which labels of sensitive data a call carries: those its client names, and those that are detected.

A label that is detected cannot be talked away: the header only adds. Must not know backends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.config.signals import SensitivitySpec
from gateway.errors import BadRequest
from gateway.exchange import Call
from gateway.routing.sensitivity import RESTRICTED
from gateway.routing.signals.text import FILE_LIKE, outer_text_of, with_files
from gateway.texts.detectors import Detector, finds, suspect
from gateway.texts.patterns import AnyOf, TooMany


class Label(msgspec.Struct, frozen=True, gc=False):
    """How one label is found."""

    name: str
    detect: tuple[Detector, ...]
    patterns: AnyOf


class Labels(msgspec.Struct, frozen=True):
    """What is compiled from the configuration of sensitive data."""

    header: str
    known: frozenset[str]
    found: tuple[Label, ...]
    """Those that texts are searched for."""
    suspect: Callable[[bytes], object] | None
    """One look for all detectors, and for files that they would have to look into; None: no label has one."""
    suspects: Mapping[Detector, Callable[[bytes], object]]
    """One for each."""
    by_pattern: bool
    """Some label has patterns of its own: then every text is searched."""

    def of(self, call: Call) -> frozenset[str]:
        """Return the labels of a call. Raises BadRequest for a name in the header that is no label."""
        named = self._named(call)
        if not self.found:
            return named
        try:
            text = outer_text_of(call)
            suspicious = self.suspect is not None and self.suspect(text) is not None
            if not suspicious and not self.by_pattern:
                return named
            text = with_files(text)
        except TooMany:  # who hides so much has something to hide, as far as we can tell in good time
            return named | {label.name for label in self.found}
        suspects = self.suspects.items() if suspicious else ()
        held = {kind for kind, look in suspects if look(text) is not None and finds(kind, text)}
        return named | {
            label.name
            for label in self.found
            if not held.isdisjoint(label.detect) or label.patterns.found_in(text)
        }

    def _named(self, call: Call) -> frozenset[str]:
        line = call.headers.get(self.header)
        if not line:
            return frozenset()
        names = frozenset(name for part in line.split(",") if (name := part.strip().lower()))
        if not names <= self.known:
            unknown = min(names - self.known)
            raise BadRequest(
                f"the header {self.header} names the label {unknown[:100]!r}, which is not one of: "
                + ", ".join(sorted(self.known)),
                param=self.header,
                code="unknown_label",
            )
        return names


def compile_labels(spec: SensitivitySpec) -> Labels:
    """Compile what is written of sensitive data. Its patterns were checked before."""
    found = tuple(
        Label(name, seen.detect, AnyOf(seen.patterns))
        for name, seen in spec.labels.items()
        if seen.detect or seen.patterns
    )
    kinds = _kinds(found)
    return Labels(
        spec.header.lower(),
        frozenset(spec.labels) | {RESTRICTED},
        found,
        suspect(kinds, FILE_LIKE) if kinds else None,
        {kind: suspect(frozenset({kind})) for kind in sorted(kinds)},
        any(label.patterns for label in found),
    )


def _kinds(found: tuple[Label, ...]) -> frozenset[Detector]:
    return frozenset(kind for label in found for kind in label.detect)
