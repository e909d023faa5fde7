"""What every Spec is made of: the parent Struct and the types that several files share.

Knows no file and no decoder; `located` reads the marks that are left here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Secret = Annotated[
    str,
    msgspec.Meta(
        description="A secret: given as ${VAR} or ${file:/path}, never written here.",
        extra={"secret": True},
        extra_json_schema={"pattern": r"^\$\{"},
    ),
]
"""A text that may only come from a variable or a file."""

Dollars = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,7}(\.[0-9]{1,18})?$")] | float
"""Quoted or not. It is read as the first of these, text, so that it stays exact."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parsed YAML. `repr` names the type alone: credentials, headers and URLs may hold secrets."""

    def __repr__(self) -> str:
        """Name the type, none of its values."""
        return f"<{type(self).__name__}>"
