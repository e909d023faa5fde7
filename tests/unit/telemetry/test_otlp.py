"""What a receiver is told of this process, and how its answers are read: over HTTP and gRPC, on ports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gateway.telemetry.otlp import Answer, Receiver, Signal, open_way, resource_of

SECRET = "sk-proj-Zq81mNpo0cXv7TbU2yRk"
PROTOBUF = "application/x-protobuf"


@contextmanager
def answering_http(answer: bytes, kind: str = PROTOBUF) -> Iterator[Receiver]:
    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Receiver(f"http://127.0.0.1:{server.server_address[1]}", timeout_s=30)
        server.shutdown()
        thread.join(30)


@contextmanager
def answering_grpc(answer: bytes) -> Iterator[Receiver]:
    class Answering(grpc.GenericRpcHandler):
        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)

    server = grpc.server(ThreadPoolExecutor(max_workers=1), handlers=(Answering(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Receiver(f"http://127.0.0.1:{port}", "grpc", timeout_s=30)
    server.stop(None).wait(30)


def posted(receiver: Receiver, signal: Signal) -> Answer:
    post, close = open_way(receiver, signal)
    try:
        return post(b"")
    finally:
        close()


def rejecting(signal: Signal, rejected: int, message: str) -> bytes:
    if signal == "traces":
        spans = ExportTraceServiceResponse()
        spans.partial_success.rejected_spans = rejected
        spans.partial_success.error_message = message
        return bytes(spans.SerializeToString())
    points = ExportMetricsServiceResponse()
    points.partial_success.rejected_data_points = rejected
    points.partial_success.error_message = message
    return bytes(points.SerializeToString())


@pytest.mark.parametrize("answering", [answering_http, answering_grpc])
@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_what_a_receiver_rejects_of_an_export_is_told_clean_and_short(answering: Any, signal: Signal) -> None:
    message = f"no room for {SECRET}\x1b[2J\n" + "x" * 5000
    with answering(rejecting(signal, 3, message)) as receiver:
        answer = posted(receiver, signal)
    assert (answer.taken, answer.rejected) == ("taken", 3)
    assert answer.problem.startswith("it rejects a part: no room for [secret] [2J xxx")
    assert len(answer.problem) < 250


@pytest.mark.parametrize("answering", [answering_http, answering_grpc])
@pytest.mark.parametrize(
    "answer", [b"", rejecting("traces", 0, "please send less"), b"\xff\xff not protobuf"]
)
def test_an_answer_that_rejects_nothing_is_one_that_takes_all(answering: Any, answer: bytes) -> None:
    with answering(answer) as receiver:
        assert posted(receiver, "traces") == Answer("taken")


def test_without_words_of_the_receivers_own_it_is_told_all_the_same() -> None:
    with answering_http(rejecting("traces", 2, "")) as receiver:
        assert posted(receiver, "traces") == Answer("taken", "it rejects a part", 2)
    with answering_http(b'{"partialSuccess": {}}', "application/json") as receiver:
        assert posted(receiver, "traces") == Answer("taken")


def test_each_signal_has_its_place() -> None:
    assert Receiver("http://c:4318").url("traces") == "http://c:4318/v1/traces"
    assert Receiver("http://c:4318/otlp").url("metrics") == "http://c:4318/otlp/v1/metrics"
    assert Receiver("http://c:4317", "grpc").url("traces") == "http://c:4317"


def test_a_process_is_one_instance_of_a_named_service() -> None:
    first = resource_of(Receiver()).attributes
    second = resource_of(Receiver(service_name="gate", resource={"service.version": "mine"})).attributes
    assert first["service.name"] == "forebay"
    assert (second["service.name"], second["service.version"]) == ("gate", "mine")
    assert first["service.instance.id"] == second["service.instance.id"] != ""


def test_its_repr_shows_no_secret() -> None:
    receiver = Receiver("http://user:hush@c:4318", headers={"authorization": "hush"})
    assert "hush" not in repr(receiver)
