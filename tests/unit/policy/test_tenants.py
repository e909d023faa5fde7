"""policies/tenants.yaml: who may call, with which keys and tokens."""

import hashlib
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.errors import ConfigErrors
from gateway.exchange import Caller
from gateway.policy import tenants
from gateway.policy.tenants import IssuerSpec, StaticKey, TenantsSpec
from gateway.protocols import KeyRecord

ROOT = Path(__file__).parents[3]
A, B = (hashlib.sha256(key.encode()).hexdigest() for key in "ab")


@pytest.fixture
def compiled(tmp_path):
    def _compiled(text: str):
        (tmp_path / "tenants.yaml").write_text(text)
        return tenants.compile(load(tmp_path / "tenants.yaml", TenantsSpec, {}))

    return _compiled


@pytest.fixture
def problems(compiled, tmp_path):
    def _problems(text: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            compiled(text)
        return [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors]

    return _problems


def test_keys_and_tenants_keep_their_own_routes(compiled):
    got = compiled(f"""
tenants:
  acme:
    name: Acme Corp
    routes: ["fast", "gpt-*"]
    keys:
      - {{id: ci, digest: "sha256:{A}", routes: ["fast"], expires: 2027-01-01}}
      - {{id: app, digest: sha256:{B.upper()}}}
  other:
""")
    assert got.tenants == {
        "acme": Caller("acme", "", (("fast", "gpt-*"),)),
        "other": Caller("other", "", (("*",),)),
    }
    assert got.keys == (
        StaticKey("ci", "acme", bytes.fromhex(A), ("fast",), 1_798_761_600),
        StaticKey("app", "acme", bytes.fromhex(B), ("*",), None),
    )
    assert got.issuers == ()


def test_what_rules_queues_and_limits_ask_of_a_tenant_is_there(compiled):
    text = "{tags: [gold, eu], features: [new_models], priority: batch, share: 2.5, timezone: Europe/Berlin}"
    assert compiled(f"tenants: {{t: {text}}}").tenants["t"] == Caller(
        tenant="t",
        key="",
        routes=(("*",),),
        tags=("gold", "eu"),
        features=("new_models",),
        priority="batch",
        share=2.5,
        timezone="Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("written", "admin"), [("", False), (", admin: true", True), (", admin: false", False)]
)
def test_a_key_may_be_an_admins(compiled, written, admin):
    text = f"tenants: {{t: {{keys: [{{id: ci, digest: sha256:{A}{written}}}]}}}}"
    assert compiled(text).keys == (StaticKey("ci", "t", bytes.fromhex(A), ("*",), None, admin=admin),)


def test_a_key_may_be_a_teams(compiled):
    text = f"tenants: {{t: {{keys: [{{id: ci, digest: sha256:{A}, team: search}}]}}}}"
    assert compiled(text).keys == (StaticKey("ci", "t", bytes.fromhex(A), ("*",), None, team="search"),)


def test_a_time_zone_is_one_that_there_is(problems):
    assert problems("tenants:\n  t:\n    timezone: Europe/Berlni") == [
        (
            'tenants.yaml:3 tenants.t.timezone: there is no time zone "Europe/Berlni", '
            "write one of the IANA database, like Europe/Berlin or UTC"
        )
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("share: 0", 'share: "0" is out of range, it must be more than 0'),
        ("priority: urgent", 'priority: "urgent" is not a known value, known: batch, interactive'),
        ("tags: [two words]", "tags[0]: this text is not allowed here, it must match ^[!-~]{1,128}$"),
    ],
)
def test_what_a_tenant_cannot_be_is_located(problems, written, expected):
    assert problems(f"tenants:\n  t: {{{written}}}") == [f"tenants.yaml:2 tenants.t.{expected}"]


def test_a_static_key_is_a_key_record(compiled):
    got = compiled(f"tenants: {{t: {{keys: [{{id: ci, digest: sha256:{A}}}]}}}}")
    record: KeyRecord = got.keys[0]
    assert (record.id, record.tenant, record.revoked) == ("ci", "t", False)


