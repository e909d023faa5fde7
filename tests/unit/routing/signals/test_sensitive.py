"""Labels: those a client names, and those that are detected."""

from __future__ import annotations

import base64
import json

import pytest

from gateway.config.signals import LabelSpec, SensitivitySpec
from gateway.errors import BadRequest
from gateway.exchange import Call, Caller, Envelope
from gateway.formats.envelope import decode_members
from gateway.routing.signals.sensitive import compile_labels

SPEC = SensitivitySpec(
    header="X-Data",
    labels={
        "personal": LabelSpec(detect=("email", "phone")),
        "paying": LabelSpec(detect=("card", "iban"), patterns=(r"INV-\d{4}",)),
        "noted": LabelSpec(),
    },
)


def labels(text: str, header: str | None = None, spec: SensitivitySpec = SPEC) -> frozenset[str]:
    body = decode_members(json.dumps({"messages": [{"role": "user", "content": text}]}).encode())
    headers = {} if header is None else {"x-data": header}
    return compile_labels(spec).of(Call("chat", Caller("t", "k"), Envelope("m"), body, headers))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", set()),
        ("write to bob@example.com", {"personal"}),
        ("pay DE89 3704 0044 0532 0130 00", {"paying"}),
        ("pay INV-1234", {"paying"}),
        ("bob@example.com paid with 4111 1111 1111 1111", {"personal", "paying"}),
    ],
)
def test_labels_are_detected(text, expected):
    assert labels(text) == expected


def test_the_header_adds_labels_and_takes_none_away():
    assert labels("hello", " Noted , restricted,, ") == {"noted", "restricted"}
    assert labels("bob@example.com", "noted") == {"noted", "personal"}
    assert labels("bob@example.com", "") == {"personal"}


def test_an_unknown_label_in_the_header_is_refused_with_the_known_ones():
    with pytest.raises(
        BadRequest, match=r"x-data .*'secrt'.* noted, paying, personal, restricted"
    ) as refused:
        labels("hello", "noted, secrt")
    assert refused.value.status == 400


def test_without_detectors_only_the_header_counts():
    assert labels("bob@example.com", "restricted", SensitivitySpec(header="x-data")) == {"restricted"}


def test_patterns_are_found_in_escaped_text():
    assert labels("größe", None, SensitivitySpec(labels={"mine": LabelSpec(patterns=("größe",))})) == {"mine"}


@pytest.mark.parametrize("prefix", ["", "data:text/csv;base64,"])
@pytest.mark.parametrize("patterns", [(), (r"INV-\d{4}",)])
def test_what_stands_in_a_file_is_found_where_nothing_else_is_suspect(prefix, patterns):
    spec = SensitivitySpec(labels={"personal": LabelSpec(detect=("email",), patterns=patterns)})
    coded = base64.b64encode(b"name;mail\nBob;bob@example.com\n").decode()
    assert labels(f"sum up {prefix}{coded} please", spec=spec) == {"personal"}


def test_a_text_with_more_to_look_at_than_there_is_time_for_counts_as_labelled():
    """Else one call could keep all others waiting, or hide what it has behind what is nothing."""
    assert labels("DE89 " * 100) == set()
    assert labels("DE89 " * 20_000) == {"paying"}
    assert labels(base64.b64encode(b"x" * 40).decode() + " ") == set()
    assert labels((base64.b64encode(b"nothing to be seen here, or is there").decode() + " ") * 20_000) == {
        "personal",
        "paying",
    }
