"""The embedded ClickHouse: one engine for a state directory, whoever started it, whatever dies."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from rig.programs.lacking import lacking

from gateway.embedded import clickhouse
from gateway.embedded.clickhouse import Engine, probe
from gateway.errors import ConfigError

START_S = 30.0
OWNER = """
import sys
from pathlib import Path
from gateway.embedded.clickhouse import Engine
engine = Engine(Path(sys.argv[1]))
engine.start()
engine.wait_ready(30)
print(engine.state()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Starts one more engine on the same state directory, and waits for it."""
    if importlib.util.find_spec("chdb") is None:
        lacking("the embedded ClickHouse: chdb-core is not installed")
    started: list[Engine] = []

    def one_more() -> Engine:
        started.append(Engine(tmp_path))
        started[-1].start()
        started[-1].wait_ready(START_S)
        return started[-1]

    yield one_more
    for engine in started:
        engine.stop()


def told(folder: Path) -> dict[str, str | int]:
    found: dict[str, str | int] = json.loads((folder / "clickhouse/endpoint.json").read_bytes())
    return found


def eventually(what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + START_S
    while not what():
        assert time.monotonic() < deadline_s, "it never is"
        time.sleep(0.02)


def ask(
    folder: Path, body: bytes, headers: dict[str, str] | None = None, **query: str
) -> tuple[int, bytes, dict[str, str]]:
    endpoint = told(folder)
    credential = b64encode(f"{endpoint['user']}:{endpoint['password']}".encode()).decode()
    given = {"Authorization": f"Basic {credential}"} | (headers or {})
    with closing(http.client.HTTPConnection(urlsplit(str(endpoint["url"])).netloc, timeout=30)) as link:
        link.request("POST", f"/?{urlencode(query)}", body, given)
        answer = link.getresponse()
        return answer.status, answer.read(), dict(answer.headers)


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse, "PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match=r"make run.*pip install 'forebay\[clickhouse\]'"):
        Engine(tmp_path)


def test_it_says_where_it_is_to_its_user_alone(start: Callable[[], Engine], tmp_path: Path) -> None:
    assert probe(tmp_path) == (False, "does not answer")
    engine = start()
    assert engine.state() == (True, f"ready, process {told(tmp_path)['pid']}")
    assert probe(tmp_path) == (True, f"answers at {told(tmp_path)['url']}")
    path = tmp_path / "clickhouse/endpoint.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "clickhouse").stat().st_mode & 0o077 == 0
    assert len(str(told(tmp_path)["password"])) >= 32
    engine.stop()
    assert engine.state() == (False, "stopped")
    assert not path.exists()
    assert probe(tmp_path) == (False, "does not answer")


def test_it_is_started_again_when_it_is_killed(start: Callable[[], Engine], tmp_path: Path) -> None:
    engine = start()
    first = told(tmp_path)["pid"]
    ask(tmp_path, b"CREATE TABLE kept (n Int8) ENGINE = MergeTree ORDER BY n", database="default")
    ask(tmp_path, b"INSERT INTO kept VALUES (5)", database="default")
    os.kill(int(first), signal.SIGKILL)
    eventually(lambda: not engine.state()[0] or told(tmp_path)["pid"] != first)
    engine.wait_ready(START_S)
    eventually(lambda: engine.state()[0] and told(tmp_path)["pid"] != first)
    assert ask(tmp_path, b"SELECT n FROM kept", database="default")[1] == b"5\n"


def test_of_several_on_one_directory_one_runs_and_another_follows_it(
    start: Callable[[], Engine], tmp_path: Path
) -> None:
    first, second = start(), start()
    pid = told(tmp_path)["pid"]
    assert second.state() == (True, f"ready, process {pid} of another Forebay")
    first.stop()
    eventually(lambda: second.state()[1].startswith("ready") and "another" not in second.state()[1])
    assert told(tmp_path)["pid"] != pid


def test_many_that_start_at_once_share_one(tmp_path: Path) -> None:
    engines = [Engine(tmp_path) for _ in range(4)]
    for engine in engines:
        engine.start()
    try:
        for engine in engines:
            engine.wait_ready(START_S)
        eventually(lambda: sum("another" in engine.state()[1] for engine in engines) == 3)
        assert all(str(told(tmp_path)["pid"]) in engine.state()[1] for engine in engines)
    finally:
        for engine in engines:
            engine.stop()


def test_it_dies_with_a_process_that_is_killed_and_another_one_takes_over(
    start: Callable[[], Engine], tmp_path: Path
) -> None:
    pipe = subprocess.PIPE
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdin=pipe, stdout=pipe, text=True)
    with owner:
        assert owner.stdout
        assert owner.stdout.readline().startswith("ready, process")
        follower = start()
        assert "another" in follower.state()[1]
        child = int(told(tmp_path)["pid"])
        owner.kill()
    eventually(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())
    eventually(lambda: follower.state()[0] and "another" not in follower.state()[1])
    assert ask(tmp_path, b"SELECT 1")[1] == b"1\n"


def test_only_who_knows_the_password_gets_in_and_no_page_of_the_web(
    start: Callable[[], Engine], tmp_path: Path
) -> None:
    start()
    wrong = b64encode(b"forebay:guessed").decode()
    for headers in ({"Authorization": f"Basic {wrong}"}, {"Authorization": ""}, {"Authorization": "Basic %"}):
        status, body, answered = ask(tmp_path, b"SELECT 1", headers)
        assert (status, answered["X-ClickHouse-Exception-Code"]) == (401, "516")
        assert b"AUTHENTICATION_FAILED" in body
    assert ask(tmp_path, b"SELECT 1", {"Host": "evil.example"})[0] == 421
    assert ask(tmp_path, b"SELECT 1", {"Host": "localhost:80"})[0] == 200
    assert ask(tmp_path, b"SELECT 1", {"X-ClickHouse-Key": "x", "Authorization": ""})[0] == 401


def test_errors_have_their_codes_and_one_request_knows_nothing_of_another(
    start: Callable[[], Engine], tmp_path: Path
) -> None:
    start()
    for sql, query, status, code in (
        (b"SELECT nothing", {}, 500, "47"),
        (b"SELECT FROM WHERE", {}, 400, "62"),
        (b"SELECT 1 FROM nothing", {}, 404, "60"),
        (b"SELECT 1", {"database": "nothing"}, 404, "81"),
        (b"SELECT 1", {"no_such_setting": "1"}, 400, "115"),
        (b"CREATE DATABASE x", {"readonly": "1"}, 403, "164"),
        (b"SELECT throwIf(number = 100000) FROM numbers(100001)", {"wait_end_of_query": "1"}, 500, "395"),
    ):
        answered = ask(tmp_path, sql, **query)
        assert (answered[0], answered[2]["X-ClickHouse-Exception-Code"]) == (status, code)
        assert f"Code: {code}. DB::Exception: ".encode() in answered[1]
    assert ask(tmp_path, b"SELECT getSetting('readonly'), currentDatabase()")[1] == b"0\tdefault\n"
    setting = ask(
        tmp_path, b"SELECT getSetting('max_result_rows'), {x:String}", max_result_rows="7", param_x="a'b"
    )
    assert setting[1] == b"7\ta\\'b\n"


def test_a_result_that_fails_in_its_middle_is_broken_off(start: Callable[[], Engine], tmp_path: Path) -> None:
    start()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(tmp_path, b"SELECT throwIf(number = 900000) FROM numbers(1000000) FORMAT CSV")
    assert ask(tmp_path, b"SELECT 1")[0] == 200


def test_a_reader_who_leaves_takes_nothing_with_him(start: Callable[[], Engine], tmp_path: Path) -> None:
    start()
    endpoint = told(tmp_path)
    credential = b64encode(f"{endpoint['user']}:{endpoint['password']}".encode()).decode()
    for _ in range(40):  # more than may be worked on at once
        link = http.client.HTTPConnection(urlsplit(str(endpoint["url"])).netloc, timeout=30)
        headers = {"Authorization": f"Basic {credential}"}
        link.request("POST", "/", b"SELECT number FROM numbers(100000000)", headers)
        with closing(link), closing(link.getresponse()) as answer:
            assert answer.read(10) == b"0\n1\n2\n3\n4\n"
    assert ask(tmp_path, b"SELECT 1")[1] == b"1\n"


def test_a_large_result_is_not_held_in_memory(start: Callable[[], Engine], tmp_path: Path) -> None:
    start()
    pid = told(tmp_path)["pid"]

    def rss_mb() -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    before = rss_mb()
    for format_, waits in (("CSV", "0"), ("CSV", "1"), ("JSON", "1")):
        sql = b"SELECT number, repeat('x', 100) AS x FROM numbers(3000000) FORMAT " + format_.encode()
        assert ask(tmp_path, sql, wait_end_of_query=waits)[0] == 200
    assert rss_mb() - before < 250
    assert list((tmp_path / "clickhouse/tmp").iterdir()) == []


def test_bodies_may_be_compressed_chunked_and_are_bounded(
    start: Callable[[], Engine], tmp_path: Path
) -> None:
    import lz4.frame

    start()
    ask(tmp_path, b"CREATE TABLE rows (n UInt32) ENGINE = MergeTree ORDER BY n")
    packed = lz4.frame.compress(b"1\n2\n3\n")
    insert = "INSERT INTO rows (n) FORMAT CSV"
    status, _, answered = ask(tmp_path, packed, {"Content-Encoding": "lz4"}, query=insert)
    assert (status, json.loads(answered["X-ClickHouse-Summary"])) == (200, {"written_rows": "3"})
    bad = ask(tmp_path, b"4\nfive\n", query=insert)
    assert (bad[0], bad[2]["X-ClickHouse-Exception-Code"]) == (500, "117")
    assert ask(tmp_path, b"SELECT sum(n) FROM rows")[1] == b"6\n"
    endpoint = told(tmp_path)
    with closing(http.client.HTTPConnection(urlsplit(str(endpoint["url"])).netloc, timeout=30)) as link:
        link.putrequest("POST", "/")
        link.putheader("Content-Length", str(1 << 40))
        link.endheaders()  # it is refused for what it says: nothing of it need come
        assert link.getresponse().status == 413
