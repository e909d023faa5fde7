"""What comes from outside: files, variables and secrets, and errors that do not repeat them."""

import os

import pytest

from gateway.config import files
from gateway.errors import ConfigError

ENV = {"NAME": "world", "EMPTY": "", "KEY": "sk-123"}


@pytest.mark.parametrize(
    ("text", "expected", "from_outside"),
    [
        ("plain", "plain", False),
        ("", "", False),
        ("${KEY}", "sk-123", True),
        ("hello ${NAME}", "hello world", False),
        ("${NAME}${KEY}", "worldsk-123", True),
        ("${MISSING:-fallback}", "fallback", False),
        ("${EMPTY:-fallback}", "fallback", False),
        ("${MISSING:-}", "", True),
        ("${KEY:-fallback}", "sk-123", True),
        ("${EMPTY}", "", True),
        ("$${KEY}", "${KEY}", False),
        ("$5 and $NAME", "$5 and $NAME", False),
    ],
)
def test_references_are_replaced_as_in_a_shell(text, expected, from_outside):
    assert files.expand(text, ENV) == files.Expanded(expected, from_outside)


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-B}", "${A:?x}", "${KEY"])
def test_a_malformed_reference_says_what_may_be_written(text):
    with pytest.raises(files.Unexpandable) as caught:
        files.expand(text, ENV)
    assert caught.value.hint == 'write "${VAR}", "${file:/path}" or "$${"'


def test_a_missing_variable_is_named():
    with pytest.raises(files.Unexpandable, match="the environment variable MISSING is not set") as caught:
        files.expand("${MISSING}", ENV)
    assert caught.value.hint == 'set it, or write "${MISSING:-}" to go without'


def test_a_secret_file_is_read_and_stripped(tmp_path):
    (tmp_path / "key").write_text("  sk-file\n")
    assert files.expand(f"${{file:{tmp_path}/key}}", {}) == files.Expanded("sk-file", from_outside=True)


def test_a_secret_file_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (files.MAX_SECRET_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    for name, why in {
        "none": "cannot be read: No such file",
        "binary": "is not UTF-8",
        "large": "larger than",
        "pipe": "not a file",
    }.items():
        with pytest.raises(files.Unexpandable, match=why) as caught:
            files.expand(f"${{file:{tmp_path}/{name}}}", {})
        assert name in caught.value.message
    for name in ("/run/\0", "/run/\ud800"):
        with pytest.raises(files.Unexpandable, match="cannot be read: No such file"):
            files.expand(f"${{file:{name}}}", {})
    with pytest.raises(files.Unexpandable, match="not an absolute path"):
        files.expand("${file:key}", {})


def test_the_environment_is_a_copy(monkeypatch):
    monkeypatch.setenv("FOREBAY_TEST", "before")
    env = files.environment()
    monkeypatch.setenv("FOREBAY_TEST", "after")
    assert env["FOREBAY_TEST"] == "before"


def test_unreadable_files_are_told_apart(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    (tmp_path / "control.yaml").write_bytes(b"a: 1\n\nb: \x07\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (files.MAX_FILE_BYTES + 1))
    os.mkfifo(tmp_path / "pipe.yaml")
    said = {}
    for name in ("none", "latin", "control", "large", "pipe"):
        with pytest.raises(ConfigError) as caught:
            files.read_text(tmp_path / f"{name}.yaml")
        said[name] = str(caught.value).removeprefix(str(tmp_path))
    assert said == {
        "none": "/none.yaml: cannot be read: No such file or directory",
        "latin": "/latin.yaml:2: this is not UTF-8 text",
        "control": "/control.yaml:3: a control character, U+0007",
        "large": "/large.yaml: cannot be read: larger than 1048576 bytes",
        "pipe": "/pipe.yaml: cannot be read: not a file",
    }


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert files.read_text(tmp_path / "a.yaml") == "a: 1\n"
