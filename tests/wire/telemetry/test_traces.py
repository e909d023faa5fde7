"""What a call leaves in a tracing system: real calls, a real receiver, and the tree of spans that arrives."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from rig.chat import UPSTREAM_MODEL, chunks, completion
from rig.gateway import CREDENTIALS, ONCE, PATIENT, SECRETS, Gateway, eventually, running_gateway
from rig.messages import UPSTREAM_MODEL as CLAUDE
from rig.messages import message, tool_use
from rig.programs.otlp import Collector, GotSpan, running_collector, running_grpc_collector
from rig.script import Answer, Cut, Gate, Pause, events, plain, sse
from rig.upstream import Upstream, silent_port

from gateway.telemetry.tracing import names

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello to ann@example.com"}]}
NAMED = {"backend": "fake", "model": "gpt-4o-mini"}
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def routing_of(upstream: Upstream) -> dict[str, Any]:
    place = {"base_url": upstream.base_url, "credentials": CREDENTIALS}
    return {
        "server": {"drain_s": 2, "slow_refusals": False},
        "timeouts": {"connect_s": 2, "first_byte_s": 10, "gap_s": 10, "total_s": 30},
        "breaker": PATIENT,
        "backends": {
            "fake": place | {"preset": "openai"},
            "second": place,
            "ours": place | {"self_hosted": True},
            "claude": {
                "provider": "anthropic",
                "base_url": upstream.base_url.removesuffix("/v1"),
                "credentials": CREDENTIALS,
            },
        },
        "routes": {
            "fast": {"targets": [NAMED], "retry": ONCE},
            "birds": {
                "targets": [NAMED],
                "retry": ONCE,
                "canary": {"target": {"backend": "second", "model": "gpt-5"}, "share": {"percent": 100}},
            },
            "limited": {"targets": [NAMED], "retry": ONCE},
            "ours": {"targets": [{"backend": "ours", "model": "small"}], "retry": ONCE},
            "claude": {"targets": [{"backend": "claude", "model": "claude-9"}], "retry": ONCE},
            "careful": {
                "targets": [NAMED, {"backend": "second", "model": "gpt-5", "priority": 1}],
                "retry": ONCE,
                "strategy": "priority",
                "fallbacks": [{"targets": [{"backend": "ours", "model": "small"}]}],
            },
            "kept": {"targets": [NAMED], "retry": ONCE, "fallbacks": [{"cached": {"max_age_s": 600}}]},
        },
    }


def policies_of(collector: Collector, **traces: Any) -> dict[str, Any]:
    return {
        "telemetry": {
            "otlp": {
                "endpoint": collector.url,
                "timeout_s": 1,
                "headers": {"authorization": "${RIG_KEY_2}"},
                "resource": {"deployment.environment.name": "tests"},
            },
            "traces": {"sample": 1.0} | traces,
        },
        "quotas": {"quotas": {"none": {"for": {"route": ["limited"]}, "requests_per_minute": 0}}},
    }


@dataclass
class Stand:
    """A gateway that keeps the spans of all calls, between a fake upstream and a receiver."""

    gateway: Gateway
    client: httpx.Client
    upstream: Upstream
    collector: Collector
    folder: Path

    def chat(self, model: str, **members: Any) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json=CHAT | {"model": model} | members)

    def tree(self, count: int = 1) -> Tree:
        """The spans of the next call, once all have come."""
        assert eventually(lambda: len(self.roots()) >= count, 30), self.gateway.tail()
        root = self.roots()[-1]
        return Tree(root, [span for span in self.collector.spans if span.trace_id == root.trace_id])

    def roots(self) -> list[GotSpan]:
        return [span for span in list(self.collector.spans) if span.kind == "server"]


@dataclass
class Tree:
    """The spans of one call."""

    root: GotSpan
    spans: list[GotSpan]

    def below(self, parent: GotSpan) -> list[GotSpan]:
        return [span for span in self.spans if span.parent_id == parent.span_id]

    def names(self, parent: GotSpan | None = None) -> list[str]:
        return [span.name for span in self.below(parent or self.root)]

    @property
    def attempts(self) -> list[GotSpan]:
        return [span for span in self.spans if span.kind == "client"]

    def only(self, name: str) -> GotSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


@contextlib.contextmanager
def stand_in(folder: Path, upstream: Upstream, collector: Collector, **traces: Any) -> Iterator[Stand]:
    running = running_gateway(folder, routing_of(upstream), policies=policies_of(collector, **traces))
    with running as gateway, gateway.client() as client:
        yield Stand(gateway, client, upstream, collector, folder)


@pytest.fixture(scope="module")
def shared_stand(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with (
        running_collector() as collector,
        stand_in(tmp_path_factory.mktemp("traced"), shared_upstream, collector) as stand,
    ):
        yield stand


@pytest.fixture
def stand(shared_stand: Stand, upstream: Upstream) -> Stand:
    """The stand with nothing seen yet."""
    assert shared_stand.upstream is upstream
    shared_stand.collector.clear()
    return shared_stand


def test_a_plain_call_leaves_its_tree(stand: Stand) -> None:
    stand.upstream.answer_with(plain(completion()))
    answer = stand.chat("fast", temperature=0.5, max_tokens=64, seed="no number")
    assert answer.status_code == 200
    tree = stand.tree()
    root, (attempt,) = tree.root, tree.attempts
    assert (root.name, root.kind, root.parent_id, root.status) == ("chat fast", "server", "", "unset")
    assert tree.names() == ["receive", "plan", "admit", "chat gpt-4o-mini", "settle"]
    assert set(tree.names(attempt)) <= {"connect"}  # of an answer that came whole
    assert len(tree.spans) == 1 + len(tree.names()) + len(tree.names(attempt))
    told = root.attributes
    assert told["forebay.call_id"] == answer.headers["x-forebay-call-id"]
    assert root.trace_id.endswith(told["forebay.call_id"].removeprefix("call_"))
    assert {name: told[name] for name in told if not name.startswith("forebay.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "fast",
        "gen_ai.response.model": UPSTREAM_MODEL,
        "http.request.method": "POST",
        "http.response.status_code": 200,
    }
    assert told["forebay.decision"] == told["forebay.target"] == "fake/gpt-4o-mini"
    assert (told["forebay.tenant"], told["forebay.key_id"], told["forebay.route"]) == (
        "tests",
        "the-key",
        "fast",
    )
    assert told["forebay.attempts"] == 1
    assert not {"forebay.retries", "forebay.fallback"} & told.keys()
    assert told["forebay.sampled_for"] == "sampled"


def test_an_attempt_tells_what_it_asked_and_what_it_used(stand: Stand) -> None:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 30,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    stand.upstream.answer_with(plain(completion() | {"usage": usage}))
    stand.chat("fast", temperature=1, max_completion_tokens=64, seed="no number", n=1)
    (attempt,) = stand.tree().attempts
    told = attempt.attributes
    assert (attempt.name, attempt.kind, attempt.status) == ("chat gpt-4o-mini", "client", "unset")
    assert {name: told[name] for name in told if not name.startswith("forebay.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.choice.count": 1,
        "gen_ai.response.model": UPSTREAM_MODEL,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 90,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 12,
        "server.address": "127.0.0.1",
        "server.port": stand.upstream.port,
    }
    # 26 tokens at 0.15 USD per million, 64 cached ones at 0.075, 30 at 0.6.
    assert told["forebay.cost_usd"] == pytest.approx(26 * 0.15e-6 + 64 * 0.075e-6 + 30 * 0.6e-6)
    assert told["forebay.price_version"]
    assert (told["forebay.attempt.number"], told["forebay.attempt.why"]) == (1, "first")


def test_spans_lie_within_each_other_in_the_time_of_day(stand: Stand) -> None:
    before_ns = time.time_ns()
    stand.upstream.answer_with(plain(completion()))
    stand.chat("fast")
    tree = stand.tree()
    assert before_ns - 1e6 < tree.root.start_ns < tree.root.end_ns < time.time_ns()
    for parent in (tree.root, *tree.attempts):
        for span in tree.below(parent):
            assert parent.start_ns <= span.start_ns <= span.end_ns, span
            assert span.end_ns <= parent.end_ns or span.name == "settle", span


def test_the_receiver_learns_who_sends(stand: Stand) -> None:
    stand.upstream.answer_with(plain(completion()))
    stand.chat("fast")
    root = stand.tree().root
    assert root.resource["service.name"] == "forebay"
    assert root.resource["deployment.environment.name"] == "tests"
    assert root.resource["service.instance.id"]
    assert (root.scope, root.schema_url) == ("forebay", names.SCHEMA_URL)
    (headers,) = stand.collector.headers[-1:]
    assert headers["authorization"] == SECRETS["RIG_KEY_2"]
    assert headers["content-encoding"] == "gzip"


def test_a_stream_tells_when_its_first_content_came(stand: Stand) -> None:
    first, *rest = sse(*chunks())
    held = Gate()
    stand.upstream.answer_with(events([first, rest[0], held, *rest[1:]]))
    body = CHAT | {"model": "fast", "stream": True}
    with stand.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        held.open()
        assert "data: [DONE]" in list(lines)
    tree = stand.tree()
    (attempt,) = tree.attempts
    assert [name for name in tree.names(attempt) if name != "connect"] == ["first token", "stream"]
    first_token, stream = tree.only("first token"), tree.only("stream")
    assert first_token.end_ns == stream.start_ns
    assert stream.end_ns == attempt.end_ns <= tree.root.end_ns
    assert attempt.attributes["gen_ai.request.stream"] is True
    told_s = attempt.attributes["gen_ai.response.time_to_first_chunk"]
    assert told_s == pytest.approx((stream.start_ns - attempt.start_ns) / 1e9, abs=1e-5)
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 3


def test_a_fallback_after_two_failures_tells_of_all_three(stand: Stand) -> None:
    sick = plain({"error": {"message": "down", "type": "server_error"}}, 500)
    stand.upstream.answer_in_turn(sick, sick, plain(completion(), headers=[("x-who", "third")]))
    assert stand.chat("careful").status_code == 200
    tree = stand.tree()
    assert [span.name for span in tree.attempts] == ["chat gpt-4o-mini", "chat gpt-5", "chat small"]
    told = [span.attributes for span in tree.attempts]
    assert [each["forebay.attempt.why"] for each in told] == ["first", "next", "fallback"]
    assert [each["forebay.attempt.number"] for each in told] == [1, 2, 3]
    assert [each.get("error.type") for each in told] == ["upstream_failed", "upstream_failed", None]
    assert [span.status for span in tree.attempts] == ["error", "error", "unset"]
    assert (tree.root.status, tree.root.attributes.get("error.type")) == ("unset", None)
    assert tree.root.attributes["forebay.fallback"] is True
    assert tree.root.attributes["forebay.attempts"] == 3
    assert tree.root.attributes["forebay.target"] == "ours/small"


def test_a_call_that_nobody_answers_is_an_error(stand: Stand) -> None:
    stand.upstream.answer_with(plain({"error": {"message": "down", "type": "server_error"}}, 500))
    answer = stand.chat("fast")
    tree = stand.tree()
    error = answer.json()["error"]
    assert (tree.root.status, tree.root.message) == ("error", error["message"])
    assert tree.root.attributes["error.type"] == "upstream_failed"
    assert tree.root.attributes["http.response.status_code"] == answer.status_code >= 500
    assert "gen_ai.response.model" not in tree.root.attributes


def test_an_answer_from_memory_is_recalled(stand: Stand) -> None:
    down = plain({"error": {"message": "down", "type": "server_error"}}, 500)
    stand.upstream.answer_in_turn(plain(completion()), down)
    asked = {"messages": [{"role": "user", "content": "Remember me"}]}
    assert stand.chat("kept", **asked).status_code == 200
    assert "forebay.cache.outcome" not in stand.tree().root.attributes
    again = stand.chat("kept", **asked)
    assert again.headers["x-forebay-fallback"].startswith("cached")
    tree = stand.tree(2)
    assert tree.names() == ["receive", "plan", "admit", "chat gpt-4o-mini", "recall", "settle"]
    assert tree.root.attributes["forebay.cache.outcome"] == "hit"
    assert (tree.root.status, tree.attempts[0].status) == ("unset", "error")
    assert tree.only("recall").start_ns >= tree.attempts[0].end_ns
    missed = stand.chat("kept", messages=[{"role": "user", "content": "Nobody asked this"}])
    assert missed.status_code >= 500
    assert stand.tree(3).root.attributes["forebay.cache.outcome"] == "miss"


def test_a_denied_call_ends_where_it_was_denied(stand: Stand) -> None:
    refused = stand.chat("limited")
    assert (refused.status_code, stand.upstream.seen) == (429, [])
    tree = stand.tree()
    assert tree.names() == ["receive", "plan", "admit", "settle"]
    admit = tree.only("admit")
    assert (admit.status, admit.attributes["error.type"]) == ("error", "rate_limit_exceeded")
    assert admit.message == refused.json()["error"]["message"]
    # The conventions leave a server's span alone where its client was at fault.
    assert (tree.root.status, tree.root.attributes["error.type"]) == ("unset", "rate_limit_exceeded")
    assert tree.root.attributes["http.response.status_code"] == 429


def test_whoever_shows_no_key_leaves_a_name_that_no_client_chose(stand: Stand) -> None:
    answer = httpx.post(f"{stand.gateway.url}/v1/chat/completions", json=CHAT, trust_env=False)
    assert answer.status_code == 401
    tree = stand.tree()
    assert (tree.root.name, tree.names()) == ("chat", ["receive", "settle"])
    assert tree.only("receive").attributes["error.type"] == "invalid_api_key"
    stand.chat("no-such-route-" + "x" * 300)
    tree = stand.tree(2)
    assert (tree.root.name, tree.names()) == ("chat", ["receive", "plan", "settle"])
    assert len(tree.root.attributes["gen_ai.request.model"]) == 200


def test_a_client_that_leaves_is_no_error_of_ours(stand: Stand) -> None:
    first, *rest = sse(*chunks())
    stand.upstream.answer_with(events([first, rest[0], Gate(), *rest[1:]]))
    body = CHAT | {"model": "fast", "stream": True}
    with stand.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert next(answer.iter_lines())
    tree = stand.tree()
    told = tree.root.attributes
    assert (told["forebay.ending"], told["error.type"]) == ("client_gone", "client_gone")
    assert [tree.root.status, *(span.status for span in tree.attempts)] == ["unset", "unset"]
    (attempt,) = tree.attempts
    assert "stream" in tree.names(attempt)
    assert attempt.attributes["forebay.usage.origin"] == "counted"
    assert tree.only("settle").start_ns >= tree.root.end_ns


def test_a_stream_that_breaks_is_an_error_though_it_began_with_200(stand: Stand) -> None:
    stand.upstream.answer_with(events([*sse(*chunks(), done=False)[:3], Cut.RESET]))
    body = CHAT | {"model": "fast", "stream": True}
    with (
        contextlib.suppress(httpx.HTTPError),
        stand.client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        list(answer.iter_lines())
    tree = stand.tree()
    assert tree.root.attributes["forebay.ending"] == "broken"
    assert [tree.root.status, *(span.status for span in tree.attempts)] == ["error", "error"]
    assert tree.root.attributes["error.type"] == tree.attempts[0].attributes["error.type"] == "stream_broken"


def test_a_translated_tool_call_says_into_what(stand: Stand) -> None:
    stand.upstream.answer_with(plain(message(tool_use("weather", city="Rome"))))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    answer = stand.chat("claude", tools=tools, seed=5)
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls", answer.text
    tree = stand.tree()
    (attempt,) = tree.attempts
    assert tree.root.attributes["forebay.translated_to"] == "messages"
    assert tree.root.attributes["forebay.dropped"] == ["seed"]
    assert attempt.attributes["gen_ai.provider.name"] == "anthropic"
    assert attempt.attributes["gen_ai.response.model"] == CLAUDE
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["tool_calls"]


def test_a_client_s_trace_goes_on_and_only_our_own_engines_are_told_of_it(stand: Stand) -> None:
    stand.upstream.answer_with(plain(completion()))
    for sent, model in enumerate(("fast", "ours"), 1):
        headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=1,other=2"}
        body = CHAT | {"model": model}
        stand.client.post("/v1/chat/completions", json=body, headers=headers)
        root = stand.tree(sent).root
        assert (root.trace_id, root.parent_id, root.state) == (TRACE_ID, PARENT_ID, "vendor=1,other=2")
    provider, ours = stand.upstream.seen
    assert "traceparent" not in provider.headers
    assert "tracestate" not in provider.headers
    (attempt,) = [span for span in stand.collector.spans if span.name == "chat small"]
    assert ours.headers["traceparent"] == f"00-{TRACE_ID}-{attempt.span_id}-01"
    assert ours.headers["tracestate"] == "vendor=1,other=2"
    assert attempt.trace_id == TRACE_ID


def test_a_client_that_samples_its_trace_out_is_followed_but_for_errors(stand: Stand) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}
    stand.upstream.answer_in_turn(
        plain(completion()), plain({"error": {"message": "down", "type": "server_error"}}, 500)
    )
    for status in (200, 500):
        answer = stand.client.post("/v1/chat/completions", json=CHAT | {"model": "fast"}, headers=headers)
        assert answer.status_code == status
    tree = stand.tree()  # what was sampled out would have come before it
    assert tree.root.attributes["forebay.sampled_for"] == "error"
    assert len(stand.roots()) == 1


def test_nothing_of_what_was_said_is_told_unless_a_policy_says_so(stand: Stand) -> None:
    stand.upstream.answer_with(plain(completion(content="The moon is far")))
    stand.chat("fast")
    stand.tree()
    texts = b"".join(stand.collector.texts)
    assert b"fast" in texts
    for said in (b"Say hello", b"ann@example.com", b"The moon is far"):
        assert said not in texts


def test_a_tenant_for_whom_it_is_turned_on_has_its_words_in_spans(upstream: Upstream, tmp_path: Path) -> None:
    with running_collector() as collector:
        policies = policies_of(collector)
        policies["telemetry"]["content"] = {"tenants": ["tests"], "most_chars": 80}
        upstream.answer_with(plain(completion(content="x" * 200)))
        system = {"role": "system", "content": "Be kind"}
        running = running_gateway(tmp_path / "on", routing_of(upstream), policies=policies)
        with running as gateway, gateway.client() as client:
            messages = [system, {"role": "user", "content": "Hello"}]
            client.post("/v1/chat/completions", json={"model": "fast", "messages": messages})
            (attempt,) = collector.wait_for("chat gpt-4o-mini")
    told = attempt.attributes
    assert json.loads(told["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be kind"}]
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]}
    ]
    assert json.loads(told["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "x" * 80}], "finish_reason": "stop"}
    ]
    assert told["forebay.content_cut"] is True


def test_what_somebody_will_ask_about_is_kept_though_nothing_is_sampled(
    upstream: Upstream, tmp_path: Path
) -> None:
    sick = plain({"error": {"message": "down", "type": "server_error"}}, 500)
    fine = plain(completion())
    late = Answer(200, fine.headers, fine.steps, before=[Pause(0.3)])
    with (
        running_collector() as collector,
        stand_in(tmp_path / "tail", upstream, collector, sample=0.0, slower_than_s=0.25) as stand,
    ):
        calls: list[tuple[str, int, tuple[Answer, ...]]] = [
            ("fast", 200, (fine,)),
            ("birds", 200, (fine,)),
            ("fast", 200, (late,)),
            ("fast", 500, (sick,)),
            ("limited", 429, ()),
            ("careful", 200, (sick, fine)),
            ("careful", 500, (sick, sick, sick)),
            ("fast", 200, (fine,)),
        ]
        for model, status, answers in calls:
            upstream.answer_in_turn(*answers)
            assert stand.chat(model).status_code == status
    kept = [(span.name, span.attributes["forebay.sampled_for"]) for span in stand.roots()]
    assert kept == [
        ("chat birds", "canary"),
        ("chat fast", "slow"),
        ("chat fast", "error"),
        ("chat careful", "fallback"),
        ("chat careful", "error"),
    ]


def test_about_the_share_that_is_asked_for_is_sampled(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(plain(completion()))
    calls, share = 400, 0.25
    with (
        running_collector() as collector,
        stand_in(tmp_path / "some", upstream, collector, sample=share) as stand,
    ):
        for _ in range(calls):
            assert stand.chat("fast").status_code == 200
    # After the gateway's end: what was queued has been sent by then.
    found = len(stand.roots())
    assert abs(found - calls * share) < 5 * (calls * share * (1 - share)) ** 0.5
    assert len(collector.traces()) == found


def test_a_receiver_that_is_away_gets_what_fits_once_it_is_back(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(plain(completion()))
    with running_collector() as collector:
        with stand_in(tmp_path / "away", upstream, collector, most_waiting=16) as stand:
            collector.status = 503
            for _ in range(40):
                assert stand.chat("fast").status_code == 200
            assert eventually(lambda: _logged(stand.gateway, "traces are not taken"), 30)
            collector.status = 200
            assert eventually(lambda: _logged(stand.gateway, "traces are taken again"), 60)
            assert eventually(lambda: len(stand.roots()) >= 16, 30)
            stand.chat("ours")
            collector.wait_for("chat ours")
        log = stand.gateway.log()
    assert len([entry for entry in log if entry["event"] == "traces are not taken"]) == 1
    (back,) = [entry for entry in log if entry["event"] == "traces are taken again"]
    whole = len(stand.roots()) - 1
    assert 16 <= whole < 40
    assert back["dropped"] >= 6 * (40 - whole)
    assert not [entry for entry in log if "opentelemetry" in entry.get("logger", "")]


def test_a_receiver_that_hangs_holds_up_neither_calls_nor_the_end(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(plain(completion()))
    with silent_port() as port:
        policies = policies_of(Collector(f"http://127.0.0.1:{port}"))
        policies["telemetry"]["otlp"]["timeout_s"] = 60
        running = running_gateway(tmp_path / "hung", routing_of(upstream), policies=policies)
        with running as gateway, gateway.client() as client:
            for _ in range(20):
                body = CHAT | {"model": "fast"}
                assert client.post("/v1/chat/completions", json=body).status_code == 200
            began_s = time.monotonic()
            gateway.terminate()
            assert gateway.wait() == 0
    assert time.monotonic() - began_s < 30, "it does not wait until the receiver's minute is over"


def test_an_edit_sends_spans_to_another_receiver(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(plain(completion()))
    with running_collector() as first, running_collector() as second:
        with stand_in(tmp_path / "edited", upstream, first) as stand:
            stand.chat("fast")
            first.wait_for("chat fast")
            policy = yaml.safe_dump(policies_of(second)["telemetry"])
            (stand.folder / "policies" / "telemetry.yaml").write_text(policy)
            stand.gateway.process.send_signal(signal.SIGHUP)
            assert eventually(lambda: _logged(stand.gateway, "configuration applied"), 30), (
                stand.gateway.tail()
            )
            stand.chat("ours")
            second.wait_for("chat ours")
        assert "chat ours" not in {span.name for span in first.spans}


def test_spans_go_out_by_grpc_too(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(plain(completion()))
    with running_grpc_collector() as collector:
        policies = policies_of(collector)
        policies["telemetry"]["otlp"]["protocol"] = "grpc"
        running = running_gateway(tmp_path / "grpc", routing_of(upstream), policies=policies)
        with running as gateway, gateway.client() as client:
            client.post("/v1/chat/completions", json=CHAT | {"model": "fast"})
            (root,) = collector.wait_for("chat fast")
    assert root.resource["service.name"] == "forebay"
    assert collector.headers[-1]["authorization"] == SECRETS["RIG_KEY_2"]


def _logged(gateway: Gateway, event: str) -> bool:
    return any(entry["event"] == event for entry in gateway.log())
