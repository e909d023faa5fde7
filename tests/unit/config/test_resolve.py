"""routing.yaml with its presets put in: what is active, and what cannot be meant."""

from urllib.parse import urlsplit

import pytest

from gateway.config.located import load
from gateway.config.reliability import BreakerSpec, ConcurrencySpec, ProbeSpec
from gateway.config.resolve import BREAKER, BackendSettings, load_presets, resolve
from gateway.config.routing import PresetSpec, RoutingSpec
from gateway.config.ways import RouteSpec, TargetSpec
from gateway.errors import ConfigErrors
from gateway.exchange import Credential, Timeouts

PRESETS = {
    "openai": PresetSpec(
        base_url="https://api.openai.com/v1", key="OPENAI_API_KEY", formats=("chat", "embeddings")
    ),
    "mistral": PresetSpec(
        base_url="https://m/v1", key="MISTRAL_API_KEY", formats=("chat",), stream_usage="always"
    ),
    "claude": PresetSpec(provider="anthropic", base_url="https://a", formats=("messages",)),
    "llamacpp": PresetSpec(base_url="http://127.0.0.1:8080/v1", formats=("chat",), key_required=False),
}
REMOVE = "remove one of them"
ROUTE = "\nroutes: {r: {targets: [{backend: b}]}}\n"


@pytest.fixture
def resolved(tmp_path):
    def _resolved(text: str, env: dict[str, str] | None = None):
        (tmp_path / "routing.yaml").write_text(text)
        return resolve(load(tmp_path / "routing.yaml", RoutingSpec, env or {}), PRESETS, env or {})

    return _resolved


