"""Learn from answers what a call will use: how a model's provider counts prompts, how long its answers get.

A provider counts a text with its own tokenizer, and puts its template and often pages of instructions for
tools around it. Templates are known of many families of models, and where learning begins. What is counted
is a line over that, `added + ratio * expected`, apart for plain calls, for those with a schema and those with
tools: fitted by least squares of the error in proportion, what is newer counting more. Must not know stores,
prices or limits; whoever asks has one of these for each worker.

Cost: 0.3 us to ask, 2 us to learn. Some 400 bytes for each model, and for each route with a model.

Sources of `_TEMPLATES`: the chat templates that are published with open models, OpenAI's and Mistral's guides
to counting tokens. Of closed models (Claude, Command, Grok, Nova), of DeepSeek, and for instructions about
tools: the middle of what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple, TypeVar

import msgspec


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """What is there to be counted of a prompt, whoever counts it."""

    tokens: int
    """Estimated, of all that is said and declared, with nothing around it."""
    turns: int = 0
    """With its instructions, where they are one; 0: a lone text, which is not put into a template."""
    tools: bool = False
    schema: bool = False
    reasons: bool = False
    """The model is asked to think."""


class Template(NamedTuple):
    """How many tokens a family of models puts around what is said."""

    once: int = 3
    each_turn: int = 3
    tools: int = 0
    reasons: int = 0


_UNKNOWN = Template()
_TEMPLATES: Mapping[str, Template] = {
    "gpt-oss": Template(64, 3),
    "gpt": Template(3, 3),
    "claude": Template(4, 4, tools=416, reasons=28),
    "command": Template(60, 3, tools=1140),
    "deepseek": Template(75, 3, tools=145),
    "gemini": Template(0, 0),
    "gemma": Template(4, 5),
    "glm": Template(3, 2, tools=90),
    "grok": Template(150, 3, tools=110),
    "kimi": Template(3, 4, tools=40),
    "llama": Template(30, 5, tools=225),
    "minimax": Template(30, 4),
    "mistral": Template(1, 2, reasons=11),
    "magistral": Template(1, 2, reasons=11),
    "ministral": Template(1, 2, reasons=11),
    "nova": Template(1, 2, tools=400),
    "titan": Template(1, 2),
    "qwen2.5": Template(24, 5, tools=110),
    "qwen": Template(3, 5, tools=110),
}
"""By a part of a model's name; the first one holds. Where learning begins."""

_MOST_LINES = 4096
_FORGOTTEN = 0.97
"""What an answer counts when the next one has come."""
_TRUST, _LITTLE_TRUST = (1e-3, 0.1), (3e-8, 0.03)
"""How much an addition and a ratio count as they are in the beginning, against answers that count 1 in
proportion and 1 over its square in tokens: of plain prompts to a known family as much as an answer; otherwise
little, and so that one answer that is far off is taken for an addition rather than for a ratio."""
_SMALL_TOKENS = 30
"""Of shorter prompts the error is taken in proportion to this."""
_ODD = 0.5
"""An answer that is further off than this part counts less: it was cached, searched, seen."""
_MOST_TOKENS = 1 << 40
"""Of more than anybody can have counted nothing is learnt."""
_RATIOS = (0.5, 3.0)
_ADDITIONS = (-256.0, 4096.0)

_OUTPUT_TOKENS, _LEAST_OUTPUT_TOKENS, _ENOUGH_ANSWERS = 256, 16, 8
_NEWEST = 0.05
"""The part of a new answer in the mean of answers."""
_DEVIATIONS = 2.0

K = TypeVar("K")
T = TypeVar("T")


class _Line:
    """What a model's provider counts, over what is expected."""

    __slots__ = ("_e", "_ee", "_er", "_n", "_r", "_trust", "added", "ratio")

    def __init__(self, trust: tuple[float, float]) -> None:
        self.added, self.ratio = 0.0, 1.0
        self._trust = trust
        self._n = self._e = self._ee = self._r = self._er = 0.0

    def at(self, estimated: int) -> float:
        """Return what is counted for so much; never less than half of it."""
        return max(self.added + self.ratio * estimated, _RATIOS[0] * estimated, 1.0)

    def learn(self, estimated: int, reported: int) -> None:
        """Move towards what was reported."""
        expected = self.at(estimated)
        error = abs(reported - expected) / max(reported, expected, _SMALL_TOKENS)
        weight = min(1.0, _ODD / error) if error else 1.0
        weight /= max(estimated, reported, _SMALL_TOKENS) ** 2
        self._n = self._n * _FORGOTTEN + weight
        self._e = self._e * _FORGOTTEN + weight * estimated
        self._ee = self._ee * _FORGOTTEN + weight * estimated * estimated
        self._r = self._r * _FORGOTTEN + weight * reported
        self._er = self._er * _FORGOTTEN + weight * estimated * reported
        self._solve()

    def _solve(self) -> None:
        """Put the line where the squares are least; the two terms of trust keep them apart from 0."""
        trust_added, trust_ratio = self._trust
        n, e, ee = self._n + trust_added, self._e, self._ee + trust_ratio
        r, er = self._r, self._er + trust_ratio
        apart = n * ee - e * e
        self.added = min(max((r * ee - e * er) / apart, _ADDITIONS[0]), _ADDITIONS[1])
        self.ratio = min(max((n * er - e * r) / apart, _RATIOS[0]), _RATIOS[1])


