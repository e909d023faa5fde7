"""Decode a YAML file into a msgspec type, and collect every problem with its line.

msgspec's own decoder stops at the first problem and knows no lines; this one walks the node tree
along the type. It knows no particular Spec. It decodes what Specs are made of: Structs, dict, list,
tuple, frozenset, Literal, optional values, str, int, float and bool, with the limits of `Meta`.

Scalars are read by the type that is expected: where text is expected, an unquoted `no` or
`2024-10-21` is the text that was written. Values from `${...}` never appear in an error.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import inspect

from gateway.config import files, nodes
from gateway.errors import ConfigError, ConfigErrors

T = TypeVar("T")
Part = str | int
Where = tuple[Part, ...]

MAX_ERRORS = 100
MAX_SHOWN = 60
"""Characters of a name in a message."""
MAX_SHOWN_VALUE = 24
"""Characters of a value that a message may show."""

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# No octal, sexagesimal or underscored numbers: the dialects of YAML disagree on them.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_PLAIN_PART = re.compile(r"[\w*?/:@+-]+")
_LIMITS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("ge", operator.ge, "at least"),
    ("gt", operator.gt, "more than"),
    ("le", operator.le, "at most"),
    ("lt", operator.lt, "less than"),
)


class Located(Generic[T]):
    """A decoded file that still knows its lines, for checks that span fields or files."""

    def __init__(self, value: T, path: str, root: nodes.Node) -> None:
        self.value, self.path, self._root = value, path, root

    def at(self, *parts: Part) -> int:
        """Find the 1-based line of a place; of the nearest one around it when it was not written."""
        node, line = self._root, self._root.line
        for part in parts:
            if isinstance(node, nodes.Mapping) and part in node.entries:
                line, node = node.entries[str(part)]
            elif isinstance(node, nodes.Sequence) and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                line = node.line
            else:
                break
        return line

    def error(self, parts: Where, message: str, hint: str = "") -> ConfigError:
        """Make (not raise) an error about the place `parts`."""
        return ConfigError(self.path, self.at(*parts), render(parts), message, hint)


def load(path: Path, of: type[T], env: Mapping[str, str]) -> Located[T]:
    """Read, parse and decode a file; raises ConfigErrors with all that is wrong, in line order."""
    try:
        root = nodes.parse(files.read_text(path), str(path))
    except ConfigError as error:
        raise ConfigErrors([error]) from None
    decoder = _Decoder(str(path), env)
    value = decoder.decode(root, inspect.type_info(of), (), root.line)
    if decoder.errors:
        raise ConfigErrors(sorted(decoder.errors, key=lambda error: error.line))
    return Located(value, str(path), root)


def render(parts: Where) -> str:
    """Write a place as `routes.fast.targets[0]`; names with odd characters come quoted."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_PART.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """Show a text in a message: quoted, escaped, cut."""
    return json.dumps(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "...", ensure_ascii=False)


def did_you_mean(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Hint at the known word nearest to `word`, or list the known ones when they are few."""
    near = difflib.get_close_matches(word, known, 1) if len(word) <= MAX_SHOWN else []
    if near:
        return f"did you mean {quoted(near[0])}?"
    return f"known: {', '.join(sorted(known))}" if 0 < len(", ".join(known)) <= 2 * MAX_SHOWN else ""


