"""Parse YAML text into a small tree in which every node knows its line.

It knows no Spec and no environment: scalars stay the text that was written. The only module that
knows PyYAML, and only its event stream: tags, merge keys and self-references never get further, and
depth and size are bounded while the tree grows, so that no file can exhaust memory or stack.
Source: YAML 1.1 as PyYAML and libyaml read it, https://pyyaml.org/wiki/PyYAMLDocumentation.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import msgspec
import yaml

from gateway.errors import ConfigError

MAX_DEPTH = 32
MAX_NODES = 100_000
"""Counted as if every alias were written out: what a 'billion laughs' would become."""
MAX_SHOWN = 60
"""Characters of a name in a message."""

_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(msgspec.Struct, frozen=True):
    """A text as written; `plain` when it stood without quotes."""

    line: int
    text: str
    plain: bool
    depth: int = 1
    size: int = 1


class Sequence(msgspec.Struct, frozen=True):
    """A list; `depth` and `size` include everything below."""

    line: int
    items: tuple[Node, ...]
    depth: int
    size: int


class Mapping(msgspec.Struct, frozen=True):
    """Names to values, each with the line of its name."""

    line: int
    entries: dict[str, tuple[int, Node]]
    depth: int
    size: int


Node = Scalar | Sequence | Mapping


def parse(text: str, path: str) -> Node:
    """Parse one YAML document; an empty one is an empty plain scalar. Raises ConfigError."""
    try:
        return _Composer(text, path).document()
    except yaml.MarkedYAMLError as error:
        # str(error) would quote the text around the mark, which may hold a secret.
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        hint = _INDENT if mark and "\t" in _indent(text, mark.line) else ""
        raise ConfigError(path, mark.line + 1 if mark else 0, "", f"not YAML: {problem}", hint) from None
    except yaml.YAMLError:
        raise ConfigError(path, 0, "", "not YAML") from None


_INDENT = "indent with spaces: there is a tab"


def _indent(text: str, at: int) -> str:
    """Return what a line begins with, before its first word."""
    line = text.split("\n")[at : at + 1]
    return line[0][: len(line[0]) - len(line[0].lstrip())] if line else ""


class _Composer:
    """Builds nodes from events; PyYAML's own composer has no bound on depth."""

    def __init__(self, text: str, path: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._path = path
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node:
        """Read the stream's only document."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Scalar(1, "", plain=True)
        node = self._node(next(self._events), 1)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document begins", "keep one document in a file")
        return node

    def _node(self, event: yaml.Event, level: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if getattr(event, "tag", None) is not None:
            raise self._error(event, "tags are not allowed", 'write the value without its "!" tag')
        if level > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
        node = self._written(event, level)
        if node.depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels with its aliases")
        # Known only from here on: an alias inside its own anchor finds nothing.
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _written(self, event: yaml.Event, level: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, level)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, level)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(_line(event), event.value, plain=event.implicit[0])
        raise self._error(event, "not YAML")

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            raise self._error(event, f'"*{event.anchor}" has no "&{event.anchor}" before it')
        return self._anchors[event.anchor]

    def _sequence(self, start: yaml.Event, level: int) -> Sequence:
        items: list[Node] = []
        size, depth = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, level + 1)
            items.append(item)
            size, depth = self._grown(event, item, size, depth)
        return Sequence(_line(start), tuple(items), depth + 1, size)

    def _mapping(self, start: yaml.Event, level: int) -> Mapping:
        entries: dict[str, tuple[int, Node]] = {}
        size, depth = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._name(event, entries)
            value = self._node(next(self._events), level + 1)
            entries[name] = (_line(event), value)
            size, depth = self._grown(event, value, size, depth)
        return Mapping(_line(start), entries, depth + 1, size)

    def _grown(self, event: yaml.Event, child: Node, size: int, depth: int) -> tuple[int, int]:
        if size + child.size > MAX_NODES:
            raise self._error(event, f"more than {MAX_NODES} values with its aliases")
        return size + child.size, max(depth, child.depth)

    def _name(self, event: yaml.Event, entries: dict[str, tuple[int, Node]]) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
            raise self._error(event, "a name must be plain text", 'put one like "*" or "[x]" in quotes')
        name = str(event.value)
        if name == "<<" and event.implicit[0]:
            raise self._error(event, 'merge keys ("<<") are not supported', "write the fields out")
        if name in entries:
            shown = textwrap.shorten(name, MAX_SHOWN, placeholder="...")
            raise self._error(event, f'duplicate key "{shown}", first given on line {entries[name][0]}')
        return name

    def _error(self, event: yaml.Event, message: str, hint: str = "") -> ConfigError:
        return ConfigError(self._path, _line(event), "", message, hint)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