@pytest.fixture
def problems(resolved, tmp_path):
    def _problems(text: str, env: dict[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            resolved(text, env)
        return [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors]

    return _problems


def test_a_preset_fills_in_what_is_not_written(resolved):
    got = resolved("backends: {b: {preset: mistral}}" + ROUTE, {"MISTRAL_API_KEY": " m-1\n"})
    assert got.backends == {
        "b": BackendSettings(
            name="b",
            provider="openai_compatible",
            preset="mistral",
            base_url="https://m/v1",
            credentials=(Credential("b#1", "m-1"),),
            formats=("chat",),
            stream_usage="always",
            output_limit="max_tokens",
            headers={},
            timeouts=Timeouts(),
            max_connections=0,
            transport="aiohttp",
            launch="",
            api_version="",
            script="",
        )
    }
    assert got.notes == []


def test_what_is_written_wins_over_the_preset(resolved):
    text = """
timeouts: {connect_s: 1, gap_s: 7}
backends:
  b:
    preset: mistral
    base_url: http://mirror/v1/
    credentials: ["${K1}", "${K2:-}", "${K3}"]
    formats: [embeddings]
    stream_usage: ask
    headers: {X-Team: ml}
    timeouts: {connect_s: 2}
    max_connections: 8
    transport: httpx
"""
    backend = resolved(text + ROUTE, {"K1": "a", "K3": "c"}).backends["b"]
    assert backend.base_url == "http://mirror/v1"
    assert backend.credentials == (Credential("b#1", "a"), Credential("b#2", "c"))
    assert backend.formats == ("embeddings",)
    assert backend.stream_usage == "ask"
    assert backend.headers == {"x-team": "ml"}
    assert backend.timeouts == Timeouts(connect_s=2.0, gap_s=7.0)
    assert (backend.max_connections, backend.transport) == (8, "httpx")


@pytest.mark.parametrize(
    "backend",
    [
        "{base_url: 'http://127.0.0.1:9/v1'}",
        "{preset: llamacpp}",
        "{launch: smollm2}",
        "{provider: scripted, script: s.yaml}",
    ],
)
def test_a_backend_that_needs_no_key_has_one_empty_credential(resolved, backend):
    assert resolved(f"backends: {{b: {backend}}}" + ROUTE).backends["b"].credentials == (
        Credential("b#1", ""),
    )


def test_azure_takes_the_variable_that_its_sdk_takes(resolved):
    text = (
        "backends: {b: {provider: azure, base_url: 'https://x.openai.azure.com', api_version: 2024-10-21}}"
        + ROUTE
    )
    backend = resolved(text, {"AZURE_OPENAI_API_KEY": "k"}).backends["b"]
    assert backend.credentials == (Credential("b#1", "k"),)
    assert backend.api_version == "2024-10-21"
    assert backend.formats[:2] == ("chat", "responses")


@pytest.mark.parametrize(
    ("backend", "place"),
    [
        (
            "{provider: vertex, region: europe-west4, project: acme, auth: {kind: google_metadata}}",
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/acme/locations/europe-west4",
        ),
        (
            "{provider: vertex_anthropic, region: global, project: acme, auth: {kind: google_metadata}}",
            "https://aiplatform.googleapis.com/v1/projects/acme/locations/global",
        ),
        (
            "{provider: bedrock, region: eu-central-1, auth: {kind: aws}}",
            "https://bedrock-runtime.eu-central-1.amazonaws.com",
        ),
        (
            "{provider: bedrock, region: eu-1, base_url: 'http://127.0.0.1:9', auth: {kind: aws}}",
            "http://127.0.0.1:9",
        ),
    ],
)
def test_a_clouds_address_is_made_from_its_region(resolved, backend, place):
    assert resolved(f"backends: {{b: {backend}}}" + ROUTE).backends["b"].base_url == place


def test_a_preset_brings_its_provider(resolved):
    backend = resolved("backends: {b: {preset: claude, credentials: ['${K}']}}" + ROUTE, {"K": "k"}).backends[
        "b"
    ]
    assert (backend.provider, backend.base_url, backend.formats) == ("anthropic", "https://a", ("messages",))


ENABLED = """
backends:
  openai: {preset: openai, enabled: with_key}
  mistral: {preset: mistral, enabled: with_key, credentials: ["${M:-}"]}
  local: {preset: llamacpp, enabled: alone}
routes:
  default:
    description: any
    targets:
      - {backend: openai, model: big}
      - {backend: mistral, model: mid}
      - {backend: local, model: small}
  "gpt-*": {answer_model: route, targets: [{backend: openai}]}
  mid: {targets: [{backend: mistral}]}
"""


def test_without_any_key_only_the_backend_that_stands_alone_is_active(resolved):
    got = resolved(ENABLED)
    assert list(got.backends) == ["local"]
    assert got.routes == {
        "default": RouteSpec(description="any", targets=(TargetSpec(backend="local", model="small"),))
    }
    assert got.notes == [
        "backend openai is off: OPENAI_API_KEY is not set",
        "backend mistral is off: none of its credentials is set",
        "route gpt-* is off: none of its backends is active",
        "route mid is off: none of its backends is active",
    ]


def test_with_keys_targets_keep_their_order_and_the_lonely_backend_steps_back(resolved):
    got = resolved(ENABLED, {"OPENAI_API_KEY": "o", "M": "m"})
    assert list(got.backends) == ["openai", "mistral"]
    assert got.routes["default"].targets == (
        TargetSpec(backend="openai", model="big"),
        TargetSpec(backend="mistral", model="mid"),
    )
    assert got.routes["gpt-*"] == RouteSpec(answer_model="route", targets=(TargetSpec(backend="openai"),))
    assert got.routes["mid"].targets == (TargetSpec(backend="mistral"),)
    assert got.notes == ["backend local is off: other backends are active"]


def test_a_breaker_is_inherited_field_by_field(resolved):
    text = """
breaker: {consecutive: 3, slow_ms: 900}
backends:
  b: {preset: llamacpp, breaker: {consecutive: 7, jitter: 0}}
  c: {preset: llamacpp}
"""
    backends = resolved(text + ROUTE).backends
    assert backends["b"].breaker == BreakerSpec(
        consecutive=7, error_rate=0.5, min_calls=10, window_s=30, slow_ms=900, cool_down_s=10, jitter=0
    )
    assert (backends["c"].breaker.consecutive, backends["c"].breaker.jitter) == (3, 0.2)
    assert resolved("backends: {b: {preset: llamacpp}}" + ROUTE).backends["b"].breaker == BREAKER


@pytest.mark.parametrize(
    ("backend", "probe"),
    [
        ("{preset: llamacpp}", None),
        ("{preset: llamacpp, self_hosted: true}", ProbeSpec()),
        ("{preset: llamacpp, self_hosted: true, probe: {every_s: 1}}", ProbeSpec(every_s=1.0)),
        ("{preset: llamacpp, probe: {path: /up}}", ProbeSpec(path="/up")),
        ("{provider: scripted, script: s.yaml, self_hosted: true}", None),
    ],
)
def test_what_is_self_hosted_is_probed(resolved, backend, probe):
    assert resolved(f"backends: {{b: {backend}}}" + ROUTE).backends["b"].probe == probe


def test_any_backend_may_say_where_it_is_and_how_much_it_takes(resolved):
    text = "backends: {b: {preset: openai, region: eu-west, self_hosted: true, concurrency: {max_calls: 4}}}"
    backend = resolved(text + ROUTE, {"OPENAI_API_KEY": "k"}).backends["b"]
    assert (backend.region, backend.self_hosted) == ("eu-west", True)
    assert backend.concurrency == ConcurrencySpec(max_calls=4)


def test_what_is_said_of_models_tasks_and_data_is_there(resolved):
    text = """
models: {"gpt-*": {context_tokens: 8000}}
tasks: {code: {keywords: [python]}}
classifier: {route: r}
sensitivity: {labels: {pii: {detect: [email]}}}
backends: {b: {preset: llamacpp}}
"""
    got = resolved(text + ROUTE)
    assert got.models["gpt-*"].context_tokens == 8000
    assert got.tasks["code"].keywords == ("python",)
    assert got.sensitivity.labels["pii"].detect == ("email",)
    assert got.classifier is not None


def test_a_classifier_goes_with_its_route(resolved):
    text = """
tasks: {code: {keywords: [python]}}
classifier: {route: small}
backends: {b: {preset: llamacpp}, o: {preset: openai, enabled: with_key}}
routes: {r: {targets: [{backend: b}]}, small: {targets: [{backend: o}]}}
"""
    got = resolved(text)
    assert got.classifier is None
    assert got.notes[-1] == "the classifier is off: route small is"
    assert resolved(text, {"OPENAI_API_KEY": "k"}).classifier.route == "small"


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("preset: opnai", 'backends.b.preset: there is no preset "opnai", did you mean "openai"?'),
        (
            "{preset: openai, provider: azure, base_url: 'https://x'}",
            (
                "backends.b.provider: the preset openai is of provider openai_compatible, not azure, "
                "leave the provider out"
            ),
        ),
        (
            "provider: azure",
            "backends.b: nothing says where it is, base_url: https://<resource>.openai.azure.com",
        ),
        (
            "{base_url: 'http://x', api_version: v1}",
            "backends.b.api_version: api_version belongs to provider azure, not openai_compatible, " + REMOVE,
        ),
        (
            "{base_url: 'http://x', script: s}",
            "backends.b.script: script belongs to provider scripted, not openai_compatible, " + REMOVE,
        ),
        (
            "provider: scripted",
            "backends.b: nothing says where it is, script: the file with its answers",
        ),
        (
            "{provider: scripted, script: s, base_url: 'http://x'}",
            "backends.b.base_url: a scripted backend has no base_url, remove it",
        ),
        ("{}", "backends.b: nothing says where it is, give a preset or a base_url"),
        ("provider: anthropic", "backends.b: nothing says where it is, give a preset or a base_url"),
        (
            "{provider: bedrock, auth: {kind: aws}}",
            "backends.b: a bedrock backend needs a region, or a base_url",
        ),
        (
            "{provider: bedrock, base_url: 'http://x', auth: {kind: aws}}",
            "backends.b: a request signed for AWS needs a region, give one",
        ),
        (
            "{provider: vertex, region: eu, project: p}",
            (
                "backends.b: nothing says how to authenticate there, "
                "give credentials, or an `auth` of kind service_account or google_metadata"
            ),
        ),
        (
            "{provider: vertex, region: eu, project: p, auth: {kind: aws}}",
            "backends.b.auth.kind: vertex cannot use aws, service_account or google_metadata",
        ),
        (
            "{provider: vertex, region: eu, project: p, auth: {kind: service_account}}",
            "backends.b.auth: service_account needs service_account, give it",
        ),
        (
            "{provider: azure, base_url: 'http://x', auth: {kind: entra, tenant_id: t, client_id: c}}",
            "backends.b.auth: entra needs client_secret or token_file, give it",
        ),
        (
            "{provider: bedrock, region: eu-1, credentials: ['${BAD}'], auth: {kind: aws}}",
            "backends.b.auth: there are credentials as well, remove one of them",
        ),
        (
            "{provider: scripted, script: s, probe: {}}",
            "backends.b.probe: a scripted backend has no probe, remove it",
        ),
        (
            "base_url: ftp://x",
            "backends.b.base_url: this is not an http(s) URL, write https://host/path, without user, ? or #",
        ),
        (
            "{base_url: 'http://x', enabled: with_key}",
            "backends.b.enabled: with_key, but no credential is named, list credentials",
        ),
        (
            "preset: openai",
            (
                "backends.b: the environment variable OPENAI_API_KEY is not set, "
                "set it, or write `enabled: with_key` to go without this backend"
            ),
        ),
        (
            "{provider: azure, base_url: 'https://x'}",
            (
                "backends.b: the environment variable AZURE_OPENAI_API_KEY is not set, set it, give an "
                "`auth` of kind entra or azure_identity, "
                "or write `enabled: with_key` to go without this backend"
            ),
        ),
        (
            "{base_url: 'http://x', credentials: ['${A:-}']}",
            "backends.b.credentials: all credentials are empty, set one",
        ),
        (
            "{base_url: 'http://x', credentials: ['${BAD}']}",
            "backends.b.credentials[0]: credential 1 has characters that no key has",
        ),
        (
            "{preset: mistral}",
            "backends.b: MISTRAL_API_KEY has characters that no key has",
        ),
        (
            "{base_url: 'http://x', headers: {'a b': c}}",
            'backends.b.headers."a b": this is not the name of an HTTP header, use letters, digits and -',
        ),
        (
            "{base_url: 'http://x', headers: {Authorization: c}}",
            (
                "backends.b.headers.Authorization: "
                "the gateway sets this header itself, for keys there is `credentials`"
            ),
        ),
        (
            "{base_url: 'http://x', headers: {a: '${BAD}'}}",
            (
                "backends.b.headers.a: "
                "the value has characters that no HTTP header can carry, use printable ASCII"
            ),
        ),
    ],
)
def test_each_contradiction_is_said_in_one_line(problems, backend, expected):
    block = backend if backend.startswith("{") else f"{{{backend}}}"
    said = problems(
        f"backends:\n  b: {block}" + ROUTE, {"BAD": "sk-secret\nx", "MISTRAL_API_KEY": "sk-secret x"}
    )
    assert said == [f"routing.yaml:2 {expected}"]


