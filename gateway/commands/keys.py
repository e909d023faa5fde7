"""`forebay keys`: hand keys out, list them, end them.

It must not know which store holds them. The plain key is written once, to whoever asked for it; nothing
else here ever holds it.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

from gateway.errors import StoreDown
from gateway.identity.keys import PREFIX, digest_of, is_well_formed, mint_key, mint_key_id
from gateway.stores import KeyLedger, StoredKey

Tenants = Mapping[str, object]
"""By the names of the tenants; what they may is no concern of this module."""

_UNIT_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST_S: Final = 36_525 * 86_400
"""A hundred years: a longer life is a slip of the finger."""

_LONGEST_NAME: Final = 200
_TEAM: Final = re.compile(r"[!-~]{0,128}")


class Refused(Exception):
    """A command that cannot be done as asked; the text says why and what to do."""


class Rights(msgspec.Struct, frozen=True):
    """What a new key is for; `lifetime_s` None: it does not expire."""

    tenant: str
    routes: tuple[str, ...]
    name: str = ""
    lifetime_s: int | None = None
    team: str = ""
    admin: bool = False


def create(store: KeyLedger, tenants: Tenants, rights: Rights, now_unix_s: int) -> tuple[str, StoredKey]:
    """Make and store a key; gives the plain key, which is kept nowhere, and its record.

    Raises Refused for an unknown tenant or an unfit name or team, StoreDown.
    """
    if rights.tenant not in tenants:
        known = f"policies/tenants.yaml has {', '.join(sorted(tenants)) or 'none'}"
        raise Refused(f"unknown tenant {rights.tenant!r}{_suggestion(rights.tenant, tenants)} ({known})")
    if len(rights.name) > _LONGEST_NAME or not rights.name.isprintable():
        raise Refused(f"a name has at most {_LONGEST_NAME} characters, on one line")
    if not _TEAM.fullmatch(rights.team):
        raise Refused("a team's name has at most 128 characters, all of ASCII and no blanks")
    secret = mint_key()
    record = StoredKey(
        mint_key_id(),
        rights.tenant,
        digest_of(secret),
        rights.routes,
        name=rights.name,
        created_unix_s=now_unix_s,
        expires_unix_s=None if rights.lifetime_s is None else now_unix_s + rights.lifetime_s,
        team=rights.team,
        admin=rights.admin,
    )
    store.add(record)
    return secret, record


def rotate(
    store: KeyLedger, tenants: Tenants, id_or_key: str, overlap_s: int, now_unix_s: int
) -> tuple[str, StoredKey, StoredKey]:
    """Replace a key by one with the same rights and as long a life; the old one ends after the overlap.

    Gives the plain key, its record and the old record. The new key is stored first: a failure between
    the two leaves the old key as it was. Raises Refused for an unknown or ended key, StoreDown.
    """
    old = find(store, id_or_key)
    if (state := state_of(old, now_unix_s)) != "active":
        raise Refused(f"{old.id} is {state}: make a new key with 'forebay keys create'")
    lifetime_s = None if old.expires_unix_s is None else old.expires_unix_s - old.created_unix_s
    rights = Rights(old.tenant, old.routes, old.name, lifetime_s, old.team, old.admin)
    secret, record = create(store, tenants, rights, now_unix_s)
    if overlap_s:
        store.expire(old.id, now_unix_s + overlap_s)
    else:
        store.revoke(old.id)
    return secret, record, old


def find(store: KeyLedger, id_or_key: str) -> StoredKey:
    """Find a key by its id, or by the plain key itself: who found a leaked key has only that.

    Raises Refused for an unknown one (never repeating a plain key), StoreDown.
    """
    keys = store.list()
    if not id_or_key.startswith(PREFIX):
        for key in keys:
            if key.id == id_or_key:
                return key
        hint = _suggestion(id_or_key, [key.id for key in keys])
        elsewhere = "keys in policies/tenants.yaml are changed there"
        raise Refused(f"no key has the id {id_or_key!r}{hint} ('forebay keys list' shows all; {elsewhere})")
    if not is_well_formed(id_or_key):
        raise Refused("this is not a whole key: a character is wrong or missing")
    digest = digest_of(id_or_key)
    for key in keys:
        if key.digest == digest:
            return key
    raise Refused("the store has no such key")


def state_of(key: StoredKey, now_unix_s: float) -> str:
    """Say active, expired or revoked."""
    if key.revoked:
        return "revoked"
    expired = key.expires_unix_s is not None and now_unix_s >= key.expires_unix_s
    return "expired" if expired else "active"


def register(subparsers: Any) -> None:
    """Add `keys` and its verbs to what `ArgumentParser.add_subparsers` gave."""
    keys = subparsers.add_parser("keys", help="make, list, revoke and rotate keys")
    verbs = keys.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = verbs.add_parser("create", help="make a key and show it once")
    verb.add_argument("--tenant", required=True, help="a tenant of policies/tenants.yaml")
    verb.add_argument("--team", default="", help="a team of the tenant, which limits may ask for")
    verb.add_argument("--admin", action="store_true", help="it sees the usage of all tenants")
    verb.add_argument("--routes", type=route_globs, default=("*",), help="globs: 'fast,gpt-*' (default: *)")
    verb.add_argument("--expires", type=duration_s, metavar="30d", help="its life (default: until revoked)")
    verb.add_argument("--name", default="", help="a note for people")
    verb.add_argument("--quiet", action="store_true", help="print the key alone")

    verb = verbs.add_parser("list", help="list keys; the plain keys are not stored")
    verb.add_argument("--tenant", help="only this tenant's")
    verb.add_argument("--format", choices=("table", "json"), default="table")

    verb = verbs.add_parser("revoke", help="end a key at once and for good")
    verb.add_argument("key", metavar="ID", help="its id, or the key itself if that is all you have")

    verb = verbs.add_parser("rotate", help="replace a key by one with the same rights")
    verb.add_argument("key", metavar="ID")
    verb.add_argument(
        "--overlap", type=duration_s, default=0, metavar="1h", help="the old key's rest of life"
    )
    verb.add_argument("--quiet", action="store_true", help="print the new key alone")


def run(args: argparse.Namespace, store: KeyLedger, tenants: Tenants, out: TextIO) -> int:
    """Run a parsed `forebay keys ...`; gives the exit status: 0, 1 (store down) or 2 (refused)."""
    try:
        out.write(_VERBS[args.verb](args, store, tenants))
    except Refused as refusal:
        sys.stderr.write(f"forebay keys: {refusal}\n")
        return 2
    except StoreDown as error:
        sys.stderr.write(f"forebay keys: {error}\n")
        return 1
    return 0


def duration_s(text: str) -> int:
    """Read `30d`, `12h`, `45m` or `90s` as seconds; raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"([1-9][0-9]{0,9})([dhms])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 30d, 12h, 45m or 90s")
    seconds = int(match[1]) * _UNIT_S[match[2]]
    if seconds > _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a hundred years")
    return seconds


