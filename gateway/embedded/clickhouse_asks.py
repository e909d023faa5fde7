"""What a request to the embedded ClickHouse asks: the text, its parameters, settings and data.

As ClickHouse's HTTP interface has it: a text in the URL or the body or both, `param_NAME` for parameters, and
what is not known here as settings of the engine. Runs nothing.

Sources: clickhouse.com/docs, "HTTP interface"; clickhouse-connect 1.12.0.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import NamedTuple

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
MAX_PARTS = 256

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(\bSETTINGS\b[^']*)?;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"\s*INSERT\s+INTO\b[^;]*?\bFORMAT[ \t]+(\w+)[ \t]*;?(?:\r?\n|$)", re.IGNORECASE)
SELECT = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|WITH|FROM)\b", re.IGNORECASE | re.DOTALL)
"""What the engine can answer piece by piece."""
_TO_FILE = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)
PLAIN = {"native", "csv", "tsv", "tabseparated", "rowbinary", "jsoneachrow", "jsoncompacteachrow"}
"""Formats of which the pieces that the engine gives, one after the other, are the whole."""
HEADED = {"csvwithnames", "tsvwithnames", "tabseparatedwithnames", "jsoncompacteachrowwithnames"}
"""The same, but each piece begins with a line of names."""
_OURS = {
    *("query", "database", "default_format", "user", "password", "session_id", "session_timeout", "query_id"),
    *("session_check", "quota_key", "role", "buffer_size", "wait_end_of_query", "client_protocol_version"),
    *("send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression"),
    *("cancel_http_readonly_queries_on_client_close", "stacktrace", "add_http_cors_header"),
}
"""What in the URL is not a setting of the engine."""


class Refused(Exception):
    """The request is not worked on: a code of ClickHouse's, and a sentence."""

    def __init__(self, code: int, message: str, name: str, status: int = 400) -> None:
        self.status = status
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})")


class Ask(NamedTuple):
    """A request, as far as the engine needs it."""

    sql: str
    data: bytes | None
    """What is inserted."""
    format: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    database: str
    is_framed: bool = False
    """Its format has a frame around all rows, and the engine can write it into a file."""


def read_ask(query: Mapping[str, str], body: bytes) -> Ask:
    """Find out what is asked: the text of the URL and then that of the body, the body's data apart."""
    first = query.get("query", "").encode()
    text = first + b"\n" + body if first and body else first or body
    parameters = {name[6:]: value for name, value in query.items() if name.startswith("param_")}
    settings = {n: v for n, v in query.items() if n not in _OURS and not n.startswith("param_")}
    for name in settings:
        if not _NAME.fullmatch(name) or name in {"compress", "decompress"}:
            raise Refused(115, f"Unknown setting {name[:80]!r}", "UNKNOWN_SETTING")
    database = query.get("database", "")
    begun = _INSERT.match(text)
    if begun:
        sql = text[: begun.start(1)].decode()
        sql = sql.rstrip()[: -len("FORMAT")]
        return Ask(sql, text[begun.end() :], begun[1].decode(), parameters, settings, database)
    try:
        sql = text.decode()
    except UnicodeDecodeError as error:
        raise Refused(62, "the query is not UTF-8", "SYNTAX_ERROR") from error
    if _TO_FILE.search(sql):
        raise Refused(1, "INTO OUTFILE is not allowed over HTTP", "UNSUPPORTED_METHOD")
    named = FORMAT.search(sql)
    format_ = named[1] if named else query.get("default_format", "TabSeparated")
    plain = format_.lower() in PLAIN | HEADED or bool(named and named[2])
    return Ask(sql, None, format_, parameters, settings, database, not plain and bool(SELECT.match(sql)))


def unpack(data: bytes, encoding: str) -> bytes:
    """Decompress a body, up to a limit."""
    if encoding in {"", "identity"}:
        return data
    unpacked, rest = b"", True
    try:
        if encoding == "lz4":
            import lz4.frame

            stream = lz4.frame.LZ4FrameDecompressor()
            unpacked = stream.decompress(data, MAX_UNPACKED_BYTES)
            rest = not stream.eof
        elif encoding == "zstd":
            unpacked, rest = _unzstd(data)
        elif encoding in {"gzip", "deflate"}:
            inflate = zlib.decompressobj(47)
            unpacked = inflate.decompress(data, MAX_UNPACKED_BYTES)
            rest = not inflate.eof
        else:
            raise Refused(432, f"Content-Encoding {encoding!r} is not known", "UNKNOWN_COMPRESSION_METHOD")
    except (RuntimeError, ValueError, EOFError, zlib.error) as error:
        raise Refused(271, f"cannot decompress the body: {error}", "CANNOT_DECOMPRESS") from error
    if rest:
        raise Refused(271, "the compressed body is cut, or too large", "CANNOT_DECOMPRESS")
    return unpacked


def _unzstd(data: bytes) -> tuple[bytes, bool]:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor, ZstdError
    else:
        from backports.zstd import ZstdDecompressor, ZstdError
    stream = ZstdDecompressor()
    try:
        return stream.decompress(data, MAX_UNPACKED_BYTES), not stream.eof
    except ZstdError as error:
        raise ValueError(str(error)) from error


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Read the fields of a form: long parameters come in one."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: dict[str, str] = {}
    for part in list(message.iter_parts())[:MAX_PARTS]:
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode()
    return fields