@pytest.mark.parametrize(
    "url",
    [
        "https://u:p@host",
        "http://",
        "http://h:99999",
        "http://h/?q=1",
        "http://h/#f",
        "http://[::1",
        "//h",
        "h",
    ],
)
def test_a_base_url_is_a_plain_http_url(problems, url):
    (said,) = problems(f"backends: {{b: {{base_url: '{url}'}}}}" + ROUTE)
    assert said.startswith("routing.yaml:1 backends.b.base_url: this is not an http(s) URL")


def test_a_target_of_no_backend_is_located_and_suggested(problems):
    text = "backends: {local: {preset: llamacpp}}\nroutes:\n  fast:\n    targets:\n      - {backend: locl}\n"
    assert problems(text) == [
        'routing.yaml:5 routes.fast.targets[0]: there is no backend "locl", did you mean "local"?'
    ]


def test_a_file_without_routes_is_an_error(problems):
    assert problems("backends: {b: {preset: llamacpp}}\nroutes: {}") == [
        "routing.yaml:2 routes: there is no route, name at least one model"
    ]


def test_a_file_whose_routes_are_all_off_is_an_error(problems):
    assert problems("backends: {b: {preset: openai, enabled: with_key}}" + ROUTE) == [
        (
            "routing.yaml:2 routes: no route has an active backend, "
            "set the key of a provider, or enable a backend always"
        )
    ]


