"""YAML as nodes that know their lines."""

import pytest

from gateway.config import nodes
from gateway.errors import ConfigError

SPACES = "indent with spaces: there is a tab"
TAB = "found a tab character that violates indentation"


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        nodes.parse(text, "a.yaml")
    return str(caught.value)


def test_scalars_stay_as_they_were_written():
    root = nodes.parse("on: no\nversion: 1.10\nquoted: 'yes'\n", "a.yaml")
    assert {name: (line, node.text, node.plain) for name, (line, node) in root.entries.items()} == {
        "on": (1, "no", True),
        "version": (2, "1.10", True),
        "quoted": (3, "yes", False),
    }


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_document_is_an_empty_scalar(text):
    assert nodes.parse(text, "a.yaml").text == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", 'a.yaml:3: duplicate key "a", first given on line 1'),
        (
            "a: !!python/object:os.system x\n",
            'a.yaml:1: tags are not allowed, write the value without its "!" tag',
        ),
        (
            "a: &x {b: 1}\nc:\n  <<: *x\n",
            'a.yaml:3: merge keys ("<<") are not supported, write the fields out',
        ),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: a second document begins, keep one document in a file"),
        ("a: *nope\n", 'a.yaml:1: "*nope" has no "&nope" before it'),
        ("a: &x [*x]\n", 'a.yaml:1: "*x" has no "&x" before it'),
        ("[a]: 1\n", 'a.yaml:1: a name must be plain text, put one like "*" or "[x]" in quotes'),
        ("a: 1\n\tb: 2\n", "a.yaml:2: not YAML: while scanning a plain scalar, " + TAB + ", " + SPACES),
        (
            "a: {}\n\tb: 2\n",
            "a.yaml:2: not YAML: while scanning for the next token, "
            "found character that cannot start any token, " + SPACES,
        ),
        ("[" * 5000, "a.yaml:1: nested deeper than 32 levels"),
    ],
)
def test_what_yaml_allows_and_we_do_not_is_located(text, expected):
    assert problem(text) == expected


def test_a_billion_laughs_fails_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert problem("\n".join(lines)) == "a.yaml:5: more than 100000 values with its aliases"


def test_aliases_cannot_nest_deeper_than_the_limit():
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 40))]
    assert "nested deeper than 32 levels with its aliases" in problem("\n".join(lines))


def test_a_syntax_error_does_not_quote_the_text_around_it():
    assert "sk-secret" not in problem('key: "sk-secret\n')


def test_an_alias_stands_for_the_whole_value():
    root = nodes.parse("a: &x {b: 1}\nc: *x\n", "a.yaml")
    assert root.entries["c"][1] == root.entries["a"][1]
