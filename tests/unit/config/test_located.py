"""From YAML to Specs: every error has its place, and a hint where there is one."""

from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, field

from gateway.config import nodes
from gateway.config.located import Located, load, render
from gateway.config.spec import Secret, Spec
from gateway.errors import ConfigErrors


class Inner(Spec, frozen=True, kw_only=True):
    backend: str
    weight: Annotated[int, Meta(ge=1, le=100)] = 1


class Outer(Spec, frozen=True, kw_only=True):
    name: str = ""
    mode: Literal["always", "never"] = "always"
    share: Annotated[float, Meta(gt=0)] = 0.5
    on: bool = True
    limit: int | None = None
    keys: tuple[Secret, ...] = ()
    some: frozenset[str] = frozenset()
    targets: Annotated[tuple[Inner, ...], Meta(min_length=1)] = (Inner(backend="x"),)
    by_name: dict[Annotated[str, Meta(pattern="^[a-z.]+$")], Inner] = field(default_factory=dict)


class Short(Spec, frozen=True, kw_only=True):
    order: Literal["first", "last"] | Inner | None = None


@pytest.fixture
def read(tmp_path):
    def _read(text: str, env: dict[str, str] | None = None, of: type = Outer):
        (tmp_path / "a.yaml").write_text(text)
        return load(tmp_path / "a.yaml", of, env or {})

    return _read


@pytest.fixture
def problems(read, tmp_path):
    def _problems(text: str, env: dict[str, str] | None = None, of: type = Outer) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            read(text, env, of)
        return [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors]

    return _problems


def test_values_are_read_by_the_type_that_is_expected(read):
    text = """
name: no
mode: never
share: 1
on: false
limit: ~
some: [on, 2024-10-21, 1.10]
targets: [{backend: 007, weight: 3}]
by_name: {a.b: {backend: x}}
"""
    assert read(text).value == Outer(
        name="no",
        mode="never",
        share=1.0,
        on=False,
        some=frozenset({"on", "2024-10-21", "1.10"}),
        targets=(Inner(backend="007", weight=3),),
        by_name={"a.b": Inner(backend="x")},
    )


def test_a_value_may_be_written_as_one_word_or_as_fields(read):
    assert read("order: last", of=Short).value.order == "last"
    assert read("order: {backend: b}", of=Short).value.order == Inner(backend="b")
    assert read("order: ~", of=Short).value.order is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order: lst", 'order: "lst" is not a known value, did you mean "last"?'),
        ("order: {bckend: b}", 'order: unknown field "bckend", did you mean "backend"?'),
        ("order: [first]", "order: expected one word, got a list"),
    ],
)
def test_what_is_neither_word_nor_fields_is_located(problems, text, expected):
    assert problems(text, of=Short)[0] == f"a.yaml:1 {expected}"


def test_a_name_with_nothing_under_it_is_empty(read):
    assert read("by_name:\n  # x: {}\nkeys:\n").value == Outer()
    assert read("").value == Outer()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\ntargets:\n  - backend: a\n    wieght: 2",
            'a.yaml:4 targets[0]: unknown field "wieght", did you mean "weight"?',
        ),
        ("targets:\n- weight: 2", 'a.yaml:2 targets[0]: the required field "backend" is missing'),
        ("targets: {backend: a}", "a.yaml:1 targets: expected a list, got fields"),
        ("targets: []", "a.yaml:1 targets: must not be empty"),
        ("targets: [a]", "a.yaml:1 targets[0]: expected fields (name: value), got a single value"),
        ("- a", "a.yaml:1: expected fields (name: value), got a list"),
        ("name: [x]", "a.yaml:1 name: expected text, got a list"),
        ("name:", "a.yaml:1 name: expected text, got nothing"),
        ("limit: 1.5", 'a.yaml:1 limit: expected a whole number, got "1.5"'),
        ("limit: 010", 'a.yaml:1 limit: expected a whole number, got "010"'),
        ("limit: 1_000", 'a.yaml:1 limit: expected a whole number, got "1_000"'),
        ("limit: '5'", "a.yaml:1 limit: expected a whole number, got a quoted text, remove the quotes"),
        ("share: .inf", 'a.yaml:1 share: expected a number, got ".inf"'),
        ("share: 1e999", 'a.yaml:1 share: expected a number, got "1e999"'),
        ("share: 0", 'a.yaml:1 share: "0" is out of range, it must be more than 0'),
        (
            "targets: [{backend: a, weight: 101}]",
            'a.yaml:1 targets[0].weight: "101" is out of range, it must be at most 100',
        ),
        ("on: yes", 'a.yaml:1 on: expected true or false, got "yes"'),
        ("mode: allways", 'a.yaml:1 mode: "allways" is not a known value, did you mean "always"?'),
        ("mode: xyz", 'a.yaml:1 mode: "xyz" is not a known value, known: always, never'),
        (
            "by_name: {A: {backend: x}}",
            "a.yaml:1 by_name.A: this text is not allowed here, it must match ^[a-z.]+$",
        ),
        ("by_name: {a.b: {backend: []}}", 'a.yaml:1 by_name."a.b".backend: expected text, got a list'),
        (
            "name: ${NOPE}",
            (
                "a.yaml:1 name: the environment variable NOPE is not set, "
                'set it, or write "${NOPE:-}" to go without'
            ),
        ),
        ("keys: [sk-123]", 'a.yaml:1 keys[0]: a secret stands in the file, use "${VAR}" or "${file:/path}"'),
        (
            'keys: ["${NOPE:-sk-123}"]',
            'a.yaml:1 keys[0]: a secret stands in the file, use "${VAR}" or "${file:/path}"',
        ),
    ],
)
def test_each_problem_is_said_in_one_line(problems, text, expected):
    assert problems(text) == [expected]