def test_all_problems_are_reported_at_once(problems):
    text = "backends:\n  a: {}\n  b: {preset: x}\nroutes:\n  r: {targets: [{backend: c}]}\n"
    assert [line.split(":")[1].split()[0] for line in problems(text)] == ["2", "3", "5"]


def test_settings_hide_their_secrets(resolved):
    text = "backends: {b: {preset: openai, headers: {x-key: '${H}'}}}" + ROUTE
    got = resolved(text, {"OPENAI_API_KEY": "sk-hidden", "H": "hush"})
    assert got.backends["b"].headers == {"x-key": "hush"}
    assert "sk-hidden" not in repr(got)
    assert "hush" not in repr(got)


def test_every_preset_has_what_its_kind_needs():
    presets = load_presets()
    assert len(presets) >= 20
    for name, preset in presets.items():
        local = preset.base_url.startswith("http://127.0.0.1:")
        assert local or preset.base_url.startswith("https://"), name
        assert preset.key_required is not local, name
        assert bool(preset.key) is not local, name
        assert not preset.base_url.endswith("/"), name
    hosts = {(preset.key, urlsplit(preset.base_url).netloc) for preset in presets.values() if preset.key}
    assert len(hosts) == len({key for key, _ in hosts}), "a key is shown to one host only"
