"""Nobody's secret is written down: planted wherever a call has room, and looked for in all that is written.

A real gateway logs everything, keeps all decisions and all spans, with the prompts and answers of its tenant.
It is called with each planted string at each place, and its configuration is broken with them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from rig.chat import chunk, completion
from rig.gateway import CREDENTIALS, KEY, ONCE, PATIENT, Gateway, eventually, running_gateway
from rig.programs.otlp import Collector, running_collector
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream
from wire.telemetry.planted import CORPUS, COUNT, Planted

MARKS = (b"[secret]", b"[card]", b"[iban]", b"[email]", b"[phone]")
DEFECT = "defect-"
_DEFECTS = """
import gateway.pipeline as pipeline

decode = pipeline.decode_envelope

def decode_or_fail(members):
    envelope = decode(members)
    if envelope.model.startswith("defect-"):
        raise RuntimeError(f"cannot make sense of {envelope.model}")
    return envelope

pipeline.decode_envelope = decode_or_fail
"""
"""Python reads it before the gateway: a defect that tells of the model."""


@dataclass
class Written:
    """All that came out, by where it did."""

    answers: dict[str, bytes] = field(default_factory=dict)
    """Error answers, heads and bodies, by the place in which things were planted."""
    whole: bytes = b""
    """Answers that were none: they are the client's own."""
    upstream: bytes = b""
    """What the upstream got: it is the client's own, too."""
    log: bytes = b""
    spans: bytes = b""
    metrics: bytes = b""
    health: bytes = b""
    """What /readyz says of a configuration that could not be used."""
    decisions: bytes = b""
    explained: bytes = b""


def routing_of(upstream: Upstream) -> dict[str, Any]:
    place = {"base_url": upstream.base_url, "credentials": CREDENTIALS}
    claude = {"provider": "anthropic", "base_url": upstream.base_url.removesuffix("/v1")}
    rules = [
        {"name": name, "when": {name: {"x-team": "none"}}, "targets": [{"backend": "fake"}]}
        for name in ("headers", "metadata")
    ]
    return {
        "server": {"log_level": "debug", "decisions": "all", "drain_s": 2},
        "breaker": PATIENT,
        "backends": {"fake": place, "claude": claude | {"credentials": CREDENTIALS}},
        "routes": {
            "open-*": {
                "targets": [{"backend": "fake"}],
                "retry": ONCE,
                "rules": rules,
            },
            "claude-*": {"targets": [{"backend": "claude"}], "retry": ONCE},
        },
    }


def policies_of(collector: Collector) -> dict[str, Any]:
    traces = {"sample": 1.0, "most_waiting": 1 << 16}
    return {
        "telemetry": {
            "otlp": {"endpoint": collector.url},
            "traces": traces,
            "content": {"tenants": ["tests"]},
        }
    }


def said_by_upstream(planted: Planted) -> Any:
    """Answer as the model's name asks: with an error, a stream that breaks, or what was asked."""
    text = planted.text
    told = {
        "message": f"no such thing: {text}",
        "type": "invalid_request_error",
        "code": text,
        "seen": {text: text},
    }
    said = text if planted.fits_a_line else quote(text)
    head = [("x-request-id", said), ("x-ratelimit-limit-requests", said)]

    def answer(seen: Seen) -> Answer:
        model = seen.json()["model"]
        if "broken" in model:
            begun = chunk({"role": "assistant", "content": "It is "})
            return events(sse(begun, {"error": told}), headers=head)
        if "refused" in model:
            return plain({"error": told}, 400, headers=head)
        if "failed" in model:
            return plain(f"<html>{text}</html>".encode(), 500, headers=head, content_type="text/html")
        return plain(completion(content=f"You said {text}."), headers=head)

    return answer


def body_of(model: str, planted: Planted, **members: Any) -> dict[str, Any]:
    """A request that says it everywhere."""
    text = planted.text
    function = {"name": f"tool {text}", "description": text, "parameters": {"type": "object"}}
    return {
        "model": model,
        "messages": [{"role": "user", "name": text, "content": f"This is {text}, keep it."}],
        "user": text,
        "metadata": {"team": text, text: "x"},
        "tools": [{"type": "function", "function": function}],
        "max_tokens": 99,
        **members,
    }