def route_globs(text: str) -> tuple[str, ...]:
    """Read `fast,gpt-*`; raises argparse.ArgumentTypeError when nothing is named."""
    globs = tuple(glob for part in text.split(",") if (glob := part.strip()))
    if not globs:
        raise argparse.ArgumentTypeError("name at least one route, or '*' for all of the tenant's")
    return globs


def _create(args: argparse.Namespace, store: KeyLedger, tenants: Tenants) -> str:
    rights = Rights(args.tenant, args.routes, args.name, args.expires, args.team, args.admin)
    secret, record = create(store, tenants, rights, int(time.time()))
    return f"{secret}\n" if args.quiet else _shown_once(secret, record)


def _list(args: argparse.Namespace, store: KeyLedger, tenants: Tenants) -> str:
    keys = store.list(args.tenant)
    if args.tenant is not None and not keys and args.tenant not in tenants:
        raise Refused(f"unknown tenant {args.tenant!r}{_suggestion(args.tenant, tenants)}")
    rows = [_row(key, time.time()) for key in keys]
    return json.dumps(rows, indent=2) + "\n" if args.format == "json" else _table(rows)


def _revoke(args: argparse.Namespace, store: KeyLedger, _tenants: Tenants) -> str:
    key = find(store, args.key)
    if key.revoked:
        return f"{key.id} of tenant {key.tenant} was revoked before\n"
    store.revoke(key.id)
    return f"{key.id} of tenant {key.tenant} is revoked; every worker refuses it within 2 seconds\n"


def _rotate(args: argparse.Namespace, store: KeyLedger, tenants: Tenants) -> str:
    now_unix_s = int(time.time())
    secret, record, old = rotate(store, tenants, args.key, args.overlap, now_unix_s)
    if args.quiet:
        return f"{secret}\n"
    end = f"ends at {_moment(now_unix_s + args.overlap)}" if args.overlap else "is revoked"
    return _shown_once(secret, record) + f"It replaces {old.id}, which {end}.\n"


_VERBS: Final = {"create": _create, "list": _list, "revoke": _revoke, "rotate": _rotate}


def _shown_once(secret: str, key: StoredKey) -> str:
    end = "until it is revoked" if key.expires_unix_s is None else f"until {_moment(key.expires_unix_s)}"
    owner = f"team {key.team} of tenant {key.tenant}" if key.team else f"tenant {key.tenant}"
    sight = "It sees the usage of all tenants.\n" if key.admin else ""
    return (
        f"Key {key.id} of {owner} for {', '.join(key.routes)}, {end}.\n{sight}"
        "This is the only time it is shown:\n\n"
        f"    {secret}\n\n"
        "Clients send it as 'Authorization: Bearer <key>'; for OpenAI's SDKs it is the api_key.\n"
    )


def _row(key: StoredKey, now_unix_s: float) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "team": key.team,
        "name": key.name,
        "routes": list(key.routes),
        "created": _moment(key.created_unix_s),
        "expires": None if key.expires_unix_s is None else _moment(key.expires_unix_s),
        "admin": key.admin,
        "state": state_of(key, now_unix_s),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "no keys in the store\n"
    titles = ("id", "tenant", "team", "name", "routes", "created", "expires", "admin", "state")
    lines = [[title.upper() for title in titles]]
    for row in rows:
        cells = {**row, "routes": ",".join(row["routes"]), "expires": row["expires"] or "never"}
        cells["admin"] = "yes" if row["admin"] else "no"
        lines.append([cells[title] for title in titles])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join(padded) + "\n"


def _moment(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def _suggestion(word: str, known: Sequence[str] | Tenants) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