def test_all_problems_are_reported_in_the_order_of_lines(problems):
    assert problems("limit: x\nnmae: y\nmode: z\ntargets:\n  - {}\n") == [
        'a.yaml:1 limit: expected a whole number, got "x"',
        'a.yaml:2: unknown field "nmae", did you mean "name"?',
        'a.yaml:3 mode: "z" is not a known value, known: always, never',
        'a.yaml:5 targets[0]: the required field "backend" is missing',
    ]


def test_a_file_full_of_problems_stops_at_a_hundred(problems):
    assert len(problems("\n".join(f"x{i}: 1" for i in range(500)))) == 100


def test_expanded_numbers_may_stand_in_quotes(read):
    assert read('{limit: "${LIMIT:-5}", share: "${SHARE}"}', {"SHARE": "0.25"}).value == Outer(
        limit=5, share=0.25
    )


@pytest.mark.parametrize(
    "text", ["limit: ${KEY}", "mode: ${KEY}", "on: ${KEY}", "targets: [{backend: a, weight: '${KEY}'}]"]
)
def test_an_expanded_value_never_appears_in_an_error(problems, text):
    (said,) = problems(text, {"KEY": "sk-hidden"})
    assert "sk-hidden" not in said
    assert "${KEY}" in said


def test_a_long_value_in_the_wrong_place_is_not_shown(problems):
    assert problems("limit: sk-proj-abcdefghijklmnopqrstuvwxyz") == [
        "a.yaml:1 limit: expected a whole number, got this text"
    ]


def test_secrets_do_not_appear_in_a_repr(read):
    value = read('keys: ["${KEY}"]', {"KEY": "sk-hidden"}).value
    assert value.keys == ("sk-hidden",)
    assert repr(value) == "<Outer>"


def test_lines_can_be_asked_for_later(read):
    located = read("name: a\nby_name:\n  x:\n    backend: b\ntargets:\n  - backend: c\n")
    assert isinstance(located, Located)
    assert located.at() == 1
    assert located.at("by_name", "x") == 3
    assert located.at("by_name", "x", "backend") == 4
    assert located.at("by_name", "x", "weight") == 3
    assert located.at("targets", 0) == 6
    assert located.at("targets", 9, "backend") == 5
    assert located.at("mode") == 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ""),
        (("routes", "fast", "targets", 0), "routes.fast.targets[0]"),
        (("routes", "gpt-*"), "routes.gpt-*"),
        (("routes", "gpt-4.1", "targets"), 'routes."gpt-4.1".targets'),
        (("routes", "a\nb"), 'routes."a\\nb"'),
    ],
)
def test_places_are_rendered_as_paths(parts, expected):
    assert render(parts) == expected


def test_a_file_that_is_missing_is_a_config_error(tmp_path):
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml", Outer, {})


def _is_refused_or_decoded(path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        located = load(path, Outer, {"A": "b"})
    except ConfigErrors as caught:
        said = [str(error) for error in caught.errors]
    else:
        said = [f"{path} holds {located.value!r}"]
    assert said
    assert all(line.startswith(str(path)) for line in said)


_SYNTAX = st.sampled_from([
    *"[]{},:&*!|>'\"%@`#-? \n\t~$", "\n  ", "- ", ": ", "<<", "&a ", "*a", "${", "}", "${A}", "${file:/",
    "name", "mode", "share", "on", "limit", "keys", "targets", "by_name", "backend", "weight",
    "always", "1", "1e9", "\\0",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80), st.lists(_SYNTAX, max_size=25).map(lambda parts: "".join(parts).encode())
    )
)
def test_no_content_raises_anything_but_config_errors(tmp_path_factory, content):
    _is_refused_or_decoded(tmp_path_factory.getbasetemp() / "any.yaml", content)


_TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([*Outer.__struct_fields__, "backend", "weight", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(_TREES)
def test_no_tree_raises_anything_but_config_errors(tmp_path_factory, tree):
    import yaml

    _is_refused_or_decoded(tmp_path_factory.getbasetemp() / "tree.yaml", yaml.safe_dump(tree).encode())


def test_the_largest_file_is_refused_quickly(tmp_path):
    _is_refused_or_decoded(tmp_path / "a.yaml", b"- x\n" * 200_000)
    with pytest.raises(ConfigErrors, match=f"more than {nodes.MAX_NODES} values"):
        load(tmp_path / "a.yaml", Outer, {})
