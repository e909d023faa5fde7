"""Whether Python and the packages are those that this Forebay was tested with.

Source: PEP 508; the project pins every direct dependency with `==`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Final

import msgspec

from gateway.commands.doctor.finding import Finding, Told, ok, skipped, warn

_NAME: Final = "packages"
_DISTRIBUTION: Final = "forebay"
_PINNED = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*==\s*([^\s;,]+)\s*(;.*)?")


class Pin(msgspec.Struct, frozen=True):
    """A package that is wanted in one version. Optional: an extra's, or of some Pythons only."""

    package: str
    version: str
    is_optional: bool


async def look_at_packages() -> list[Told]:
    """Compare what is installed with what the installed Forebay asks for."""
    python = ".".join(map(str, sys.version_info[:3]))
    found: list[Told] = [ok("python", f"{python} at {sys.prefix}")]
    try:
        wanted = metadata.requires(_DISTRIBUTION) or []
        own = metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return [*found, skipped(_NAME, "Forebay is not installed as a package: nothing to compare with")]
    return [*found, judge_packages(own, list(pins(wanted)), _installed)]


def pins(wanted: Sequence[str]) -> Iterator[Pin]:
    """Read what a distribution asks for; what it does not pin is left out."""
    for text in wanted:
        if found := _PINNED.fullmatch(text):
            yield Pin(found[1], found[2], found[3] is not None)


def judge_packages(own: str, wanted: Sequence[Pin], installed: Callable[[str], str]) -> Finding:
    """Name the packages that are missing or of another version; `installed` gives one, empty: none."""
    odd = []
    for pin in wanted:
        version = installed(pin.package)
        if version != pin.version and (version or not pin.is_optional):
            odd.append(f"{pin.package} {version or 'is missing'} (wanted: {pin.version})")
    if odd:
        return warn(_NAME, "; ".join(odd), f"pip install --upgrade {_DISTRIBUTION}=={own}")
    return ok(_NAME, f"{_DISTRIBUTION} {own}; {len(wanted)} packages are as it asks for")


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
