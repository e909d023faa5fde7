"""`forebay keys`: what it prints, what it stores, and how it refuses."""

from __future__ import annotations

import argparse
import io
import json
import re
import time
from collections.abc import Callable

import pytest

from gateway.commands import keys as keys_command
from gateway.errors import StoreDown
from gateway.identity.keys import digest_of, mint_key
from gateway.stores import StoredKey
from gateway.stores.keys_memory import MemoryKeyStore

TENANTS = {"acme": ("*",), "beta": ("fast",)}
DAY_S = 86_400
Command = Callable[..., str]


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def forebay(store: MemoryKeyStore, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `forebay keys ...`; gives what it wrote, after checking its exit status."""

    def run(*arguments: str, status: int = 0) -> str:
        parser = argparse.ArgumentParser(prog="forebay")
        keys_command.register(parser.add_subparsers(required=True))
        out = io.StringIO()
        args = parser.parse_args(["keys", *arguments])
        assert keys_command.run(args, store, TENANTS, out) == status
        errors = capsys.readouterr().err
        assert (errors == "") == (status == 0)
        assert (out.getvalue() == "") == (status != 0)
        return out.getvalue() + errors

    return run


def only_key(store: MemoryKeyStore) -> StoredKey:
    [found] = store.list()
    return found


def plain_keys(text: str) -> list[str]:
    return re.findall(r"fb-[0-9A-Za-z]{39}", text)


def test_create_shows_the_key_once_and_stores_its_digest_alone(
    store: MemoryKeyStore, forebay: Command
) -> None:
    said = forebay(
        "create", "--tenant", "acme", "--routes", "fast, gpt-*", "--expires", "30d", "--name", "ci"
    )
    [secret] = plain_keys(said)
    found = only_key(store)
    assert found.digest == digest_of(secret)
    assert secret not in repr(found)
    assert (found.tenant, found.routes, found.name) == ("acme", ("fast", "gpt-*"), "ci")
    assert found.expires_unix_s == found.created_unix_s + 30 * DAY_S
    assert said.count(secret) == 1
    assert found.id in said


def test_create_can_print_the_key_alone_and_allows_all_routes_for_ever(
    store: MemoryKeyStore, forebay: Command
) -> None:
    said = forebay("create", "--tenant", "beta", "--quiet")
    assert [said] == [f"{secret}\n" for secret in plain_keys(said)]
    assert (only_key(store).routes, only_key(store).expires_unix_s) == (("*",), None)


def test_an_unknown_tenant_is_refused_with_a_suggestion(store: MemoryKeyStore, forebay: Command) -> None:
    said = forebay("create", "--tenant", "acne", status=2)
    assert said == (
        "forebay keys: unknown tenant 'acne', did you mean 'acme'? (policies/tenants.yaml has acme, beta)\n"
    )
    assert list(store.list()) == []


def test_a_key_can_be_made_for_a_team(store: MemoryKeyStore, forebay: Command) -> None:
    said = forebay("create", "--tenant", "acme", "--team", "search")
    assert only_key(store).team == "search"
    assert f"Key {only_key(store).id} of team search of tenant acme for *" in said


def test_a_key_can_be_an_admins(store: MemoryKeyStore, forebay: Command) -> None:
    said = forebay("create", "--tenant", "acme", "--admin")
    assert only_key(store).admin
    assert "It sees the usage of all tenants." in said
    assert forebay("list").splitlines()[1].split()[-2:] == ["yes", "active"]
    assert json.loads(forebay("list", "--format", "json"))[0]["admin"] is True
    [secret] = plain_keys(forebay("rotate", only_key(store).id))
    assert next(key for key in store.list() if key.digest == digest_of(secret)).admin


def test_a_key_is_no_admins_unless_that_is_asked_for(store: MemoryKeyStore, forebay: Command) -> None:
    assert "all tenants" not in forebay("create", "--tenant", "acme")
    assert not only_key(store).admin
    assert forebay("list").splitlines()[1].split()[-2:] == ["no", "active"]


@pytest.mark.parametrize("team", ["x" * 129, "two words", "süd", "a\n"])
def test_a_team_that_no_limit_could_name_is_refused(
    store: MemoryKeyStore, forebay: Command, team: str
) -> None:
    said = forebay("create", "--tenant", "acme", "--team", team, status=2)
    assert said == "forebay keys: a team's name has at most 128 characters, all of ASCII and no blanks\n"
    assert list(store.list()) == []


@pytest.mark.parametrize("name", ["x" * 201, "two\nlines"])
def test_a_name_that_would_break_the_table_is_refused(forebay: Command, name: str) -> None:
    assert "a name has at most 200 characters" in forebay(
        "create", "--tenant", "acme", "--name", name, status=2
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("45m", 2_700), ("90s", 90)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert keys_command.duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5h", "1d12h", "30 d", "٣d", "99999d", "9999999999d"]
)
def test_a_bad_duration_is_refused_with_examples(
    forebay: Command, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit):
        forebay("create", "--tenant", "acme", f"--expires={text}")
    assert re.search(r"write 30d, 12h, 45m or 90s|more than a hundred years", capsys.readouterr().err)


def test_an_empty_list_of_routes_is_refused(forebay: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        forebay("create", "--tenant", "acme", "--routes", " ,")
    assert "name at least one route" in capsys.readouterr().err


def test_list_shows_each_keys_state(store: MemoryKeyStore, forebay: Command) -> None:
    assert forebay("list") == "no keys in the store\n"
    for number, fields in enumerate([{}, {"revoked": True}, {"expires_unix_s": 5}]):
        digest = bytes([number]) * 32
        written = {"team": "search", "created_unix_s": number, **fields}
        store.add(StoredKey(f"key_{number}", "acme", digest, ("*",), "n", **written))
    lines = forebay("list", "--tenant", "acme").splitlines()
    assert lines[0].split() == [
        "ID",
        "TENANT",
        "TEAM",
        "NAME",
        "ROUTES",
        "CREATED",
        "EXPIRES",
        "ADMIN",
        "STATE",
    ]
    assert lines[1].split() == [
        "key_0",
        "acme",
        "search",
        "n",
        "*",
        "1970-01-01T00:00:00Z",
        "never",
        "no",
        "active",
    ]
    assert [line.split()[-1] for line in lines[1:]] == ["active", "revoked", "expired"]
    rows = json.loads(forebay("list", "--format", "json"))
    assert [row["state"] for row in rows] == ["active", "revoked", "expired"]
    assert rows[2]["expires"] == "1970-01-01T00:00:05Z"
    assert rows[0]["team"] == "search"
    assert "digest" not in rows[0]


def test_listing_an_unknown_tenant_is_refused(forebay: Command) -> None:
    assert forebay("list", "--tenant", "beta") == "no keys in the store\n"
    assert "did you mean 'beta'?" in forebay("list", "--tenant", "betta", status=2)


def test_revoke_ends_a_key_by_its_id_or_by_the_key_itself(store: MemoryKeyStore, forebay: Command) -> None:
    for pick in (lambda key, _secret: key.id, lambda _key, secret: secret):
        secret = forebay("create", "--tenant", "acme", "--quiet").strip()
        made = next(key for key in store.list() if key.digest == digest_of(secret))
        assert "is revoked" in forebay("revoke", pick(made, secret))
        assert "was revoked before" in forebay("revoke", made.id)
    assert [key.revoked for key in store.list()] == [True, True]


def test_an_unknown_id_is_refused_with_a_suggestion(store: MemoryKeyStore, forebay: Command) -> None:
    forebay("create", "--tenant", "acme")
    known = only_key(store).id
    for verb in ("revoke", "rotate"):
        said = forebay(verb, known[:-1], status=2)
        assert f"no key has the id {known[:-1]!r}, did you mean {known!r}?" in said
    assert not only_key(store).revoked


def test_a_refused_plain_key_is_not_repeated(forebay: Command) -> None:
    secret = mint_key()
    for shown, reason in (
        (secret, "the store has no such key"),
        (secret[:-1], "a character is wrong or missing"),
    ):
        said = forebay("revoke", shown, status=2)
        assert reason in said
        assert shown not in said


def test_rotate_gives_the_same_rights_and_lets_the_old_key_end(
    store: MemoryKeyStore, forebay: Command
) -> None:
    rights = ["--routes", "fast", "--expires", "30d", "--name", "ci", "--team", "search"]
    forebay("create", "--tenant", "acme", *rights)
    old = only_key(store)
    said = forebay("rotate", old.id, "--overlap", "1h")
    [secret] = plain_keys(said)
    new = next(key for key in store.list() if key.digest == digest_of(secret))
    ended = next(key for key in store.list() if key.id == old.id)
    assert (new.tenant, new.routes, new.name, new.team) == ("acme", ("fast",), "ci", "search")
    assert old.team == "search"
    assert new.expires_unix_s == new.created_unix_s + 30 * DAY_S
    assert abs(ended.expires_unix_s - time.time() - 3600) < 5
    assert not ended.revoked
    assert f"It replaces {old.id}, which ends at " in said


def test_rotate_without_an_overlap_revokes_the_old_key(store: MemoryKeyStore, forebay: Command) -> None:
    forebay("create", "--tenant", "acme")
    old = only_key(store)
    [_] = plain_keys(forebay("rotate", old.id, "--quiet"))
    assert {key.id: key.revoked for key in store.list()}[old.id]
    assert sorted(key.revoked for key in store.list()) == [False, True]
    assert "is revoked: make a new key" in forebay("rotate", old.id, status=2)


def test_a_store_that_is_down_is_an_error_of_one_line(store: MemoryKeyStore, forebay: Command) -> None:
    def down(_tenant: str | None = None) -> list[StoredKey]:
        raise StoreDown("the key store does not answer (OperationalError)")

    store.list = down
    assert forebay("list", status=1) == "forebay keys: the key store does not answer (OperationalError)\n"