class _Decoder:
    """Decodes node by node; a value that is wrong leaves an error and None behind."""

    def __init__(self, path: str, env: Mapping[str, str]) -> None:
        self.errors: list[ConfigError] = []
        self._path, self._env = path, env
        self._readers: dict[type[inspect.Type], Callable[..., Any]] = {
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.ListType: self._list,
            inspect.VarTupleType: lambda *args: tuple(self._list(*args)),
            inspect.FrozenSetType: lambda *args: frozenset(self._list(*args)),
            inspect.StrType: self._str,
            inspect.LiteralType: self._literal,
            inspect.IntType: self._int,
            inspect.FloatType: self._float,
            inspect.BoolType: self._bool,
            inspect.AnyType: self._anything,
        }

    def decode(self, node: nodes.Node, kind: inspect.Type, where: Where, line: int) -> Any:
        """Decode one node as `kind`; `line` is where its name stands."""
        if isinstance(kind, inspect.Metadata):
            if (kind.extra or {}).get("secret"):
                self._forbid_written_secret(node, where, line)
            return self.decode(node, kind.type, where, line)
        if isinstance(kind, inspect.UnionType):
            if _is_nothing(node):
                return None
            return self.decode(node, _meant(kind, node), where, line)
        return self._readers[type(kind)](node, kind, where, line)

    def _struct(self, node: nodes.Node, kind: inspect.StructType, where: Where, line: int) -> Any:
        before = len(self.errors)
        fields = {field.encode_name: field for field in kind.fields}
        values: dict[str, Any] = {}
        entries = self._entries(node, where, line)
        if entries is None:
            return None
        for name, (name_line, child) in entries.items():
            if name in fields:
                field = fields[name]
                values[field.name] = self.decode(child, field.type, (*where, name), name_line)
            else:
                self._fail(where, name_line, f"unknown field {quoted(name)}", did_you_mean(name, fields))
        for name, field in fields.items():
            if field.required and name not in entries:
                self._fail(where, line, f"the required field {quoted(name)} is missing")
        return None if len(self.errors) > before else kind.cls(**values)

    def _dict(self, node: nodes.Node, kind: inspect.DictType, where: Where, line: int) -> dict[Any, Any]:
        entries = self._entries(node, where, line) or {}
        for name, (name_line, _) in entries.items():
            self._check_text(name, kind.key_type, (*where, name), name_line)
        self._check_length(len(entries), kind, where, line)
        return {
            name: self.decode(child, kind.value_type, (*where, name), name_line)
            for name, (name_line, child) in entries.items()
        }

    def _list(self, node: nodes.Node, kind: Any, where: Where, line: int) -> list[Any]:
        if not isinstance(node, nodes.Sequence) and not _is_nothing(node):
            self._fail(where, line, f"expected a list, got {_shape(node)}")
            return []
        items = node.items if isinstance(node, nodes.Sequence) else ()
        self._check_length(len(items), kind, where, line)
        return [self.decode(item, kind.item_type, (*where, i), item.line) for i, item in enumerate(items)]

    def _str(self, node: nodes.Node, kind: inspect.StrType, where: Where, line: int) -> str | None:
        text = self._scalar(node, "text", where, line)
        if text is not None:
            self._check_text(text, kind, where, line)
        return text

    def _literal(self, node: nodes.Node, kind: inspect.LiteralType, where: Where, line: int) -> Any:
        known = {str(value): value for value in kind.values}
        text = self._scalar(node, "one word", where, line)
        if text is None or text in known:
            return known.get(text or "")
        hint = did_you_mean(text, known) if _is_written(node) else f"known: {', '.join(known)}"
        self._fail(where, line, f"{_shown(node)} is not a known value", hint)
        return None

    def _int(self, node: nodes.Node, kind: inspect.IntType, where: Where, line: int) -> int | None:
        text = self._number(node, _INT, "a whole number", where, line)
        return None if text is None else self._limited(int(text), kind, node, where)

    def _float(self, node: nodes.Node, kind: inspect.FloatType, where: Where, line: int) -> float | None:
        text = self._number(node, _FLOAT, "a number", where, line)
        return None if text is None else self._limited(float(text), kind, node, where)

    def _bool(self, node: nodes.Node, _kind: inspect.BoolType, where: Where, line: int) -> bool | None:
        text = self._scalar(node, "true or false", where, line)
        if text is None or (text in _BOOLS and _is_unquoted(node)):
            return _BOOLS.get(text or "")
        self._fail(where, line, f"expected true or false, got {_shown(node)}")
        return None

    def _anything(self, node: nodes.Node, kind: inspect.AnyType, where: Where, line: int) -> Any:
        """Read a value as JSON would have it: what is unquoted may be a number, true, false or null."""
        if isinstance(node, nodes.Mapping):
            return {
                name: self._anything(child, kind, (*where, name), at)
                for name, (at, child) in node.entries.items()
            }
        if isinstance(node, nodes.Sequence):
            return [self._anything(item, kind, (*where, i), item.line) for i, item in enumerate(node.items)]
        if _is_nothing(node):
            return None
        text = self._scalar(node, "a value", where, line) or ""
        if not _is_unquoted(node):
            return text
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else _BOOLS.get(text, text)

    def _entries(self, node: nodes.Node, where: Where, line: int) -> dict[str, tuple[int, nodes.Node]] | None:
        """Give the names of a mapping and their values; None after an error."""
        if isinstance(node, nodes.Mapping):
            return node.entries
        # A name whose fields are all commented out reads as nothing: the same as no fields.
        if _is_nothing(node):
            return {}
        self._fail(where, line, f"expected fields (name: value), got {_shape(node)}")
        return None

    def _scalar(self, node: nodes.Node, expected: str, where: Where, line: int) -> str | None:
        """Give the expanded text of a scalar; None after an error."""
        if not isinstance(node, nodes.Scalar) or _is_nothing(node):
            self._fail(where, line, f"expected {expected}, got {_shape(node)}")
            return None
        try:
            return files.expand(node.text, self._env).text
        except files.Unexpandable as error:
            self._fail(where, node.line, error.message, error.hint)
            return None

    def _number(
        self, node: nodes.Node, syntax: re.Pattern[str], expected: str, where: Where, line: int
    ) -> str | None:
        text = self._scalar(node, expected, where, line)
        if text is None:
            return None
        if not _is_unquoted(node):
            self._fail(where, line, f"expected {expected}, got a quoted text", "remove the quotes")
            return None
        if not syntax.fullmatch(text) or not math.isfinite(float(text)):
            self._fail(where, line, f"expected {expected}, got {_shown(node)}")
            return None
        return text

    def _limited(self, number: Any, kind: Any, node: nodes.Node, where: Where) -> Any:
        for name, holds, words in _LIMITS:
            limit = getattr(kind, name)
            if limit is not None and not holds(number, limit):
                self._fail(where, node.line, f"{_shown(node)} is out of range", f"it must be {words} {limit}")
        return number

    def _check_text(self, text: str, kind: inspect.Type, where: Where, line: int) -> None:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        if not isinstance(kind, inspect.StrType):
            return
        self._check_length(len(text), kind, where, line)
        # "$" also matches before a line's end.
        fits = kind.pattern is None or (re.search(kind.pattern, text) and not text.endswith("\n"))
        if not fits:
            self._fail(where, line, "this text is not allowed here", f"it must match {kind.pattern}")

    def _check_length(self, length: int, kind: Any, where: Where, line: int) -> None:
        if kind.min_length is not None and length < kind.min_length:
            self._fail(where, line, "must not be empty" if kind.min_length == 1 else "is too short")
        if kind.max_length is not None and length > kind.max_length:
            self._fail(where, line, f"is longer than {kind.max_length}")

    def _forbid_written_secret(self, node: nodes.Node, where: Where, line: int) -> None:
        if not isinstance(node, nodes.Scalar) or _is_nothing(node):
            return
        try:
            outside = files.expand(node.text, self._env).from_outside
        except files.Unexpandable:
            return
        if not outside:
            self._fail(where, line, "a secret stands in the file", 'use "${VAR}" or "${file:/path}"')

    def _fail(self, where: Where, line: int, message: str, hint: str = "") -> None:
        self.errors.append(ConfigError(self._path, line, render(where), message, hint))
        if len(self.errors) == MAX_ERRORS:
            raise ConfigErrors(sorted(self.errors, key=lambda error: error.line))


