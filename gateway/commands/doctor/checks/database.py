"""Whether the database of keys answers, has our tables, and whether anybody has a key."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from gateway.commands.doctor.finding import Finding, Told, fail, ok, skipped, warn
from gateway.commands.doctor.running import aside
from gateway.compose.examining import KeysFacts, keys_url, look_at_keys
from gateway.compose.reading import Config
from gateway.errors import StoreDown

_NAME: Final = "database"
_SERVE: Final = "The next start brings it up to date: forebay serve"


async def look_at_database(config: Config, state_dir: Path) -> list[Told]:
    """Ask the database of keys, and count the keys of the file with those that are there."""
    known = config.tenants
    is_token = bool(known.issuers)
    try:
        facts = await aside(partial(look_at_keys, keys_url(config, state_dir)))
    except FileNotFoundError:
        seen = "there is no file yet: the first start makes it"
        return [skipped(_NAME, seen), judge_callers(len(known.keys), 0, is_token=is_token)]
    except StoreDown as error:
        todo = "Look at that server, and at server.database_url; static keys and tokens go on working."
        return [fail(_NAME, error.message, todo)]
    return [judge_database(facts), judge_callers(len(known.keys), facts.keys, is_token=is_token)]


def judge_database(facts: KeysFacts) -> Finding:
    """Judge a database that answers."""
    if facts.revision is None:
        return warn(_NAME, "it has none of our tables yet", _SERVE)
    if facts.revision > facts.newest:
        seen = f"its schema {facts.revision} is newer than this Forebay, which knows {facts.newest}"
        return fail(_NAME, seen, "Upgrade Forebay here.")
    if facts.revision < facts.newest:
        return warn(_NAME, f"its schema is {facts.revision}, not {facts.newest}", _SERVE)
    return ok(_NAME, f"its schema is {facts.revision}")


def judge_callers(written: int, made: int | None, *, is_token: bool) -> Finding:
    """Say whether anybody can call: with a key of the file or of the database, or with a token."""
    if made is None:
        return skipped("keys", "those of the database cannot be counted")
    tokens = ", and tokens are taken" if is_token else ""
    if written or made or is_token:
        return ok("keys", f"{written} of policies/tenants.yaml, {made} of the database{tokens}")
    return warn(
        "keys", "nobody has one, and no issuer's tokens are taken", "forebay keys create --tenant NAME"
    )
