"""Where calls with sensitive data may go: the one rule that no route can loosen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from gateway.config.signals import OnlySpec, SensitivitySpec

RESTRICTED = "restricted"
"""The label that is always there."""


class Sensitivity(msgspec.Struct, frozen=True):
    """By label: whether self-hosted backends may have such calls, and the globs of further regions.

    A label that is not here goes anywhere.
    """

    only: Mapping[str, tuple[bool, tuple[str, ...]]] = {}

    def forbids(self, labels: frozenset[str], region: str, *, self_hosted: bool) -> str:
        """Name a label whose calls may not go to such a backend; empty: none."""
        if not labels:
            return ""
        for label in sorted(labels):
            if label in self.only and not _allows(self.only[label], region, self_hosted=self_hosted):
                return label
        return ""


def compile_sensitivity(spec: SensitivitySpec) -> Sensitivity:
    """Compile what is written of labels. `restricted` is for self-hosted backends, unless it says else."""
    only = {label: _written(seen.only) for label, seen in spec.labels.items() if seen.only is not None}
    only.setdefault(RESTRICTED, (True, ()))
    return Sensitivity(only)


def _written(only: OnlySpec) -> tuple[bool, tuple[str, ...]]:
    return only.self_hosted, only.regions


def _allows(only: tuple[bool, tuple[str, ...]], region: str, *, self_hosted: bool) -> bool:
    hosted, regions = only
    if hosted and self_hosted:
        return True
    return bool(region) and any(fnmatchcase(region, glob) for glob in regions)