def _meant(kind: inspect.UnionType, node: nodes.Node) -> inspect.Type:
    """Choose by the shape of the node between one word and fields, where a value may be written as either."""
    kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    has_fields = isinstance(node, nodes.Mapping)
    return next((one for one in kinds if isinstance(one, inspect.StructType) is has_fields), kinds[0])


def _is_nothing(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Scalar) and node.plain and node.text in _NOTHING


def _is_written(node: nodes.Node) -> bool:
    """Tell whether the value stands in the file itself, so that a message may show it."""
    return isinstance(node, nodes.Scalar) and "${" not in node.text


def _is_unquoted(node: nodes.Node) -> bool:
    # Inside {...} and [...] YAML wants quotes around "${VAR}": they do not make it a text.
    return isinstance(node, nodes.Scalar) and (node.plain or "${" in node.text)


def _shown(node: nodes.Node) -> str:
    # As written, before expansion; and nothing long, which may be a secret in the wrong place.
    short = isinstance(node, nodes.Scalar) and len(node.text) <= MAX_SHOWN_VALUE
    return quoted(node.text) if isinstance(node, nodes.Scalar) and short else "this text"


def _shape(node: nodes.Node) -> str:
    if _is_nothing(node):
        return "nothing"
    return {nodes.Scalar: "a single value", nodes.Sequence: "a list", nodes.Mapping: "fields"}[type(node)]