def message_of(model: str, planted: Planted, **members: Any) -> dict[str, Any]:
    """The same in Anthropic's dialect."""
    text = planted.text
    tool = {"name": "tool", "description": text, "input_schema": {"type": "object"}}
    return {
        "model": model,
        "max_tokens": 99,
        "system": f"Never tell {text}.",
        "messages": [{"role": "user", "content": f"This is {text}, keep it."}],
        "metadata": {"user_id": text},
        "tools": [tool],
        **members,
    }


class Planting:
    """Calls with each string, at each place."""

    def __init__(self, client: httpx.Client, upstream: Upstream, written: Written) -> None:
        self.client, self.upstream, self.written = client, upstream, written
        self.kept: dict[str, list[bytes]] = {}

    def plant(self, planted: Planted) -> None:
        self.upstream.answer_with(said_by_upstream(planted))
        text, chat = planted.text, "/v1/chat/completions"
        heads = self._heads(planted)
        self._ask("unknown model", chat, heads, json=body_of(f"no-{text}", planted))
        self._ask("defect", chat, heads, json=body_of(f"{DEFECT}{text}", planted))
        self._ask("upstream error", chat, heads, json=body_of(f"open-refused-{text}", planted))
        self._ask("upstream page", chat, heads, json=body_of(f"open-failed-{text}", planted))
        self._ask("event", chat, heads, json=body_of(f"open-broken-{text}", planted, stream=True))
        self._ask("other dialect", "/v1/messages", heads, json=message_of(f"open-refused-{text}", planted))
        asked = message_of("open-broken", planted, stream=True)
        self._ask("translated event", "/v1/messages", heads, json=asked)
        self._ask("malformed", chat, heads, content=f'{{"model": "open-x", "{text}": {text}'.encode())
        self._ask("wrong type", chat, heads, json=body_of("open-x", planted, stream=text))
        self._ask("whole", chat, heads, json=body_of(f"open-{text}", planted))
        path = quote(text, safe="")
        self._ask("path", f"/v1beta/models/{path}:generateContent?key={path}", heads, json={"contents": []})
        self._ask("unknown path", f"/v1/{path}?token={path}", heads, json={})
        self._ask("wrong method", f"/v1/models/{path}", heads, method="PUT")
        self._ask("question", f"/usage?group_by={path}&from={path}", heads, method="GET")
        if planted.fits_a_line:
            shown = {"authorization": f"Bearer {text}"} if len(text) % 2 else {"x-api-key": text}
            given = {"authorization": "", **heads, **shown}
            self._ask("credential", chat, given, json=body_of("open-x", planted))

    def _heads(self, planted: Planted) -> dict[str, str]:
        if not planted.fits_a_line:
            return {}
        text = planted.text
        return {
            "x-team": text,
            "x-custom": text,
            "referer": text,
            "user-agent": f"agent {text}",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": f"vendor={text}",
        }

    def _ask(
        self, place: str, path: str, headers: Mapping[str, str], method: str = "POST", **given: Any
    ) -> None:
        answer = self.client.request(method, path, headers=headers, **given)
        heads = b"".join(b"%b: %b\n" % line for line in answer.headers.raw)
        if place in ("whole", "path") and answer.status_code == 200:
            self.written.whole += answer.content
        else:
            assert answer.status_code >= 400 or place in ("event", "translated event"), (place, answer.text)
            if "event" in place:  # what comes before the error is the answer's
                heads = b""
            self.kept.setdefault(place, []).append(heads + answer.content)

    def end(self) -> None:
        self.written.answers = {place: b"\n".join(answers) for place, answers in self.kept.items()}
        self.written.upstream = b"\n".join(seen.body for seen in self.upstream.seen)


def _mixed() -> Iterator[Planted]:
    """Give all of them, one of each kind after the other: of many errors only the first are told."""
    by_kind = {one.kind: [each for each in CORPUS if each.kind == one.kind] for one in CORPUS}
    for few in zip_longest(*by_kind.values()):
        yield from filter(None, few)


def break_configuration(gateway: Gateway, folder: Path) -> bytes:
    """Write an edit that names all of them, and have it refused; returns what /readyz says then."""
    path = folder / "routing.yaml"
    broken = yaml.safe_load(path.read_text())
    for at, planted in enumerate(_mixed()):
        broken["routes"][f"bad-{at:03}"] = {"targets": [{"backend": "fake"}], "strategy": planted.text}
    path.write_text(yaml.safe_dump(broken))
    assert eventually(lambda: any("configuration refused" in line for line in gateway.lines), 30)
    with gateway.client() as client:
        return client.get("/readyz").content


