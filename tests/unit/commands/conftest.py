"""A configuration to ask about: two providers with prices, one of our own, rules, limits and fallbacks."""

from __future__ import annotations

from pathlib import Path

import pytest

ROUTING = """\
backends:
  alpha: {base_url: "http://alpha.test/v1"}
  beta: {base_url: "http://beta.test/v1"}
  own: {base_url: "http://own.test/v1", self_hosted: true}
routes:
  auto:
    targets: [{backend: alpha, model: big}, {backend: beta, model: big}]
    retry: {attempts: 0}
    rules:
      - name: gold
        when: {tags: [gold]}
        targets: [{backend: beta, model: big}]
      - name: labs
        when: {headers: {x-team: labs}}
        targets: [{backend: own, model: small}]
      - name: no-batches
        when: {priority: [batch]}
        deny: batches are not welcome
    fallbacks:
      - {on: [context_length], targets: [{backend: own, model: long}]}
      - {targets: [{backend: own, model: small}]}
      - {answer: "Nobody is here."}
  thrifty:
    strategy: cheapest
    limits: {max_cost_usd: 0.01, max_first_token_ms: 500}
    targets: [{backend: alpha, model: big}, {backend: beta, model: big}]
  scored:
    strategy: {kind: score, explore: 0}
    targets: [{backend: alpha, model: big}, {backend: beta, model: big}]
"""
PRICES = """\
models:
  alpha/big: {input_usd_per_mtok: 4, output_usd_per_mtok: 8}
  beta/big: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}
"""
TENANTS = """\
tenants:
  acme: {}
  rich: {tags: [gold]}
  narrow: {routes: [thrifty]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the configuration."""
    folder = tmp_path / "config"
    (folder / "policies" / "tests").mkdir(parents=True)
    (folder / "routing.yaml").write_text(ROUTING)
    (folder / "policies" / "prices.yaml").write_text(PRICES)
    (folder / "policies" / "tenants.yaml").write_text(TENANTS)
    return folder