class _Length:
    """How long answers have been lately."""

    __slots__ = ("_answers", "_mean", "_variance", "typical")

    def __init__(self) -> None:
        self._answers = 0
        self._mean = self._variance = 0.0
        self.typical = _OUTPUT_TOKENS

    def learn(self, tokens: int) -> None:
        """Take in an answer."""
        self._answers += 1
        part = max(1 / self._answers, _NEWEST)
        off = tokens - self._mean
        self._mean += part * off
        self._variance = (1 - part) * (self._variance + part * off * off)
        least = _LEAST_OUTPUT_TOKENS if self._answers >= _ENOUGH_ANSWERS else _OUTPUT_TOKENS
        self.typical = max(int(self._mean + _DEVIATIONS * sqrt(self._variance)) + 1, least)


class Estimates:
    """What one worker has learnt. When there are too many models, those that came first are forgotten."""

    __slots__ = ("_lengths", "_plain", "_templates", "_with_schema", "_with_tools")

    def __init__(self) -> None:
        self._plain: dict[str, _Line] = {}
        self._with_schema: dict[str, _Line] = {}
        self._with_tools: dict[str, _Line] = {}
        self._templates: dict[str, Template] = {}
        self._lengths: dict[tuple[str, str], _Length] = {}

    def input_tokens(self, model: str, prompt: Prompt) -> int:
        """Return what a model's provider will count for a prompt."""
        tokens = _expected(prompt, self._template(model))
        line = self._lines(prompt).get(model)
        return tokens if line is None or not tokens else round(line.at(tokens))

    def learn_input(self, model: str, prompt: Prompt, reported: int) -> None:
        """Take in what a provider counted, of all input: also what was cached. 0 and nonsense say nothing."""
        template = self._template(model)
        tokens = _expected(prompt, template)
        if tokens <= 0 or not 0 < reported <= _MOST_TOKENS:
            return
        lines = self._lines(prompt)
        line = lines.get(model)
        if line is None:
            is_known = not (template is _UNKNOWN or prompt.tools or prompt.schema)
            line = _put(lines, model, _Line(_TRUST if is_known else _LITTLE_TRUST))
        line.learn(tokens, reported)

    def _lines(self, prompt: Prompt) -> dict[str, _Line]:
        if prompt.tools:
            return self._with_tools
        return self._with_schema if prompt.schema else self._plain

    def _template(self, model: str) -> Template:
        template = self._templates.get(model)
        return _put(self._templates, model, _template_of(model)) if template is None else template

    def output_tokens(self, route: str, model: str, asked: int | None, most: int | None = None) -> int:
        """Return how long an answer may get: as asked for, else as lately; at most what the model can."""
        if asked is None:
            length = self._lengths.get((route, model))
            asked = _OUTPUT_TOKENS if length is None else length.typical
        return asked if most is None or asked < most else most

    def learn_output(self, route: str, model: str, tokens: int) -> None:
        """Take in how long one answer was, all of whose tokens were told. Nonsense says nothing."""
        if not 0 <= tokens <= _MOST_TOKENS:
            return
        length = self._lengths.get((route, model))
        if length is None:
            length = _put(self._lengths, (route, model), _Length())
        length.learn(tokens)

    @property
    def remembered(self) -> int:
        """How many models, and routes with a model, were learnt of."""
        lines = len(self._plain) + len(self._with_schema) + len(self._with_tools)
        return lines + len(self._lengths)


def _put(known: dict[K, T], name: K, made: T) -> T:
    if len(known) >= _MOST_LINES:
        del known[next(iter(known))]
    known[name] = made
    return made


def _template_of(model: str) -> Template:
    name = model.lower()
    return next((template for family, template in _TEMPLATES.items() if family in name), _UNKNOWN)


def _expected(prompt: Prompt, template: Template) -> int:
    tokens = prompt.tokens
    if prompt.turns:
        tokens += template.once + template.each_turn * prompt.turns
    if prompt.tools:
        tokens += template.tools
    return tokens + template.reasons if prompt.reasons else tokens
