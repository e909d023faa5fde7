"""What upstream models can do, by their names: the facts that ship, and routing.yaml's over them.

It knows no backend: the same model is served by several, each with its own way to write its name. What is not
known is left open, and never a reason not to ask a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from importlib import resources

from gateway.config.located import load
from gateway.config.reliability import ModelSpec
from gateway.config.signals import Glob
from gateway.exchange import Facts

CACHE_ENTRIES = 4096

# Bedrock's ids: us.anthropic.claude-..., global.amazon.nova-..., meta.llama3-1-...
_BEDROCK = re.compile(
    r"(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai"
    r"|qwen|writer|zai)\.(?=[a-z])"
)


def load_models() -> dict[str, ModelSpec]:
    """Read the facts that ship with the gateway, by globs over plain names."""
    with resources.as_file(resources.files("gateway.config") / "models.yaml") as path:
        return load(path, dict[Glob, ModelSpec], {}).value


def plain_name(model: str) -> str:
    """Leave out what hosts put before a model's name: paths, owners, and Bedrock's regions and vendors."""
    name = model.lower().rsplit("/", 1)[-1]
    return _BEDROCK.sub("", name, count=1) if _BEDROCK.match(name) else name


class Models:
    """What is known of models. Of each table the first glob that matches counts, field by field."""

    def __init__(self, written: Mapping[str, ModelSpec], shipped: Mapping[str, ModelSpec]) -> None:
        self._written = _compiled(written)
        self._shipped = _compiled(shipped)
        self._known = lru_cache(CACHE_ENTRIES)(self._find)

    def facts(self, model: str) -> Facts:
        """Return the facts of a model, by its upstream name; written globs may match it whole or plain."""
        return self._known(model)

    def _find(self, model: str) -> Facts:
        plain = plain_name(model)
        written = _first(self._written, (model.lower(), plain))
        shipped = _first(self._shipped, (plain,))
        takes = shipped.takes if written.takes is None else written.takes
        return Facts(
            written.context_tokens or shipped.context_tokens,
            written.output_tokens or shipped.output_tokens,
            None if takes is None else frozenset(takes),
            bool(shipped.prefill if written.prefill is None else written.prefill),
        )


Table = tuple[tuple[re.Pattern[str], ModelSpec], ...]


def _compiled(specs: Mapping[str, ModelSpec]) -> Table:
    return tuple((re.compile(translate(glob.lower())), spec) for glob, spec in specs.items())


def _first(table: Table, names: Iterable[str]) -> ModelSpec:
    found = (spec for pattern, spec in table if any(pattern.match(name) for name in names))
    return next(found, ModelSpec())
