"""Requests to the embedded ClickHouse: what is read out of URL and body, before anything runs."""

from __future__ import annotations

import gzip
import zlib

import lz4.frame
import pytest

from gateway.embedded import clickhouse_asks
from gateway.embedded.clickhouse_asks import Refused, read_ask, read_form, unpack


def test_a_question_has_its_text_parameters_settings_and_format() -> None:
    query = {"param_x": "1", "max_threads": "2", "database": "d", "query_id": "q", "wait_end_of_query": "1"}
    ask = read_ask(query, b"SELECT {x:UInt8}\n FORMAT Native")
    assert (ask.sql, ask.data, ask.format) == ("SELECT {x:UInt8}\n FORMAT Native", None, "Native")
    assert (ask.parameters, ask.settings, ask.database) == ({"x": "1"}, {"max_threads": "2"}, "d")


@pytest.mark.parametrize(
    ("sql", "format_", "framed"),
    [
        ("SELECT 1", "TabSeparated", False),
        ("SELECT 1 FORMAT CSV;", "CSV", False),
        ("SELECT 1 FORMAT CSVWithNames", "CSVWithNames", False),
        ("SELECT 1 FORMAT Parquet", "Parquet", True),
        ("SELECT 1 FORMAT Parquet SETTINGS max_threads = 1", "Parquet", False),
        ("WITH 1 AS x SELECT x format JSON", "JSON", True),
        ("-- FORMAT CSV\n(SELECT format FROM t)", "TabSeparated", False),
        ("SHOW TABLES FORMAT JSON", "JSON", False),
    ],
)
def test_the_format_is_the_one_at_the_end(sql: str, format_: str, framed: bool) -> None:
    ask = read_ask({}, sql.encode())
    assert (ask.format, ask.is_framed) == (format_, framed)
    assert read_ask({"query": sql}, b"").format == format_


def test_the_format_may_be_a_parameter_of_the_url() -> None:
    assert read_ask({"default_format": "JSONEachRow"}, b"SELECT 1").format == "JSONEachRow"


def test_an_insert_has_its_data_apart_wherever_its_text_stands() -> None:
    text, data = "INSERT INTO `ledger` (`time`, `format`) FORMAT Native", b"\x01\n\xff FORMAT x;"
    for query, body in (({"query": text}, data), ({}, text.encode() + b"\n" + data)):
        ask = read_ask(query, body)
        assert (ask.sql, ask.format, ask.data) == ("INSERT INTO `ledger` (`time`, `format`) ", "Native", data)
    assert read_ask({}, b"INSERT INTO t (a) VALUES (1)").data is None
    assert read_ask({}, b"INSERT INTO t SELECT 1").data is None


@pytest.mark.parametrize(
    ("query", "body", "complaint"),
    [
        ({"compress": "1"}, b"SELECT 1", "UNKNOWN_SETTING"),
        ({"a = 1, readonly": "0"}, b"SELECT 1", "UNKNOWN_SETTING"),
        ({}, b"\xff\xfe", "not UTF-8"),
        ({}, b"SELECT 1 INTO\n OUTFILE '/tmp/x'", "not allowed"),
    ],
)
def test_what_is_not_served_is_said(query: dict[str, str], body: bytes, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        read_ask(query, body)


def test_bodies_are_unpacked() -> None:
    data = b"rows" * 10_000
    zstd = pytest.importorskip("backports.zstd")
    packed = {"": data, "lz4": lz4.frame.compress(data), "zstd": zstd.compress(data)}
    packed |= {"gzip": gzip.compress(data), "deflate": zlib.compress(data)}
    for encoding, body in packed.items():
        assert unpack(body, encoding) == data
        if encoding:
            for broken in (body[:-5], b"no such thing", b""):
                with pytest.raises(Refused):
                    unpack(broken, encoding)
    with pytest.raises(Refused, match="not known"):
        unpack(data, "snappy")


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_a_small_body_cannot_become_a_huge_one(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_asks, "MAX_UNPACKED_BYTES", 100_000)
    zstd = pytest.importorskip("backports.zstd")
    pack = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "gzip": gzip.compress}[encoding]
    assert len(unpack(pack(bytes(99_000)), encoding)) == 99_000
    with pytest.raises(Refused, match="too large"):
        unpack(pack(bytes(1_000_000)), encoding)


def test_long_parameters_come_in_a_form() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {x:String}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\n\xc3\xa9\\nx\r\n--b--\r\n'
    )
    assert read_form("multipart/form-data; boundary=b", body) == {
        "query": "SELECT {x:String}",
        "param_x": "é\\nx",
    }