def explain(folder: Path) -> bytes:
    """Have a handful of the calls explained whose model was planted."""
    lines = [
        line for path in sorted((folder / "state/decisions").glob("*")) for line in path.read_bytes().split()
    ]
    calls = [json.loads(line)["call"] for line in lines if b'"model":"open-[' in line][:: COUNT // 3]
    assert calls
    told = b""
    for call in calls:
        command = [sys.executable, "-m", "gateway", "explain", call, "--state", str(folder / "state")]
        told += subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    written, folder = Written(), tmp_path_factory.mktemp("planted")
    defects = tmp_path_factory.mktemp("defects")
    (defects / "sitecustomize.py").write_text(_DEFECTS)
    with (
        pytest.MonkeyPatch.context() as patched,
        Upstream() as upstream,
        running_collector() as collector,
    ):
        patched.setenv("PYTHONPATH", str(defects))
        with running_gateway(folder, routing_of(upstream), policies=policies_of(collector)) as gateway:
            patched.undo()
            with gateway.client() as client:
                planting = Planting(client, upstream, written)
                for planted in CORPUS:
                    planting.plant(planted)
                planting.end()
                written.metrics = client.get("/metrics").content
            written.health = break_configuration(gateway, folder)
        written.log = "\n".join(gateway.lines).encode()
        written.spans = b"\n".join(collector.texts)
        written.decisions = b"".join(path.read_bytes() for path in (folder / "state/decisions").glob("*"))
        written.explained = explain(folder)
        yield written


def leaked(text: bytes) -> list[tuple[str, str]]:
    return [(one.kind, one.secret) for one in CORPUS if any(form in text for form in one.forms)]


def test_each_is_planted_once_and_is_what_a_gateway_has_to_carry(written: Written) -> None:
    assert len({planted.secret for planted in CORPUS}) == len(CORPUS) == COUNT
    assert {secret for _, secret in leaked(written.upstream)} == {planted.secret for planted in CORPUS}
    assert {secret for _, secret in leaked(written.whole)} == {planted.secret for planted in CORPUS}


@pytest.mark.parametrize("where", ["log", "spans", "decisions", "explained", "metrics", "health"])
def test_none_is_written_down(written: Written, where: str) -> None:
    assert leaked(getattr(written, where)) == []


@pytest.mark.parametrize("where", ["log", "spans", "decisions"])
def test_all_kinds_were_there_to_be_taken_out(written: Written, where: str) -> None:
    counts = {mark: getattr(written, where).count(mark) for mark in MARKS}
    assert min(counts.values()) >= 40, counts


PLACES = (
    *("unknown model", "upstream error", "event", "other dialect", "translated event"),
    *(
        "path",
        "unknown path",
        "wrong method",
        "question",
        "wrong type",
        "malformed",
        "defect",
        "upstream page",
    ),
    "credential",
)
QUOTING = frozenset(
    {"unknown model", "upstream error", "event", "other dialect", "translated event", "unknown path"}
)
"""Where an answer says what it did not like."""


@pytest.mark.parametrize("place", PLACES)
def test_none_is_in_an_error_answer(written: Written, place: str) -> None:
    answers = written.answers[place]
    assert leaked(answers) == []
    if place in QUOTING:
        assert all(mark in answers for mark in MARKS)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ("call", "model"),
        ("call", "error"),
        ("internal error", "traceback"),
    ],
)
def test_log_lines_of_each_kind_were_written(written: Written, event: str, field: str) -> None:
    lines = [json.loads(line) for line in written.log.splitlines()]
    told = [json.dumps(line[field]) for line in lines if line["event"] == event and field in line]
    assert all(any(mark.decode() in text for text in told) for mark in MARKS), (event, len(told))


def test_an_edit_that_is_refused_was_told_of(written: Written) -> None:
    """Of what looks like a secret itself, errors of the configuration say nothing in any case."""
    lines = [json.loads(line) for line in written.log.splitlines()]
    told = [line["reason"] for line in lines if line["event"] == "configuration refused"]
    assert all(any(mark in text for text in told) for mark in ("[card]", "[iban]", "[phone]"))


def test_answers_of_models_are_not_touched(written: Written) -> None:
    assert not any(mark in written.whole for mark in MARKS)


def test_what_the_rig_itself_shows_is_no_secret_of_the_corpus() -> None:
    assert KEY not in {planted.secret for planted in CORPUS}