@pytest.mark.parametrize(
    ("written", "unix_s"),
    [
        ("2027-01-01", 1_798_761_600),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("2027-01-01t02:00:00.5+02:00", 1_798_761_600),
        ("'2026-12-31 19:00:00-05:00'", 1_798_761_600),
        ("null", None),
    ],
)
def test_a_key_expires_at_a_date_or_a_time(compiled, written, unix_s):
    got = compiled(f"tenants: {{t: {{keys: [{{id: k, digest: sha256:{A}, expires: {written}}}]}}}}")
    assert got.keys[0].expires_unix_s == unix_s


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tomorrow", "this is neither a date nor an RFC 3339 time"),
        ("20270101", "this is neither a date nor an RFC 3339 time"),
        ("2027-01-01T00:00:00", "this is neither a date nor an RFC 3339 time"),
        ("2027-02-30", "there is no such date or time"),
        ("2027-01-01T25:00:00Z", "there is no such date or time"),
    ],
)
def test_a_malformed_date_is_located(problems, written, message):
    text = (
        f"tenants:\n  t:\n    keys:\n      - id: k\n        digest: sha256:{A}\n        expires: {written}\n"
    )
    assert problems(text) == [
        f"tenants.yaml:6 tenants.t.keys[0].expires: {message}, write 2027-01-31 or 2027-01-31T18:00:00Z"
    ]


@pytest.mark.parametrize("digest", ["abc", A, f"sha256:{A}0", f"sha512:{A}", "sha256:" + "g" * 64])
def test_a_malformed_digest_says_how_to_make_one(problems, digest):
    assert problems(f"tenants:\n  t:\n    keys:\n      - {{id: k, digest: '{digest}'}}") == [
        (
            "tenants.yaml:4 tenants.t.keys[0].digest: this is not a SHA-256 digest, "
            'write sha256: and what this prints: printf %s "$KEY" | sha256sum'
        )
    ]


def test_the_digest_of_an_empty_key_is_refused(problems):
    digest = hashlib.sha256(b"").hexdigest()
    assert problems(f"tenants: {{t: {{keys: [{{id: k, digest: sha256:{digest}}}]}}}}") == [
        "tenants.yaml:1 tenants.t.keys[0].digest: this is the digest of an empty key, was the variable set?"
    ]


def test_ids_and_digests_are_unique_across_tenants(problems):
    text = f"""tenants:
  a:
    keys:
      - {{id: ci, digest: sha256:{A}}}
  b:
    keys:
      - {{id: ci, digest: sha256:{B}}}
      - {{id: app, digest: sha256:{A.upper()}}}
"""
    assert problems(text) == [
        "tenants.yaml:7 tenants.b.keys[0].id: another key has this id, on line 4, each key needs its own",
        (
            "tenants.yaml:8 tenants.b.keys[1].digest: another key has this digest, on line 4, "
            "each key needs its own"
        ),
    ]


def test_issuers_pass_through(compiled):
    issuer = "{issuer: 'https://login.example.com', audience: forebay, algorithms: [EdDSA], team_claim: team}"
    text = f"tenants: {{t: {{}}}}\nissuers: [{issuer}]"
    assert compiled(text).issuers == (
        IssuerSpec(
            issuer="https://login.example.com", audience="forebay", algorithms=("EdDSA",), team_claim="team"
        ),
    )


ALL = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("HS256", f"HS256 is symmetric: whoever can check a token could make one, use one of {ALL}"),
        ("none", f"a token without a signature proves nothing, use one of {ALL}"),
        ("RS255", 'unknown algorithm "RS255", did you mean "RS256"?'),
    ],
)
def test_only_asymmetric_algorithms_are_accepted(problems, algorithm, expected):
    issuer = f"  - issuer: https://i\n    audience: a\n    algorithms: [ES256, {algorithm}]"
    text = "tenants: {t: {}}\nissuers:\n" + issuer
    assert problems(text) == [f"tenants.yaml:5 issuers[0].algorithms[1]: {expected}"]


def test_keys_of_issuers_come_over_https_or_from_this_machine(problems, compiled):
    assert compiled("tenants: {t: {}}\nissuers: [{issuer: 'http://127.0.0.1:1/x', audience: a}]").issuers
    text = """tenants: {t: {}}
issuers:
  - {issuer: "http://login", audience: a}
  - {issuer: "https://x", audience: a, jwks_url: "http://login/jwks"}
  - {issuer: "https://x", audience: a}
"""
    assert problems(text) == [
        "tenants.yaml:3 issuers[0].issuer: this is not an https URL, copy the `iss` of a token",
        "tenants.yaml:4 issuers[1].jwks_url: this is not an https URL, leave it empty for OpenID discovery",
        "tenants.yaml:5 issuers[2].issuer: this issuer was given before, give each issuer once",
    ]


def test_a_file_without_tenants_is_an_error(problems):
    assert problems("tenants: {}") == ["tenants.yaml:1 tenants: must not be empty"]


def test_the_shipped_file_has_one_tenant_that_may_use_every_route():
    got = tenants.compile(load(ROOT / "policies" / "tenants.yaml", TenantsSpec, {}))
    assert got.tenants == {"default": Caller("default", "", (("*",),))}
    assert got.keys == ()
