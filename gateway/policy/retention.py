"""policies/retention.yaml: how long the ledger remembers, and what of the users that clients name.

It knows the names of the ledger's tables, and nothing of how they forget. A pseudonym is no anonymity: who
knows all users of a tenant can find out which one it stands for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.config.located import Located
from gateway.config.spec import Spec
from gateway.errors import ConfigErrors

Days = Annotated[int, Meta(ge=1, le=36_500)]
LongDays = Annotated[int, Meta(ge=35, le=36_500)]
Users = Literal["keep", "digest", "drop"]

DIGEST_BYTES = 12


class RetentionSpec(Spec, frozen=True, kw_only=True):
    """How long the ledger remembers; `null` is for ever."""

    raw_days: Annotated[
        LongDays | None,
        Meta(description="Days that single calls are kept; 35 at least: the month's budgets stand on them."),
    ] = 100
    minute_days: Annotated[Days | None, Meta(description="Days that the sums of minutes are kept.")] = 14
    hour_days: Annotated[
        LongDays | None,
        Meta(description="Days that the sums of hours are kept: no fewer than raw_days."),
    ] = 400
    day_days: Annotated[
        LongDays | None,
        Meta(description="Days that the sums of days are kept: no fewer than hour_days."),
    ] = None
    users: Annotated[
        Users, Meta(description="What is written down of end users and conversations that clients name.")
    ] = "keep"


class Retention(msgspec.Struct, frozen=True):
    """The compiled policy."""

    days: Mapping[str, int | None]
    """By table."""
    users: Users

    def of(self, tenant: str, named: str) -> str:
        """Return what is written down of a user or a conversation that a client has named."""
        if self.users == "keep" or not named:
            return named
        if self.users == "drop":
            return ""
        told = f"{tenant}\0{named}".encode(errors="surrogatepass")
        return hashlib.blake2b(told, digest_size=DIGEST_BYTES).hexdigest()


def compile(spec: Located[RetentionSpec] | None) -> Retention:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file."""
    asked = RetentionSpec() if spec is None else spec.value
    if spec is not None:
        errors = [
            spec.error((longer,), f"shorter than {shorter}", "what is coarser must be kept at least as long")
            for shorter, longer in (
                ("raw_days", "hour_days"),
                ("minute_days", "hour_days"),
                ("hour_days", "day_days"),
            )
            if _ends_before(getattr(asked, longer), getattr(asked, shorter))
        ]
        if errors:
            raise ConfigErrors(errors)
    days = {
        "ledger": asked.raw_days,
        "usage_minute": asked.minute_days,
        "usage_hour": asked.hour_days,
        "usage_day": asked.day_days,
    }
    return Retention(days, asked.users)


def _ends_before(one: int | None, other: int | None) -> bool:
    return one is not None and (other is None or one < other)
