#!/usr/bin/env python3
"""Write the tables of docs/configuration.md that the code knows better: fields, defaults, presets.

    python docs/tables.py

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`. Nothing but the Specs is read, so
that a field and its line in the documents cannot differ; tests/test_docs.py fails when they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import reliability, routing, signals, ways
from gateway.config.resolve import BREAKER, load_presets
from gateway.exchange import Timeouts
from gateway.policy import budgets, prices, quotas, retention, slo, telemetry, tenants
from gateway.policy.limits import scopes
from gateway.policy.pricing import specs as pricing

PAGE = Path(__file__).with_name("configuration.md")
SPECS: dict[str, type[msgspec.Struct]] = {
    "routing.yaml": routing.RoutingSpec,
    "server": routing.ServerSpec,
    "timeouts": routing.TimeoutsSpec,
    "breaker": reliability.BreakerSpec,
    "backend": routing.BackendSpec,
    "auth": routing.AuthSpec,
    "probe": reliability.ProbeSpec,
    "concurrency": reliability.ConcurrencySpec,
    "route": ways.RouteSpec,
    "target": ways.TargetSpec,
    "strategy": ways.StrategySpec,
    "weights": ways.WeightsSpec,
    "limits": ways.LimitsSpec,
    "retry": ways.RetrySpec,
    "fallback": ways.FallbackSpec,
    "shorten": ways.ShortenSpec,
    "cached": ways.CachedSpec,
    "hedge": ways.HedgeSpec,
    "stream": ways.StreamSpec,
    "canary": ways.CanarySpec,
    "rollback": ways.MarginSpec,
    "shadow": ways.ShadowSpec,
    "rule": ways.RuleSpec,
    "when": signals.WhenSpec,
    "range": signals.RangeSpec,
    "hours": signals.HoursSpec,
    "share": signals.ShareSpec,
    "model": reliability.ModelSpec,
    "task": signals.TaskSpec,
    "classifier": signals.ClassifierSpec,
    "sensitivity": signals.SensitivitySpec,
    "label": signals.LabelSpec,
    "only": signals.OnlySpec,
    "preset": routing.PresetSpec,
    "tenants.yaml": tenants.TenantsSpec,
    "tenant": tenants.TenantSpec,
    "key": tenants.KeySpec,
    "issuer": tenants.IssuerSpec,
    "prices.yaml": prices.PricesSpec,
    "price": pricing.PriceSpec,
    "kinds": pricing.RatesSpec,
    "long_context": pricing.LongSpec,
    "tier": pricing.TierSpec,
    "gpu": pricing.GpuSpec,
    "quotas.yaml": quotas.QuotasSpec,
    "quota": quotas.QuotaSpec,
    "for": scopes.ForSpec,
    "budgets.yaml": budgets.BudgetsSpec,
    "budget": budgets.BudgetSpec,
    "downgrade": budgets.DowngradeSpec,
    "alerts": budgets.AlertsSpec,
    "retention.yaml": retention.RetentionSpec,
    "telemetry.yaml": telemetry.TelemetrySpec,
    "otlp": telemetry.OtlpSpec,
    "traces": telemetry.TracesSpec,
    "metrics": telemetry.MetricsSpec,
    "content": telemetry.ContentSpec,
    "redact": telemetry.RedactSpec,
    "slo.yaml": slo.SloSpec,
    "objective": slo.ObjectiveSpec,
    "burn": slo.BurnAlertSpec,
}
INHERITED = {
    f"{place}.{name}": value
    for place, values in (("timeouts", Timeouts()), ("breaker", BREAKER))
    for name, value in msgspec.structs.asdict(values).items()
}
SHOWN_ELSEWHERE = {
    "rule": ways.WaySpec.__struct_fields__,
    **dict.fromkeys(("price", "long_context", "tier"), pricing.RatesSpec.__struct_fields__),
}

_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_UNITS = {
    "_tokens_per_s": "tokens a second",
    "_per_hour": "US dollars for an hour",
    "_s": "seconds",
    "_ms": "milliseconds",
    "_bytes": "bytes",
    "_tokens": "tokens",
    "_percent": "percent",
    "_usd": "US dollars",
    "_per_mtok": "US dollars for a million tokens",
}
_POWERS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def render(page: str) -> str:
    """Give the page with all its tables written anew."""
    return _TABLE.sub(lambda found: found[1] + _table(found[2]) + found[3], page)


def _table(name: str) -> str:
    lines = _presets() if name == "presets" else _fields(name, SPECS[name])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _fields(place: str, spec: type[msgspec.Struct]) -> Iterator[tuple[str, ...]]:
    definitions = msgspec.json.schema(spec)["$defs"]
    described = definitions[spec.__name__]
    yield ("field", "type", "default", "meaning")
    yield ("---",) * 4
    for name, property_ in described["properties"].items():
        if name in SHOWN_ELSEWHERE.get(place, ()):
            continue
        default = INHERITED.get(f"{place}.{name}", property_.get("default"))
        shown = "required" if name in described.get("required", ()) else _default(name, default)
        type_, meaning = _type(name, property_, definitions), _meaning(property_, definitions)
        yield (f"`{name}`", type_, shown, meaning.replace("|", "\\|"))


def _meaning(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return what is said of a field, else of what it holds; its name and unit may say enough."""
    named = definitions[_target(schema)] if "$ref" in schema else {}
    return str(schema.get("description") or named.get("description", ""))


def _default(name: str, value: Any) -> str:
    if not isinstance(value, bool | int | float) and not value:
        return "none"
    if isinstance(value, dict):  # of fields that have a table of their own
        return "see there"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if name.endswith("_bytes"):
        power, unit = next(each for each in _POWERS if value % each[0] == 0)
        return f"`{value}` ({value // power} {unit})"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _type(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Say a type in a few words, with its unit and its limits."""
    if several := [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]:
        return " or ".join(_type(name, one, definitions) for one in several)
    if "$ref" in schema:
        schema = definitions[_target(schema)]
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    inner = schema.get("items") or schema.get("additionalProperties")
    if inner:
        outer = "list of" if schema["type"] == "array" else "name:"
        return f"{outer} {_type(name, inner, definitions)}"
    if schema["type"] in {"integer", "number"}:
        unit = next((words for suffix, words in _UNITS.items() if name.endswith(suffix)), "number")
        return unit + _limits(schema)
    is_secret = schema.get("pattern") == r"^\$\{"
    return (
        "secret"
        if is_secret
        else {"string": "text", "boolean": "`true` or `false`"}.get(schema["type"], "fields")
    )


def _limits(schema: dict[str, Any]) -> str:
    bounds = (schema.get(word) for word in ("minimum", "exclusiveMinimum", "maximum"))
    low, above, high = (
        int(bound) if isinstance(bound, float) and bound.is_integer() else bound for bound in bounds
    )
    if high is None:
        return ""
    return f", {low} to {high}" if low is not None else f", more than {above}, at most {high}"


def _target(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _presets() -> Iterator[tuple[str, ...]]:
    yield ("preset", "base URL", "key variable", "formats", "usage in streams")
    yield ("---",) * 5
    for name, preset in load_presets().items():
        key = f"`{preset.key}`" if preset.key else "none needed"
        yield (f"`{name}`", preset.base_url, key, ", ".join(preset.formats), f"`{preset.stream_usage}`")


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
