"""The two lists of what is not carried, which may only get shorter.

A line is `format side path  # reason`. `unmodelled.txt` has members of recorded JSON that no type takes,
`unkept.txt` what is different after a request or answer was decoded and encoded again.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def read(name: str) -> dict[tuple[str, str], set[str]]:
    """The paths of a ledger by format and side."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in (FOLDER / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        entry, _, reason = line.partition("  # ")
        assert reason, f"{name}: a line without its reason: {line}"
        format_, side, path = entry.split()
        found.setdefault((format_, side), set()).add(path)
    return found
