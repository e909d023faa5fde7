"""The benchmark's parts that need no server: table, document, wrk's output, nginx's configuration, checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness.answers import CHUNKS, STREAMED_TEXT, completion, request_body, stream_events
from harness.children import BenchError
from harness.fakeupstream import configuration, quoted
from harness.load import MARK, Load, Rounds, check_load, parse_wrk, wrk_script
from harness.paced import percentile
from harness.peers import envoy_config
from harness.planning import GOALS_US, bodies, calls, check_plan, open_routing
from harness.table import HEADER, INTRODUCTION, Row, render_table, replace_section, write_section
from harness.targets import Ask, Target, check_answer, direct, in_pairs, write_gateway_config

from gateway.exchange import Moment
from gateway.stages.plan import make_plan

PAIRED = Target("Forebay", 1, {"json": Ask("/v1/chat/completions")})


def wrk_line(**changed: int) -> str:
    seen = {"requests": 4000, "duration_us": 2_000_000, "bytes": 4_000_000, "p50_us": 250, "p99_us": 1900}
    errors = dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0)
    return f"Running 2s test\n  Thread Stats ...\n{MARK}{json.dumps(seen | errors | changed)}\n"


def load(per_s: float = 10.0, p99_ms: float = 1.0) -> Load:
    return Load(int(per_s), 1.0, 1000, 0.5, p99_ms, {})


def test_wrk_output_is_read_in_seconds_and_milliseconds() -> None:
    seen = parse_wrk(wrk_line())
    assert (seen.per_s, seen.p50_ms, seen.p99_ms, seen.failures) == (2000.0, 0.25, 1.9, {})


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_a_single_failed_answer_fails_the_run(kind: str) -> None:
    with pytest.raises(BenchError, match=kind):
        check_load(parse_wrk(wrk_line(**{kind: 1})), "Forebay", 700)


def test_answers_shorter_than_the_checked_one_fail_the_run() -> None:
    with pytest.raises(BenchError, match="1000 bytes under load, 20000 before"):
        check_load(parse_wrk(wrk_line()), "Forebay", 20_000)


def test_output_without_a_result_is_an_error() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1\n")


def test_the_script_for_wrk_carries_body_headers_and_the_mark() -> None:
    script = wrk_script(request_body("m", stream=True), {"authorization": 'a"b'})
    assert 'wrk.headers["authorization"] = "a\\"b"' in script
    assert '"stream":true}]==]' in script
    assert f"'{MARK}" in script
    assert '{"requests":%d' in script


def test_rounds_give_the_median_not_the_mean() -> None:
    rounds = Rounds([load(10, 1), load(1000, 9), load(20, 2)])
    assert (rounds.per_s, rounds.p99_ms) == (20.0, 2)


def test_the_table_is_aligned_and_says_which_goals_are_missed() -> None:
    rows = [Row("calls", "10/s", "5/s", "50 %", ">= 70 %", met=False), Row("direct", "99/s", "")]
    lines = render_table(HEADER, [row.cells() for row in rows]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].endswith("| **no** |")
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["direct", "99/s", "", "", "", ""]


def test_a_section_is_replaced_and_the_rest_of_the_document_kept(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "benchmarks.md"
    for name, text in [("bench", "old"), ("peers", "other"), ("bench", "new"), ("bench", "new")]:
        write_section(path, name, text)
    document = path.read_text()
    assert document.startswith(INTRODUCTION)
    assert "old" not in document
    assert [document.count(word) for word in ("\nnew\n", "\nother\n", "bench: generated")] == [1, 1, 1]


def test_a_new_section_goes_to_the_end() -> None:
    assert replace_section("# T\n", "x", "y\n").endswith("do not edit -->\ny\n<!-- x: end -->\n")


def test_the_stream_has_every_chunk_a_usage_and_an_end() -> None:
    events = stream_events()
    chunks: list[dict[str, Any]] = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert sum(bool(chunk["choices"]) for chunk in chunks) == CHUNKS
    assert chunks[-1]["usage"]["total_tokens"] == 87
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert events[-1] == "data: [DONE]\n\n"


def test_the_answer_has_the_size_of_a_short_real_one() -> None:
    assert 600 <= len(completion()) <= 800


def test_a_padded_prompt_has_the_size_asked_for() -> None:
    content = json.loads(request_body("m", stream=False, padding_bytes=1000))["messages"][1]["content"]
    assert len(content) == len("What is the capital of France?\n") + 1000


def test_nginx_listens_on_loopback_only_and_paces_only_the_paced_stream() -> None:
    text = configuration(Path("x"), 1234)
    listens = [line.strip() for line in text.splitlines() if line.strip().startswith("listen ")]
    assert listens == ["listen 127.0.0.1:1234 backlog=4096;"]
    json_part, sse_part, paced_part = text.split("location = ")[1:4]
    assert json_part.startswith("/json/")
    assert (sse_part.count("echo -n"), sse_part.count("echo_flush"), sse_part.count("echo_sleep")) == (
        66,
        0,
        0,
    )
    assert (paced_part.count("echo -n"), paced_part.count("echo_sleep 0.02;")) == (66, CHUNKS - 1)
    assert text.count("{") == text.count("}")


def test_nginx_strings_are_escaped() -> None:
    assert quoted("it's \\n") == "'it\\'s \\\\n'"
    with pytest.raises(BenchError, match="dollar"):
        quoted("$host")


def test_a_stream_that_lost_a_chunk_is_refused() -> None:
    events = stream_events()
    check_answer(direct(1), "sse", "".join(events).encode())
    with pytest.raises(BenchError, match="63 chunks of 64"):
        check_answer(direct(1), "sse", "".join(events[1:]).encode())
    with pytest.raises(BenchError, match="DONE"):
        check_answer(direct(1), "sse", "".join(events[:-1]).encode())


def test_a_changed_answer_is_refused() -> None:
    check_answer(direct(1), "json", completion().encode())
    with pytest.raises(BenchError, match="changed the answer"):
        check_answer(direct(1), "json", completion().replace("Paris", "Lyon").encode())


def test_a_percentile_is_read_from_the_histogram() -> None:
    assert percentile([0, 90, 0, 10], 0.5) == 1
    assert percentile([0, 90, 0, 10], 0.99) == 3
    assert len(STREAMED_TEXT) == 6 * (CHUNKS - 2)


def test_the_plain_key_stays_out_of_the_gateways_configuration(tmp_path: Path) -> None:
    write_gateway_config(tmp_path / "config", 19000, "bench-secret")
    written = [path.read_text() for path in (tmp_path / "config").rglob("*.yaml")]
    assert len(written) == 2
    assert not any("bench-secret" in text for text in written)
    assert any('"digest": "sha256:' in text for text in written)


def test_two_routes_share_their_calls_between_two_deployments(tmp_path: Path) -> None:
    write_gateway_config(tmp_path / "config", 19000, "bench-secret")
    written = json.loads((tmp_path / "config" / "routing.yaml").read_text())
    urls = {name: backend["base_url"] for name, backend in written["backends"].items()}
    asked = [target.asks["json"].model for target in in_pairs(PAIRED)]
    places = [
        [urls[one["backend"]].rsplit("/", 1)[1] for one in written["routes"][name]["targets"]]
        for name in asked
    ]
    assert places == [["json", "json"], ["json", "failing"]]


@pytest.mark.parametrize("by_text", [False, True])
@pytest.mark.parametrize("rules", GOALS_US)
def test_planning_asks_every_rule_and_leaves_nobody_out(rules: int, tmp_path: Path, *, by_text: bool) -> None:
    routing, asked = open_routing(tmp_path, by_text=by_text), calls(f"rules-{rules}")
    plans = [make_plan(call, routing, Moment.now()) for call in asked[:3]]
    for plan in plans:
        check_plan(plan, rules)
        assert "labels" in vars(plan.demand.signals)
        assert ("language" in vars(plan.demand.signals)) is by_text
    with pytest.raises(BenchError, match="not the one to be measured"):
        check_plan(plans[0], rules + 1)


def test_calls_that_are_planned_have_a_kilobyte_and_a_text_of_their_own() -> None:
    written = bodies("m")
    assert len(set(written)) == len(written)
    assert all(900 <= len(body) <= 1300 for body in written)


def test_envoy_forwards_each_kind_of_answer() -> None:
    text = json.dumps(envoy_config(1, 2))
    assert all(f'"prefix_rewrite": "/{kind}/"' in text for kind in ("json", "sse", "paced"))
