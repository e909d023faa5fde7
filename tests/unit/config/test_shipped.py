"""The files that ship with the gateway: they load, and say what the README says of them."""

from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.config.resolve import load_presets, resolve
from gateway.config.routing import RoutingSpec
from gateway.config.ways import TargetSpec

ROOT = Path(__file__).parents[3]
LOCAL = (TargetSpec(backend="local", model="smollm2-135m-instruct"),)


def resolved(env):
    return resolve(load(ROOT / "routing.yaml", RoutingSpec, env), load_presets(), env)


def test_with_no_key_the_local_model_answers():
    got = resolved({})
    assert list(got.backends) == ["local"]
    assert {name: route.targets for name, route in got.routes.items()} == {"default": LOCAL, "local": LOCAL}
    assert got.backends["local"].launch == "smollm2"


def test_with_every_key_every_provider_is_active():
    got = resolved({preset.key: "k" for preset in load_presets().values() if preset.key})
    spec = load(ROOT / "routing.yaml", RoutingSpec, {}).value
    assert got.backends.keys() == spec.backends.keys() - {"local"}
    assert got.routes.keys() == spec.routes.keys() - {"local"}
    assert {target.backend for target in got.routes["default"].targets} == got.backends.keys()


@pytest.mark.parametrize(
    "name", [n for n in load(ROOT / "routing.yaml", RoutingSpec, {}).value.backends if n != "local"]
)
def test_one_key_is_enough_for_the_default_route(name):
    key = load_presets()[name].key
    got = resolved({key: "k"})
    assert list(got.backends) == [name]
    (target,) = got.routes["default"].targets
    assert target.backend == name
    assert target.model


@pytest.mark.parametrize(
    "file",
    [
        "routing.yaml",
        "backends/presets.yaml",
        *(f"policies/{name}.yaml" for name in ("tenants", "prices", "quotas", "budgets")),
    ],
)
def test_editors_find_the_schema(file):
    first = (ROOT / file).read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (ROOT / file).parent.joinpath(schema).is_file()
