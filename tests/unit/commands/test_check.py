"""What a configuration that can be served says of itself all the same."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest
from unit.commands.conftest import PRICES, ROUTING

from gateway.commands.check import hints, run
from gateway.compose.reading import load_config
from gateway.errors import ConfigErrors

NOT_CONTINUED = "route going: no stream is continued: `models` gives prefill to no other target"


LIMITS = {
    "quotas": "quotas: {everybody: {requests_per_day: 5}, few: {for: {tags: [gold]}, concurrent_calls: 1}}",
    "budgets": "budgets: {month: {usd: 5, every: month, over: {downgrade: away}}}",
}


KNOWN = "tenants.yaml, prices.yaml, retention.yaml, quotas.yaml, budgets.yaml, telemetry.yaml, slo.yaml"


def hinted(place: Path, routing: str = ROUTING, prices: str = PRICES) -> list[str]:
    (place / "routing.yaml").write_text(routing)
    (place / "policies" / "prices.yaml").write_text(prices)
    return list(hints(load_config(place)))


def test_a_configuration_without_oddities_is_only_counted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Namespace(config=place)) == 0
    assert capsys.readouterr().out == f"{place / 'routing.yaml'}: 3 backends, 3 routes\n"


def test_limits_are_counted_and_those_without_effect_are_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {**LIMITS, "quotas": LIMITS["quotas"].replace("gold", "gild")}
    away = "  away: {targets: [{backend: off, model: x}]}\n"
    off = "backends:\n  off: {base_url: 'https://x', enabled: alone}\n"
    (place / "routing.yaml").write_text(ROUTING.replace("backends:\n", off) + away)
    for name, text in written.items():
        (place / "policies" / f"{name}.yaml").write_text(text)
    assert run(Namespace(config=place)) == 0
    first, *notes = capsys.readouterr().out.splitlines()
    assert first.endswith(" routes, 2 quotas, 1 budgets")
    assert "  quota few never holds: policies/tenants.yaml has no tenant of that name or tag" in notes
    assert "  budget month cannot downgrade: route away is off" in notes


def test_what_is_wrong_with_all_files_is_told_at_once(place: Path) -> None:
    files = {
        "routing.yaml": "routes: {}",
        "policies/tenants.yaml": "tenants: {t: {timezone: Nowhere}}",
        "policies/quotas.yaml": LIMITS["quotas"].replace("5", "x"),
        "policies/budgets.yaml": LIMITS["budgets"].replace("5", "x"),
    }
    for name, text in files.items():
        (place / name).write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load_config(place)
    assert [Path(error.path).relative_to(place).as_posix() for error in caught.value.errors] == [*files]


def test_names_are_checked_from_file_to_file(place: Path) -> None:
    (place / "policies" / "quotas.yaml").write_text(LIMITS["quotas"].replace("everybody", "month"))
    (place / "policies" / "budgets.yaml").write_text(LIMITS["budgets"])
    with pytest.raises(ConfigErrors) as caught:
        load_config(place)
    assert [error.message for error in caught.value.errors] == [
        'there is no route "away"',
        "policies/quotas.yaml has a quota of this name",
    ]


def test_a_price_that_decides_and_is_not_known_is_named(place: Path) -> None:
    told = hinted(place, prices=PRICES.replace("beta/big", "beta/other"))
    assert [text.partition(":")[0] for text in told] == ["route thrifty", "route scored"]
    assert all("beta has no known price for big" in text for text in told)


def test_a_price_that_is_only_the_declared_default_is_named(place: Path) -> None:
    default = "unknown: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}\n"
    told = hinted(place, prices=PRICES.replace("beta/big", "beta/other") + default)
    assert told
    assert all("no known price" in text and "`unknown` of prices.yaml counts" in text for text in told)
    assert any(text.startswith("route thrifty: beta has no known price for big") for text in told)


def test_a_rule_that_is_always_preceded_is_named(place: Path) -> None:
    shadowed = ROUTING.replace("when: {headers: {x-team: labs}}", "when: {tags: [gold], stream: true}")
    (told,) = hinted(place, shadowed)
    assert told.startswith("rule labs of route auto never holds: wherever it would, gold before it does")


def test_rules_that_only_overlap_are_not_named(place: Path) -> None:
    assert hinted(place, ROUTING.replace("when: {headers: {x-team: labs}}", "when: {stream: true}")) == []


def test_a_hedge_without_a_second_target_is_named(place: Path) -> None:
    alone = "  alone: {targets: [{backend: alpha, model: small}], hedge: {after_ms: 100}}\n"
    assert hinted(place, ROUTING + alone) == ["route alone: hedge never holds: there is no second target"]


def test_a_label_whose_calls_may_go_nowhere_is_named(place: Path) -> None:
    labels = "sensitivity: {labels: {personal: {only: {regions: ['eu-*']}}, noted: {}}}\n"
    assert hinted(place, ROUTING + labels) == [
        "sensitivity label personal: no backend may have such calls, so that they all fail"
    ]


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ("{big: {prefill: true}}", []),
        ("{'beta/*': {prefill: true}}", [NOT_CONTINUED]),
    ],
)
def test_a_stream_that_nobody_can_continue_is_named(place: Path, models: str, told: list[str]) -> None:
    targets = "[{backend: alpha, model: big}, {backend: beta, model: big}]"
    going = f"  going: {{targets: {targets}, stream: {{on_break: continue}}}}\nmodels: {models}\n"
    assert hinted(place, ROUTING + going) == told


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quota.yaml", "did you mean quotas.yaml?"),
        ("quotas.yml", "did you mean quotas.yaml?"),
        ("Quotas.yaml", "did you mean quotas.yaml?"),
        ("SLO.YML", "did you mean slo.yaml?"),
        ("bogus.yaml", f"known: {KNOWN}"),
    ],
)
def test_a_policy_that_nobody_would_read_is_a_mistake(place: Path, name: str, hint: str) -> None:
    (place / "policies" / name).write_text(LIMITS["quotas"])
    with pytest.raises(ConfigErrors) as caught:
        load_config(place)
    assert str(caught.value) == f"{place}/policies/{name}: no policy has this name, {hint}"


def test_a_policy_whose_name_is_no_text_can_be_told_of(place: Path) -> None:
    (place / "policies" / os.fsdecode(b"quot\xff.yaml")).write_text("{}")
    (place / "policies" / "gone.yaml").symlink_to(place / "nowhere")
    with pytest.raises(ConfigErrors) as caught:
        load_config(place)
    assert [Path(error.path).name for error in caught.value.errors] == ["gone.yaml", "quot?.yaml"]
    assert str(caught.value).encode()


def test_what_editors_and_kubernetes_leave_beside_the_policies_is_left_alone(place: Path) -> None:
    policies = place / "policies"
    (policies / "..2026_11_21").mkdir()
    (policies / "..2026_11_21" / "quotas.yaml").write_text(LIMITS["quotas"])
    (policies / "..data").symlink_to("..2026_11_21")
    (policies / "quotas.yaml").symlink_to("..data/quotas.yaml")
    (policies / ".#prices.yaml").symlink_to("somebody@host.1234")
    (policies / "tests" / "any.yaml").write_text("{}")
    for name in (
        ".hidden.yaml",
        "prices.yaml~",
        ".prices.yaml.swp",
        "#prices.yaml#",
        "quotas.json",
        "README.md",
    ):
        (policies / name).write_text("left: alone")
    assert {rule.name for rule in load_config(place).limits.every} == {"everybody", "few"}
