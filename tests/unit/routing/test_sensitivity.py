"""Where calls with sensitive data may go."""

from __future__ import annotations

import pytest

from gateway.config.signals import LabelSpec, OnlySpec, SensitivitySpec
from gateway.routing.sensitivity import Sensitivity, compile_sensitivity

RESTRICTED = frozenset({"restricted"})


def compiled(**labels: OnlySpec | None) -> Sensitivity:
    return compile_sensitivity(
        SensitivitySpec(labels={name: LabelSpec(only=o) for name, o in labels.items()})
    )


@pytest.mark.parametrize("sensitivity", [compiled(), compiled(restricted=None)])
def test_restricted_calls_go_to_self_hosted_backends_only_where_nothing_else_is_written(sensitivity):
    assert not sensitivity.forbids(RESTRICTED, "", self_hosted=True)
    assert sensitivity.forbids(RESTRICTED, "eu-central-1", self_hosted=False) == "restricted"


def test_what_is_written_of_restricted_replaces_what_it_is_without():
    sensitivity = compiled(restricted=OnlySpec(regions=("eu-*",)))
    assert not sensitivity.forbids(RESTRICTED, "eu-west-1", self_hosted=False)
    assert sensitivity.forbids(RESTRICTED, "us-east-1", self_hosted=True) == "restricted"


def test_a_backend_without_a_region_is_in_none():
    sensitivity = compiled(personal=OnlySpec(regions=("*",)))
    assert sensitivity.forbids(frozenset({"personal"}), "", self_hosted=True) == "personal"
    assert not sensitivity.forbids(frozenset({"personal"}), "anywhere", self_hosted=False)


def test_either_its_region_or_that_it_is_our_own_is_enough():
    sensitivity = compiled(personal=OnlySpec(self_hosted=True, regions=("eu-*", "ch")))
    allowed = [("", True), ("eu-north-1", False), ("ch", False)]
    assert not any(
        sensitivity.forbids(frozenset({"personal"}), region, self_hosted=own) for region, own in allowed
    )


def test_a_label_whose_calls_may_go_nowhere_forbids_every_backend():
    sensitivity = compiled(sealed=OnlySpec())
    for own in (True, False):
        assert sensitivity.forbids(frozenset({"sealed"}), "eu-west-1", self_hosted=own) == "sealed"


def test_every_label_of_a_call_must_allow_the_backend():
    sensitivity = compiled(a=OnlySpec(regions=("eu",)), b=OnlySpec(regions=("us",)))
    assert sensitivity.forbids(frozenset({"a", "b"}), "eu", self_hosted=False) == "b"


def test_labels_without_a_place_and_calls_without_labels_go_anywhere():
    sensitivity = compiled(noted=None)
    assert not sensitivity.forbids(frozenset({"noted"}), "", self_hosted=False)
    assert not sensitivity.forbids(frozenset(), "", self_hosted=False)
